"""The admin side: a few requests over HTTP/1.1 that read and set the faults. Knows nothing of how bytes are carried."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json

from fault.faults import Faults, Nonsense, wished
from fault.proxy import Line, Proxy

LONGEST_HEAD, LONGEST_BODY = 8192, 8192
SECONDS = 10.0
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


class Admin:
    """Answers `GET /healthz`, `GET /state`, `PUT /faults`, `DELETE /faults` and `POST /reset`."""

    def __init__(self, proxy: Proxy, password: str) -> None:
        self._proxy, self._password = proxy, password

    async def serve(self, port: int) -> None:
        """Answer until the end."""
        server = await asyncio.start_server(self._talk, None, port, limit=LONGEST_HEAD)
        async with server:
            await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                status, body = await self._answer(reader)
                sent = json.dumps(body).encode() + b"\n"
                head = (
                    f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(sent)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + sent)
                await writer.drain()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever talks like that gets no answer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, object]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:])
        }
        size = int(headers.get("content-length", "0"))
        if not 0 <= size <= LONGEST_BODY:
            return 400, {"error": "the body is too long"}
        body = await reader.readexactly(size)
        if path == "/healthz":
            return 200, {"status": "ok"}
        if not self._allowed(headers.get("authorization", "")):
            return 401, {"error": "not for you"}
        return await self._act(method, path, body)

    def _allowed(self, credentials: str) -> bool:
        wanted = f"Bearer {self._password}"
        return not self._password or hmac.compare_digest(credentials.encode(), wanted.encode())

    async def _act(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        proxy = self._proxy
        cut = 0
        if (method, path) == ("PUT", "/faults"):
            try:
                await proxy.set(wished(json.loads(body)))
            except (Nonsense, ValueError) as error:
                return 400, {"error": str(error)}
        elif (method, path) == ("DELETE", "/faults"):
            await proxy.set(Faults())
        elif (method, path) == ("POST", "/reset"):
            cut = await proxy.reset()
        elif (method, path) != ("GET", "/state"):
            return 404, {"error": "GET /state, PUT /faults, DELETE /faults, POST /reset"}
        return 200, {**_state(proxy), "cut": cut}


def _state(proxy: Proxy) -> dict[str, object]:
    counts = proxy.counts
    return {
        "target": ":".join(map(str, proxy.target)),
        "faults": proxy.faults.told(),
        "listening": proxy.listening(),
        "opened": counts.opened,
        "closed": counts.closed,
        "reset": counts.reset,
        "failed": counts.failed,
        "bytes": counts.bytes,
        "swallowed": counts.swallowed,
        "connections": [_line(line) for line in (*proxy.ended, *proxy.open.values())],
    }


def _line(line: Line) -> dict[str, object]:
    return {
        "number": line.number,
        "client": line.client,
        "began": line.began,
        "ended": line.ended,
        "reached": line.reached,
        "bytes": line.bytes,
    }
