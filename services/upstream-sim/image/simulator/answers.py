"""Sends what a route says over one connection, with every fault that it may name. Knows nothing of who decided so."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from http import HTTPStatus
from typing import Any

from simulator import filled, websocket
from simulator.ledger import Entry, Ledger
from simulator.streams import Streams
from simulator.wire import BUFFER, Line

_GARBAGE = b"\x16\x03\x01\x02 no HTTP at all \xff\xfe\r\n\r\n"
_ENDLESS = 1_000_000_000
_FILLER = b"0123456789abcdef" * 4096
_NO_BODY = (204, 304)


class Answer:
    """One answer on its way: the connection, the entry that it is counted in, and what is to be sent."""

    def __init__(self, line: Line, entry: Entry, given: dict[str, Any], ledger: Ledger, name: str) -> None:
        self.line, self.entry, self.given, self.ledger, self.name = line, entry, given, ledger, name
        self.keeps = entry.request.keeps_alive

    async def give(self, streams: Streams) -> bool:
        """Whether another request may follow. Raises `Gone` when the client is."""
        given, line = self.given, self.line
        if given.get("delay"):
            await line.unless_gone(asyncio.sleep(given["delay"]))
        match given.get("fault"):
            case "hang":
                await line.unless_gone(asyncio.Event().wait())
            case "close":
                return self._ends("cut")
            case "reset":
                _reset(line)
                return self._ends("cut")
            case "garbage":
                await self._send(_GARBAGE)
                return self._ends("cut")
            case "trickle":
                await self._trickle()
            case "cut":
                return await self._cut()
        if given.get("websocket") and self.entry.request.header("Upgrade").lower() == "websocket":
            with streams.opened(websocket.frame) as stream:
                self.entry.status = 101
                await websocket.echo(self._send, line, self.entry.request, stream)
            return self._ends("answered")
        if "events" in given:
            return await self._events(streams)
        if "body_size" in given:
            return await self._filler(given["body_size"])
        return await self._whole()

    def _ends(self, outcome: str) -> bool:
        self.ledger.ended(self.entry, outcome)
        return False

    async def _send(self, piece: bytes) -> None:
        self.entry.sent += len(piece)
        await self.line.send(piece)

    def _body(self) -> tuple[bytes, str]:
        given, entry = self.given, self.entry
        if given.get("echo"):
            request = entry.request
            found = {
                "name": self.name,
                "method": request.method,
                "target": request.target,
                "headers": [list(pair) for pair in request.headers],
                "body_length": request.length,
                "body_digest": request.digest,
                "connection": entry.connection,
                "sequence": entry.sequence,
            }
            return json.dumps(found).encode() + b"\n", "application/json"
        if "json" in given:
            return json.dumps(
                filled.value(given["json"], entry, self.name)
            ).encode() + b"\n", "application/json"
        return filled.text(given.get("body", ""), entry, self.name).encode(), "text/plain; charset=utf-8"

    def _head(self, length: int | None, kind: str, *more: tuple[str, str]) -> bytes:
        """`length` None: in chunks, or until the connection ends where the client knows no chunks."""
        status = self.entry.status = self.given.get("status", 200)
        own = self.given.get("headers") or []
        pairs = [
            (str(name), filled.text(str(value), self.entry, self.name))
            for name, value in (own.items() if isinstance(own, dict) else own)
        ]
        said = {name.lower() for name, _ in pairs}
        if length is None and self.entry.request.version == "HTTP/1.0":
            self.keeps = False
        elif length is None:
            pairs.append(("Transfer-Encoding", "chunked"))
        elif status not in _NO_BODY and "content-length" not in said:
            pairs.append(("Content-Length", str(length)))
        if "content-type" not in said and kind and status not in _NO_BODY:
            pairs.append(("Content-Type", kind))
        pairs += [pair for pair in more if pair[0].lower() not in said]
        if not self.keeps:
            pairs.append(("Connection", "close"))
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in pairs)]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def _chunk(self, piece: bytes) -> bytes:
        return piece if not self.keeps else b"%x\r\n%b\r\n" % (len(piece), piece)

    async def _whole(self) -> bool:
        body, kind = self._body()
        chunked = bool(self.given.get("chunked"))
        head = self._head(None if chunked else len(body), kind)
        bare = self.entry.request.method == "HEAD" or self.entry.status in _NO_BODY
        if chunked and not bare:
            body = self._chunk(body) + (b"0\r\n\r\n" if self.keeps else b"")
        await self._send(head + (b"" if bare else body))
        self.ledger.ended(self.entry, "answered")
        return self.keeps

    async def _filler(self, size: int) -> bool:
        chunked = bool(self.given.get("chunked"))
        await self._send(self._head(None if chunked else size, "application/octet-stream"))
        left = 0 if self.entry.request.method == "HEAD" else size
        while left > 0:
            piece = _FILLER[: min(left, BUFFER)]
            left -= len(piece)
            await self.line.unless_gone(self._send(self._chunk(piece) if chunked else piece))
        if chunked and self.keeps:
            await self._send(b"0\r\n\r\n")
        self.ledger.ended(self.entry, "answered")
        return self.keeps

    async def _cut(self) -> bool:
        body, kind = self._body()
        body = body or b"half of this is missing"
        await self._send(self._head(len(body), kind) + body[: len(body) // 2])
        return self._ends("cut")

    async def _trickle(self) -> None:
        await self._send(self._head(_ENDLESS, "application/json"))
        while True:
            await self.line.unless_gone(asyncio.sleep(self.given.get("every", 0.3)))
            await self._send(b" ")

    async def _events(self, streams: Streams) -> bool:
        """The events of the route, then what is pushed, until the stream is ended."""
        await self._send(self._head(None, "text/event-stream", ("Cache-Control", "no-cache")))
        with streams.opened(_event) as stream:
            for one in self.given["events"]:
                stream.push(filled.text(str(one), self.entry, self.name))
            while (piece := await self.line.unless_gone(stream.next())) is not None:
                await self._send(self._chunk(piece))
        if self.keeps:
            await self._send(b"0\r\n\r\n")
        self.ledger.ended(self.entry, "answered")
        return self.keeps


def _event(text: str) -> bytes:
    return "".join(f"data: {line}\n" for line in text.split("\n")).encode() + b"\n"


def _reset(line: Line) -> None:
    raw: socket.socket = line.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.transport.abort()
