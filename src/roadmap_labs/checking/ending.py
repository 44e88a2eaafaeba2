"""Ends judgements that are under way side by side, in threads, all at once. Knows nothing of what they judge."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


class Ending:
    """What ends each judgement; one that begins after the word was given is ended as it begins."""

    def __init__(self) -> None:
        self._ends: dict[object, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._told = False

    @property
    def told(self) -> bool:
        """Whether the word was given: what comes out of a judgement now is none."""
        return self._told

    def begun(self, key: object, end: Callable[[], None]) -> None:
        """A judgement is under way, and `end` ends it; any thread may call it, also when it is over."""
        with self._lock:
            self._ends[key] = end
            late = self._told
        if late:
            end()

    def over(self, key: object) -> None:
        """A judgement has come to its end, if it ever began."""
        with self._lock:
            self._ends.pop(key, None)

    def now(self) -> None:
        """End all of them."""
        with self._lock:
            self._told = True
            ends = tuple(self._ends.values())
        for end in ends:
            end()


@contextmanager
def side_by_side(ending: Ending, workers: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Threads for judgements. At the end of the block those that are under way are ended and waited for."""
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix=name)
    try:
        yield pool
    finally:
        ending.now()
        pool.shutdown(wait=True, cancel_futures=True)
