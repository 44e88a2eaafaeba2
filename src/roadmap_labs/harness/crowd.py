"""Runs several calls at the same moment. Knows nothing of what they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Held(Generic[T]):
    """Calls that are under way, each in a thread of its own. `ended` counts those that are not any more."""

    def __init__(self, calls: Sequence[Callable[[], T]]) -> None:
        self._results: dict[int, T | Exception] = {}
        self._crew = [
            threading.Thread(target=self._work, args=(index, call), daemon=True)
            for index, call in enumerate(calls)
        ]
        for one in self._crew:
            one.start()

    def _work(self, index: int, call: Callable[[], T]) -> None:
        try:
            self._results[index] = call()
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the results
            self._results[index] = error

    @property
    def ended(self) -> int:
        """How many calls have returned or raised."""
        return len(self._results)

    def results(self, within: float) -> list[T | Exception]:
        """What each call returned or raised; a `TimeoutError` in the place of one that is still under way."""
        deadline = time.monotonic() + within
        for one in self._crew:
            one.join(max(deadline - time.monotonic(), 0))
        late = TimeoutError(f"still under way after {within:g} s")
        return [self._results.get(index, late) for index in range(len(self._crew))]


def held(calls: Sequence[Callable[[], T]]) -> Held[T]:
    """Begin calls that will be kept waiting, and go on at once."""
    return Held(calls)


def together(calls: Sequence[Callable[[], T]], threads: int | None = None) -> list[T]:
    """The results in the order of `calls`; `threads` calls begin at one moment (default: all of them).

    When some raise, the first of them in that order is raised after all have ended.
    """
    results = gathered(calls, threads)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return [result for result in results if not isinstance(result, Exception)]


def gathered(calls: Sequence[Callable[[], T]], threads: int | None = None) -> list[T | Exception]:
    """As `together`, but what a call raised stands in its place."""
    count = min(len(calls), threads or len(calls))
    if not count:
        return []
    results: list[T | Exception] = [RuntimeError("this call never ended")] * len(calls)
    waiting = iter(range(len(calls)))
    turn = threading.Lock()
    start = threading.Barrier(count)

    def work() -> None:
        start.wait()
        while True:
            with turn:
                index = next(waiting, None)
            if index is None:
                return
            try:
                results[index] = calls[index]()
            except Exception as error:  # noqa: BLE001 - handed to the caller
                results[index] = error

    crew = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    return results
