"""The door for programs that use the upstream: reads requests, holds them at gates, has them answered, counts them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from simulator.answers import Answer
from simulator.gates import Gates
from simulator.ledger import Entry, Ledger
from simulator.routes import Table
from simulator.streams import Streams
from simulator.wire import BUFFER, Gone, Line, Malformed, Request, read_body, read_head


def listening(port: int) -> socket.socket:
    """A socket that listens on all addresses, with small fixed buffers: what is not read backs up soon."""
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    door.bind(("0.0.0.0", port))  # noqa: S104 - in a container
    door.listen(1024)
    door.setblocking(False)
    return door


class DataSide:
    """The upstream itself, with all that the admin side can steer and read."""

    def __init__(self, port: int, table: Table, gates: Gates, ledger: Ledger) -> None:
        self._port = port
        self.table, self.gates, self.ledger = table, gates, ledger
        self.streams = Streams()
        self._server: Any = None
        self._lines: dict[Line, asyncio.Task[Any]] = {}
        self._busy: set[Line] = set()

    @property
    def is_open(self) -> bool:
        """Whether new connections are accepted."""
        return self._server is not None

    async def open(self) -> None:
        """Accept connections."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: Line(self._serve), sock=listening(self._port))

    def refuse(self) -> None:
        """Stop to listen, so that new connections are refused, and reset those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._abort(lambda line: True)

    def reset(self) -> None:
        """The seed's routes, no gates, an empty log; requests in progress are cut off, idle connections stay."""
        self.table.clear()
        self._abort(lambda line: line in self._busy)
        self.gates.clear()
        self.ledger.clear()

    def _abort(self, which: Callable[[Line], bool]) -> None:
        for line, task in list(self._lines.items()):
            if which(line):
                task.cancel()
                if line.transport is not None:
                    line.transport.abort()

    async def _serve(self, line: Line) -> None:
        ledger = self.ledger
        ledger.connections_opened += 1
        ledger.connections_open += 1
        number = ledger.connections_opened
        task = asyncio.current_task()
        assert task is not None
        self._lines[line] = task
        try:
            while await self._one(line, number):
                pass
        except (Gone, Malformed, ConnectionError):
            pass
        finally:
            del self._lines[line]
            ledger.connections_open -= 1
            line.writer.close()

    async def _one(self, line: Line, number: int) -> bool:
        """Serve one request; whether another may follow."""
        request = await read_head(line)
        if request is None:
            return False
        arrived = time.monotonic()
        self._busy.add(line)
        entry: Entry | None = None
        try:
            with contextlib.suppress(Malformed):
                await read_body(line, request)
                entry = self.ledger.arrived(number, request, arrived)
                return await self._answer(line, entry, request)
            entry = self.ledger.arrived(number, request, arrived)
            raise Gone
        except Gone:
            if entry is not None:
                self.ledger.ended(entry, "went away")
            raise
        finally:
            self._busy.discard(line)
            if entry is not None:
                self.ledger.ended(entry, "cut")

    async def _answer(self, line: Line, entry: Entry, request: Request) -> bool:
        gate = self.gates.at(request.method, request.path)
        if gate is not None:
            await line.unless_gone(gate.wait(entry))
        given, request.params = self.table.choose(request.method, request.path)
        return await Answer(line, entry, given, self.ledger, self.table.name).give(self.streams)
