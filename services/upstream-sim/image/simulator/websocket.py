"""The server's side of RFC 6455, as far as an echo needs it. Knows nothing of routes.

Every frame goes back as it came, unmasked: text, binary, parts of either. Ping is answered, close ends it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable

from simulator.streams import Stream
from simulator.wire import Gone, Line, Request

_CLOSE, _PING, _PONG = 8, 9, 10
_LONGEST = 1 << 20
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Send = Callable[[bytes], Awaitable[None]]


def frame(text: str) -> bytes:
    """One text frame from the server."""
    return _framed(0x81, text.encode())


async def echo(send: Send, line: Line, request: Request, stream: Stream) -> None:
    """Shake hands, then echo until either side ends it."""
    token = base64.b64encode(
        hashlib.sha1((request.header("Sec-WebSocket-Key") + _MAGIC).encode()).digest()  # noqa: S324 (RFC 6455)
    ).decode()
    head = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {token}",
    ]
    protocol = request.header("Sec-WebSocket-Protocol").partition(",")[0].strip()
    if protocol:
        head.append(f"Sec-WebSocket-Protocol: {protocol}")
    await send("\r\n".join(head).encode() + b"\r\n\r\n")
    tasks = {asyncio.ensure_future(_pushed(send, stream)), asyncio.ensure_future(_echoed(send, line))}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def _pushed(send: Send, stream: Stream) -> None:
    while (piece := await stream.next()) is not None:
        await send(piece)
    await send(_framed(0x80 | _CLOSE, (1001).to_bytes(2, "big")))


async def _echoed(send: Send, line: Line) -> None:
    while True:
        try:
            first, payload = await _next(line)
        except asyncio.IncompleteReadError:
            raise Gone from None
        kind = first & 0x0F
        if kind == _PING:
            first = 0x80 | _PONG
        if kind != _PONG:
            await send(_framed(first, payload))
        if kind == _CLOSE:
            return


async def _next(line: Line) -> tuple[int, bytes]:
    first, second = await line.reader.readexactly(2)
    length = second & 0x7F
    if length > 125:
        length = int.from_bytes(await line.reader.readexactly(2 if length == 126 else 8), "big")
    if length > _LONGEST:
        raise Gone
    mask = await line.reader.readexactly(4) if second & 0x80 else bytes(4)
    payload = await line.reader.readexactly(length)
    return first, bytes(one ^ mask[place % 4] for place, one in enumerate(payload))


def _framed(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    long = size >= 1 << 16
    return bytes((first, 127 if long else 126)) + size.to_bytes(8 if long else 2, "big") + payload
