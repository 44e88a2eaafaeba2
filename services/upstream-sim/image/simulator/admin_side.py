"""The door for whoever steers the upstream: JSON over HTTP, with a bearer token where one is set. Opens nothing itself.

GET    /healthz                 200, without a token
GET    /                        name, whether it listens, gates, counts
GET    /routes                  all routes in the order in which they are asked
POST   /routes                  one route or a list of them (see routes.py), in front of the others: {"ids": […]}
DELETE /routes, /routes/7       all but the seed's; one
GET    /gates, /gates/NAME      name, open, waiting, targets (of those who wait), passed
PUT    /gates/NAME              {"path": …, "method": …, "where": …}: closes a gate for these requests
POST   /gates/NAME/open         everybody may pass from now on; {"count": 2}: the first two of those who wait
DELETE /gates/NAME              opens and forgets it
GET    /log?path=&since=&method=&limit=   requests, oldest first: those after number `since` whose target begins so
GET    /counts?path=&since=&method=  requests, in_progress, highest, connections_used; connections_opened, sequence
PUT    /listener                {"open": false}: connections are refused, those that there are reset
POST   /streams/push            {"text": …} to all open server-sent events and WebSockets: {"streams": 2}
POST   /streams/end             ends them
POST   /reset                   as it was at the start; sequence and connection numbers go on
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from itertools import islice
from typing import Any
from urllib.parse import parse_qs

from simulator import routes
from simulator.data_side import DataSide, listening
from simulator.wire import Gone, Line, Malformed, Request, read_body, read_head

_Reply = tuple[int, Any]
_MOST_BODY = 64 * 1024  # as much as is kept


class AdminSide:
    """Reads and changes a data side."""

    def __init__(self, port: int, token: str, data: DataSide) -> None:
        self._port, self._token, self._data = port, token, data
        self._server: Any = None

    async def open(self) -> None:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Line(self._serve), sock=listening(self._port))

    async def _serve(self, line: Line) -> None:
        try:
            while (request := await read_head(line)) is not None:
                await read_body(line, request)
                status, found = await self._reply(request)
                body = json.dumps(found).encode() + b"\n"
                head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                end = "\r\n" if request.keeps_alive else "Connection: close\r\n\r\n"
                await line.send((head + end).encode() + body)
                if not request.keeps_alive:
                    break
        except (Gone, Malformed, ConnectionError):
            pass
        finally:
            line.writer.close()

    async def _reply(self, request: Request) -> _Reply:
        if request.path == "/healthz":
            return 200, {"status": "ok"}
        token = request.header("Authorization").removeprefix("Bearer ")
        if self._token and not hmac.compare_digest(token.encode(), self._token.encode()):
            return 401, {"error": "unauthorized"}
        try:
            given = json.loads(request.body) if request.length else {}
            if request.length > _MOST_BODY:
                return 413, {"error": "too_large"}
            parts = [part for part in request.path.split("/") if part]
            query = {name: values[0] for name, values in parse_qs(request.query).items()}
            return await self._act(request.method, parts, given, query)
        except (ValueError, TypeError, AttributeError, KeyError, routes.BadRoute) as error:
            return 400, {"error": "bad_request", "reason": str(error)}

    async def _act(self, method: str, parts: list[str], given: Any, query: dict[str, str]) -> _Reply:
        data = self._data
        match [method, *parts]:
            case ["GET"]:
                return 200, self._summary()
            case ["GET", "routes"]:
                return 200, {"routes": [route.shown() for route in data.table.all()]}
            case ["POST", "routes"]:
                return 201, {"ids": data.table.add(given if isinstance(given, list) else [given])}
            case ["DELETE", "routes"]:
                data.table.clear()
                return 200, {}
            case ["DELETE", "routes", number]:
                return (200, {}) if data.table.remove(int(number)) else _missing()
            case [_, "gates", *rest]:
                return self._gates(method, rest, given)
            case ["GET", "log"]:
                chosen = islice(data.ledger.chosen(**_selection(query)), int(query.get("limit", "200")))
                return 200, {"now": time.monotonic(), "requests": [entry.shown() for entry in chosen]}
            case ["GET", "counts"]:
                return 200, data.ledger.counts(**_selection(query))
            case ["PUT", "listener"]:
                if given["open"]:
                    await data.open()
                else:
                    data.refuse()
                return 200, {"open": data.is_open}
            case ["POST", "streams", "push"]:
                return 200, {"streams": data.streams.push(str(given["text"]))}
            case ["POST", "streams", "end"]:
                return 200, {"streams": data.streams.end()}
            case ["POST", "reset"]:
                data.reset()
                await data.open()
                await asyncio.sleep(0)  # those who were cut off leave the counts
                return 200, self._summary()
        return _missing()

    def _gates(self, method: str, parts: list[str], given: Any) -> _Reply:
        gates = self._data.gates
        match [method, *parts]:
            case ["GET"]:
                return 200, {"gates": [gate.shown() for gate in gates.all()]}
            case ["PUT", name]:
                return 200, gates.close(name, routes.pattern(given)).shown()
            case [_, name, *_] if gates.named(name) is None:
                return _missing()
            case ["GET", name]:
                gate = gates.named(name)
                return 200, gate.shown() if gate else {}
            case ["POST", name, "open"]:
                gate = gates.named(name)
                return 200, {"let": gate.let(given.get("count")) if gate else 0}
            case ["DELETE", name]:
                gates.remove(name)
                return 200, {}
        return _missing()

    def _summary(self) -> dict[str, Any]:
        data = self._data
        return {
            "name": data.table.name,
            "open": data.is_open,
            "gates": [gate.shown() for gate in data.gates.all()],
            **data.ledger.counts(),
        }


def _missing() -> _Reply:
    return 404, {"error": "not_found"}


def _selection(query: dict[str, str]) -> dict[str, Any]:
    return {
        "path": query.get("path", ""),
        "since": int(query.get("since", "0")),
        "method": query.get("method", ""),
    }
