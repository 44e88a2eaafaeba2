"""How many retries a partner may be asked for: a share of the first attempts of the last minute, and a few more."""

from __future__ import annotations

import time
from collections import deque

SECONDS = 60.0


class Budget:
    """The budget of one partner."""

    def __init__(self, ratio: float, floor: int) -> None:
        self._ratio, self._floor = ratio, floor
        self._firsts: deque[float] = deque()
        self._retries: deque[float] = deque()

    def first(self) -> None:
        """A first attempt is about to be made."""
        self._firsts.append(time.monotonic())

    def take(self) -> bool:
        """Whether one more retry may be made; it is counted at once."""
        now = time.monotonic()
        for made in (self._firsts, self._retries):
            while made and made[0] <= now - SECONDS:
                made.popleft()
        if len(self._retries) + 1 > self._floor + self._ratio * len(self._firsts):
            return False
        self._retries.append(now)
        return True
