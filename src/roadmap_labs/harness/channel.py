"""The harness's end of the one channel to the orchestrator: asks, answers, events, as JSON lines.

Knows nothing of what is asked, and nothing of pytest.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import threading
from typing import Any

from roadmap_labs.harness.verdicts import LabFault, LearnerBroke

VARIABLE = "ROADMAP_LABS_CHANNEL_FD"


class Channel:
    """Many threads may ask at once; each waits for its own answer."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._numbers = itertools.count(1)
        self._writing = threading.Lock()
        self._changed = threading.Condition()
        self._replies: dict[int, dict[str, Any]] = {}
        self._over = False
        threading.Thread(target=self._read, name="channel", daemon=True).start()

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """The orchestrator's answer; its error as LearnerBroke (L-…) or LabFault (I-…)."""
        number = next(self._numbers)
        self._send({"ask": number, "verb": verb, "arguments": arguments})
        with self._changed:
            self._changed.wait_for(lambda: number in self._replies or self._over)
            reply = self._replies.pop(number, None)
        if reply is None:
            raise LabFault(f"The orchestrator went away while it was asked to {verb}.", code="I-STATE")
        if "error" in reply:
            raise _refusal(verb, reply["error"])
        found = reply.get("ok")
        return found if isinstance(found, dict) else {}

    def tell(self, event: str, **fields: Any) -> None:
        """An event; nobody answers. An orchestrator that is gone is no reason to stop."""
        try:
            self._send({"event": event, **fields})
        except LabFault:
            self._over = True

    def _send(self, message: dict[str, Any]) -> None:
        line = json.dumps(message, ensure_ascii=True).encode() + b"\n"
        try:
            with self._writing:
                self._wire.sendall(line)
        except OSError as error:
            raise LabFault(f"The channel to the orchestrator is broken: {error}.", code="I-STATE") from None

    def _read(self) -> None:
        try:
            with self._wire.makefile("rb") as lines:
                for line in lines:
                    message = json.loads(line)
                    if isinstance(message, dict) and "reply" in message:
                        with self._changed:
                            self._replies[message["reply"]] = message
                            self._changed.notify_all()
        except (OSError, ValueError):
            pass
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()


def connect() -> Channel:
    """The channel that the orchestrator left open for us."""
    number = os.environ.pop(VARIABLE, "")
    if not number.isdecimal():
        raise LabFault(f"Checks run under `roadmap-labs check`; {VARIABLE} is not set.")
    wire = socket.socket(fileno=int(number))
    wire.set_inheritable(False)
    return Channel(wire)


def _refusal(verb: str, error: dict[str, Any]) -> LearnerBroke | LabFault:
    code = str(error.get("code", "I-STATE"))
    message = str(error.get("message") or f"The orchestrator refused to {verb}.")
    expected, observed = str(error.get("expected", "")), str(error.get("observed", ""))
    if code.startswith("L-"):
        return LearnerBroke(code, message, expected, observed)
    return LabFault(message, code=code, expected=expected, observed=observed)
