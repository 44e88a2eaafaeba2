"""Disturbs services and replicas of one stack, remembers what is disturbed, and puts it right. Knows no checks.

What is remembered is what was asked for, not what is seen: a call of the engine that failed half-way is undone, too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import RLock

from roadmap_labs.engine.protocol import Missing
from roadmap_labs.errors import EngineRefused, Problem
from roadmap_labs.stack.running import Stack

STOP_SECONDS = 10.0
_SIGNALS = frozenset(("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL"))
_ENDED = ("exited", "dead", "created")
# Each process of a container must get its turn once to be frozen, and on a loaded machine forty of them don't in the
# moment that the engine gives them. That is the engine's bad moment, not a check's: seconds between two tries.
_THAWS = (0.05, 0.2, 0.5, 1.0, 2.0)


@dataclass
class Harm:
    """What was done to one container."""

    container: str
    paused: bool = False
    down: bool = False  # stopped, killed or sent a signal: it may run, but not for long
    cut: bool = False


class Disturbances:
    """What is disturbed of one stack. Calls take turns."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._harm: dict[str, Harm] = {}
        self._rewritten: set[str] = set()  # files of the learner's folder
        self._turn = RLock()
        self.verbs: Mapping[str, Callable[[str], None]] = {
            "pause": self.pause,
            "unpause": self.unpause,
            "stop": self.stop,
            "start": self.start,
            "restart": self.restart,
            "kill": self.kill,
            "disconnect": self.disconnect,
            "reconnect": self.reconnect,
        }

    def touched(self, name: str) -> bool:
        """Whether the state of this container is (partly) our own doing."""
        with self._turn:
            harm = self._harm.get(name)
            return harm is not None and harm.container == self._stack.containers.get(name)

    def pause(self, name: str) -> None:
        """Freeze every process of it: connections are accepted by the kernel, and nobody ever answers."""
        with self._turn:
            harm = self._of(name)
            harm.paused = True
            for patience in (*_THAWS, None):
                try:
                    self._stack.engine.pause(harm.container)
                except EngineRefused as refused:
                    if self._stack.engine.inspect(harm.container).status == "paused":
                        return
                    if "freeze" not in str(refused) or patience is None:
                        raise
                    time.sleep(patience)
                else:
                    return

    def unpause(self, name: str) -> None:
        """Let it run on."""
        with self._turn:
            harm = self._of(name)
            if self._stack.engine.inspect(harm.container).status == "paused":
                self._stack.engine.unpause(harm.container)
            harm.paused = False
            self._forget_if_whole(name)

    def stop(self, name: str) -> None:
        """End it in an orderly way; its name is gone from the network."""
        with self._turn:
            harm = self._of(name)
            harm.down = True
            self._stack.engine.stop(harm.container, grace_seconds=STOP_SECONDS)

    def kill(self, name: str) -> None:
        """End it at once, as a crash does. One that is paused thaws, and its children live on for a moment."""
        self.signal(name, "SIGKILL")

    def signal(self, name: str, signal: str) -> None:
        """Send a signal to its first process; `ValueError` for one that no check needs."""
        if signal not in _SIGNALS:
            raise ValueError(f"signal {signal}")
        with self._turn:
            harm = self._of(name)
            harm.down = True
            self._stack.engine.kill(harm.container, signal)

    def start(self, name: str) -> None:
        """Start again what was stopped or killed: a service until it answers a login, a replica without waiting.

        A service comes back empty unless its recipe keeps data; a replica has the container that it had.
        """
        with self._turn:
            harm = self._of(name)
            self._stack.start_again(name)
            harm.down = False
            self._forget_if_whole(name)

    def restart(self, name: str) -> None:
        """Stop a service and start it again."""
        self.stop(name)
        self.start(name)

    def disconnect(self, name: str) -> None:
        """Take it off the lab's network: packets vanish."""
        with self._turn:
            harm = self._of(name)
            harm.cut = True
            self._stack.cut(name)

    def reconnect(self, name: str) -> None:
        """Back on the network, with the address and the name that it had."""
        with self._turn:
            harm = self._of(name)
            self._stack.mend(name)
            harm.cut = False
            self._forget_if_whole(name)

    def rewrite(self, path: str, content: bytes | None) -> None:
        """Replace a file of the learner's folder as the roles see it; None puts back what was handed in."""
        with self._turn:
            self._rewritten.add(path)
            self._stack.rewrite(path, content)
            if content is None:
                self._rewritten.discard(path)

    def put_right(self) -> None:
        """Undo everything that is still disturbed; a replica that was ended is forgotten, not started again.

        All names are tried, then the first problem is raised.
        """
        with self._turn:
            problems: list[Problem] = []
            for name, harm in list(self._harm.items()):
                try:
                    if harm.container == self._stack.containers.get(name):
                        self._repair(name, harm)
                    del self._harm[name]
                except Problem as problem:
                    problems.append(problem)
            for path in tuple(self._rewritten):
                try:
                    self.rewrite(path, None)
                except Problem as problem:
                    problems.append(problem)
            if problems:
                raise problems[0]

    def _repair(self, name: str, harm: Harm) -> None:
        engine = self._stack.engine
        if harm.down and name in self._stack.replicas:
            self._stack.drop(name)
            return
        with contextlib.suppress(Missing):
            if harm.paused and engine.inspect(harm.container).status == "paused":
                engine.unpause(harm.container)
            if harm.cut:
                self._stack.mend(name)
            if harm.down and engine.inspect(harm.container).status not in _ENDED:
                # It may still be busy ending, and starting what still runs would do nothing.
                engine.stop(harm.container, grace_seconds=STOP_SECONDS)
            ended = engine.inspect(harm.container).status in _ENDED
            if ended and name not in self._stack.replicas:  # a replica's end is for `ended_roles` to tell
                self._stack.start_again(name)

    def _of(self, name: str) -> Harm:
        container = self._stack.containers[name]
        harm = self._harm.get(name)
        if harm is None or harm.container != container:
            harm = self._harm[name] = Harm(container)
        return harm

    def _forget_if_whole(self, name: str) -> None:
        harm = self._harm[name]
        if not (harm.paused or harm.down or harm.cut):
            del self._harm[name]
