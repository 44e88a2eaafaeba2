"""A bulkhead: so many calls to one partner may be in progress, and nobody waits for a place. Knows nothing of calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Full(Exception):
    """Every place is taken."""


class Bulkhead:
    """The places of one partner."""

    def __init__(self, places: int) -> None:
        self._places = places
        self.taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for as long as the block lasts, however it ends. Raises `Full`."""
        if self.taken >= self._places:
            raise Full(f"{self.taken} calls are in progress")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
