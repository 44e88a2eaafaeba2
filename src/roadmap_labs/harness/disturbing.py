"""Words that disturb a server or a replica, each proven before it counts. Knows no engine and no lab.

The orchestrator acts, and puts everything right after the check whatever happens here; the words that end a disturbance
early are for checks that go on after it.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from roadmap_labs.harness.channel import Channel
from roadmap_labs.harness.service import Service
from roadmap_labs.harness.verdicts import LabFault
from roadmap_labs.harness.waiting import settle

PROOF_SECONDS = 0.25  # an answer through the relay takes a thousandth of it
_GONE = ("exited", "dead")
# What draws at least one byte out of a server that lives, without a login.
_GREETINGS = {
    "redis": b"PING\r\n",
    "postgres": b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    "amqp": b"AMQP\x00\x00\x09\x01",
}


class Disturber:
    """Disturbs by name. `service` finds a server of the lab; `renew` is told whose connections have been lost."""

    def __init__(
        self,
        channel: Channel,
        service: Callable[[str], Service | None],
        renew: Callable[[str], None],
    ) -> None:
        self._channel = channel
        self._service = service
        self._renew = renew

    def pause(self, name: str) -> None:
        """Freeze it: connecting works, and nobody ever answers."""
        self._proves_alive(name)
        self._act("pause", name, lambda state: state["status"] == "paused")
        self._proves_silent(name)

    def unpause(self, name: str) -> None:
        """Let it run on."""
        self._act("unpause", name, lambda state: state["status"] == "running")
        self._proves_alive(name)

    def stop(self, name: str) -> None:
        """End it in an orderly way; its name is gone."""
        self._proves_alive(name)
        self._act("stop", name, lambda state: state["status"] in _GONE)
        self._renew(name)
        self._proves_silent(name)

    def start(self, name: str) -> None:
        """Start a server that was stopped or killed; it comes back empty, and answers logins when this returns."""
        self._act("start", name, lambda state: state["status"] == "running")
        self._renew(name)
        self._proves_alive(name)

    def restart(self, name: str) -> None:
        """Stop and start a server; every connection is lost."""
        before = self._state(name)["started_at"]
        self._act("restart", name, lambda state: state["started_at"] != before)
        self._renew(name)
        self._proves_alive(name)

    def kill(self, name: str) -> None:
        """End it at once, as a crash does."""
        self._act("kill", name, lambda state: True)
        settle(lambda: self._state(name)["status"] in _GONE, 10, f"{name} was dead after SIGKILL")
        self._renew(name)

    def signal(self, name: str, signal: str) -> None:
        """Send a signal to its first process. What the process makes of it is for the check to see."""
        self._act("signal", name, lambda state: True, signal=signal)

    def disconnect(self, name: str) -> None:
        """Take it off the lab's network: packets vanish, nobody is told."""
        self._proves_alive(name)
        before = self._state(name)["networks"]
        self._act("disconnect", name, lambda state: state["networks"] == before - 1)
        self._renew(name)
        self._proves_silent(name)

    def reconnect(self, name: str) -> None:
        """Back on the network with the address and the name that it had."""
        self._act("reconnect", name, lambda state: state["networks"] > 0)
        self._renew(name)
        self._proves_alive(name)

    @contextlib.contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Frozen inside the block."""
        yield from self._during(name, self.pause, self.unpause)

    @contextlib.contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Stopped inside the block; afterwards a server is started again, empty."""
        yield from self._during(name, self.stop, self.start)

    @contextlib.contextmanager
    def disconnected(self, name: str) -> Iterator[None]:
        """Off the lab's network inside the block."""
        yield from self._during(name, self.disconnect, self.reconnect)

    def _during(self, name: str, begin: Callable[[str], None], end: Callable[[str], None]) -> Iterator[None]:
        begin(name)
        try:
            yield
        except BaseException:
            # The check has its verdict; a second problem in here must not take its place. The orchestrator undoes it.
            self._renew(name)
            raise
        end(name)

    def _act(
        self, how: str, name: str, proven: Callable[[dict[str, Any]], bool], **more: str
    ) -> dict[str, Any]:
        state = self._channel.ask("disturb", how=how, name=name, **more)
        if not proven(state):
            raise LabFault(f"{name} does not show the effect of '{how}': {state}.")
        return state

    def _state(self, name: str) -> dict[str, Any]:
        return self._channel.ask("state", name=name)

    def _proves_alive(self, name: str) -> None:
        one = self._service(name)
        if one is not None:
            settle(lambda: answers(one, PROOF_SECONDS * 8), 20, f"{name} answered the checks")

    def _proves_silent(self, name: str) -> None:
        one = self._service(name)
        if one is not None and answers(one, PROOF_SECONDS):
            raise LabFault(f"{name} still answers although it was disturbed.")


def answers(service: Service, within: float) -> bool:
    """Whether a new connection to a server draws one byte out of it in time."""
    greeting = _GREETINGS.get(service.speaks)
    if greeting is None:
        greeting = f"GET / HTTP/1.0\r\nHost: {service.host}\r\n\r\n".encode()
    deadline = time.monotonic() + within
    try:
        with socket.create_connection((service.host, service.port), timeout=within) as line:
            line.sendall(greeting)
            line.settimeout(max(deadline - time.monotonic(), 0.001))
            return bool(line.recv(1))
    except OSError:
        return False
