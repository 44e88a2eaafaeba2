"""Runs several calls at the same moment. Knows nothing of what they do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


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
