"""Everyday requests that go on in the background while a check does something else. Judges nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from door import Door

from roadmap_labs.harness import LearnerBroke, waiting


@dataclass
class Traffic:
    """GETs one after another, each on a connection of its own, until it is told to stop."""

    door: Door
    path: str
    failures: list[str] = field(default_factory=list)
    sent: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _crew: list[threading.Thread] = field(default_factory=list)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, threads: int = 2) -> None:
        self._crew = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for one in self._crew:
            one.start()

    def _work(self) -> None:
        while not self._over.is_set():
            with self._turn:
                self.sent += 1
                number = self.sent
            try:
                reply = self.door.kiosk.get(f"{self.path}/{number}")
                if reply.status != 200:
                    self.failures.append(f"{reply.asked}: {reply.status}")
            except LearnerBroke as broke:
                self.failures.append(broke.message)
            self._over.wait(0.01)

    def until(self, count: int) -> None:
        """Returns when so many have been sent, or one has failed."""
        waiting.settle(lambda: self.sent >= count or self.failures, 20, f"{count} requests had been sent")

    def end(self) -> None:
        self._over.set()
        for one in self._crew:
            one.join(15 * waiting.factor())
