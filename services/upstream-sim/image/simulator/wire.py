"""HTTP/1.1 requests as they come over a connection, and notice of the moment at which the other side goes away.

Knows nothing of routes. Keeps the target and the headers as they were sent.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

MOST_HEAD = 64 * 1024
KEPT_BODY = 64 * 1024  # of a longer body only digest and length are known
BUFFER = 64 * 1024  # what may lie between us and a slow reader, in the process and in the kernel alike


class Gone(Exception):
    """The other side closed its end while we were at work for it."""


class Malformed(Exception):
    """What came is no HTTP/1.1 request."""


@dataclass
class Request:
    """One request; `body` is its first part, `digest` and `length` are of all of it."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    length: int = 0
    digest: str = ""
    params: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the question mark, as it was sent."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str:
        """The first header of that name in any case, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def keeps_alive(self) -> bool:
        """Whether another request may follow on the same connection."""
        wish = self.header("Connection").lower()
        return "close" not in wish if self.version == "HTTP/1.1" else "keep-alive" in wish


class Line(asyncio.StreamReaderProtocol):
    """One connection. `gone` is set as soon as the other side has closed, also while nobody reads."""

    def __init__(self, served: Callable[[Line], Awaitable[None]]) -> None:
        self.reader = asyncio.StreamReader(limit=MOST_HEAD)
        self.gone = asyncio.Event()
        self.transport: Any = None
        self.writer: Any = None

        async def begin(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.transport, self.writer = writer.transport, writer
            writer.transport.set_write_buffer_limits(high=BUFFER)
            await served(self)

        super().__init__(self.reader, begin)

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """The result of `work`; `Gone` as soon as the other side closes."""
        task = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self.gone.wait())
        try:
            await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or self.gone.is_set():
                raise Gone
            return task.result()
        finally:
            leaving.cancel()
            task.cancel()

    async def send(self, piece: bytes) -> None:
        """Write; returns when there is room for more. `Gone` if there is nobody to write to."""
        if self.transport.is_closing():
            raise Gone
        self.writer.write(piece)
        try:
            await self.writer.drain()
        except ConnectionError:
            raise Gone from None


async def read_head(line: Line) -> Request | None:
    """The next request without its body; None when the connection ended before one began."""
    try:
        head = await line.reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as cut:
        if cut.partial:
            raise Malformed("the connection ended within the head") from None
        return None
    except asyncio.LimitOverrunError:
        raise Malformed("the head is too long") from None
    first, *rest = head[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise Malformed(f"no request line: {first[:100]!r}")
    headers = []
    for one in rest:
        name, colon, value = one.partition(":")
        if not colon or not name or name != name.strip():
            raise Malformed(f"no header: {one[:100]!r}")
        headers.append((name, value.strip()))
    return Request(parts[0], parts[1], parts[2], tuple(headers))


async def read_body(line: Line, request: Request) -> None:
    """The whole body, into the request's `body`, `length` and `digest`."""
    if request.header("Expect").lower() == "100-continue":
        await line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    seen = hashlib.sha256()
    kept = bytearray()

    def take(piece: bytes) -> None:
        seen.update(piece)
        kept.extend(piece[: KEPT_BODY - len(kept)])
        request.length += len(piece)

    try:
        if "chunked" in request.header("Transfer-Encoding").lower():
            await _chunks(line, take)
        else:
            await _exactly(line, int(request.header("Content-Length") or 0), take)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        raise Malformed("the body ended early, or its length is no number") from None
    finally:
        request.body, request.digest = bytes(kept), seen.hexdigest()


async def _exactly(line: Line, left: int, take: Callable[[bytes], None]) -> None:
    while left > 0:
        piece = await line.reader.read(min(left, 65536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        take(piece)


async def _chunks(line: Line, take: Callable[[bytes], None]) -> None:
    while True:
        size = int((await line.reader.readuntil(b"\r\n")).split(b";")[0], 16)
        await _exactly(line, size, take)
        if size == 0:
            while (await line.reader.readuntil(b"\r\n")) != b"\r\n":  # trailers
                pass
            return
        await line.reader.readexactly(2)
