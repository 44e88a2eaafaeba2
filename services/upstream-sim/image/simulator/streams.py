"""Answers that stay open and can be told to say more: server-sent events, WebSockets. Knows neither's form."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stream:
    """One of them: what is still to be sent to it."""

    def __init__(self, form: Callable[[str], bytes]) -> None:
        self._form = form
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    def push(self, text: str) -> None:
        """Send one event or one text frame soon."""
        self._waiting.put_nowait(self._form(text))

    def end(self) -> None:
        """Send what waits, then no more."""
        self._waiting.put_nowait(None)

    async def next(self) -> bytes | None:
        """What is to be sent next; None at the end."""
        return await self._waiting.get()


class Streams:
    """All that are open."""

    def __init__(self) -> None:
        self._open: set[Stream] = set()

    @contextmanager
    def opened(self, form: Callable[[str], bytes]) -> Iterator[Stream]:
        """A new one, for as long as the block lasts."""
        stream = Stream(form)
        self._open.add(stream)
        try:
            yield stream
        finally:
            self._open.discard(stream)

    def push(self, text: str) -> int:
        """Send a text to all. How many there were."""
        for stream in self._open:
            stream.push(text)
        return len(self._open)

    def end(self) -> int:
        """End all. How many there were."""
        for stream in self._open:
            stream.end()
        return len(self._open)
