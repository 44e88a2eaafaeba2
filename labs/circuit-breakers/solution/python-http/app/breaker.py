"""A circuit breaker: from the ends of past calls it decides whether the next one may leave. Knows nothing of calls.

All methods are called from the one event loop and wait for nothing, so each of them is one step that nobody
can come in between.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Literal

State = Literal["closed", "open", "half_open"]


class Open(Exception):
    """No call may leave now; `wait` seconds until one may try."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"the breaker is open for another {wait:.1f} s")
        self.wait = wait


class Breaker:
    """The breaker of one partner. Each change of state begins a new generation."""

    def __init__(self, window: int, min_calls: int, ratio: float, open_seconds: float, probes: int) -> None:
        self._min_calls, self._ratio = min_calls, ratio
        self._open_seconds, self._most_probes = open_seconds, probes
        self._ends: deque[bool] = deque(maxlen=window)  # of the latest calls: whether they succeeded
        self._generation = 0
        self._tries_at = 0.0
        self._probes = self._proven = 0
        self.state: State = "closed"
        self.rejected = 0

    def enter(self) -> int:
        """A permit for one call, to be given back to `leave` whatever becomes of it. Raises `Open`."""
        now = time.monotonic()
        if self.state == "open" and now >= self._tries_at:
            self._change("half_open")
        if self.state == "half_open" and self._probes < self._most_probes:
            self._probes += 1
            return self._generation
        if self.state != "closed":
            self.rejected += 1
            raise Open(max(self._tries_at - now, 0.0))
        return self._generation

    def leave(self, permit: int, succeeded: bool | None) -> None:
        """A call is over. None: it was given up by us and says nothing about the partner."""
        if permit != self._generation:
            return  # it left in another state: too old to say anything about this one
        if self.state == "half_open":
            self._judge_probe(succeeded)
        elif succeeded is not None:
            self._ends.append(succeeded)
            enough = len(self._ends) >= self._min_calls
            if enough and self._ends.count(False) >= self._ratio * len(self._ends):
                self._change("open")

    def _judge_probe(self, succeeded: bool | None) -> None:
        if succeeded is None:
            self._probes -= 1  # somebody else may try
        elif not succeeded:
            self._change("open")
        else:
            self._proven += 1
            if self._proven >= self._most_probes:
                self._change("closed")

    def _change(self, state: State) -> None:
        self.state = state
        self._generation += 1
        self._ends.clear()
        self._probes = self._proven = 0
        if state == "open":
            self._tries_at = time.monotonic() + self._open_seconds
