"""Carries bytes between clients and one target, and breaks what the faults say. Knows nothing of the admin side.

Sockets have small fixed buffers, so that a reader that stops is felt by the writer soon and always at the same size.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from fault.faults import DOWN, UP, Faults

PIECE = 16 * 1024
DIAL_SECONDS = 10.0
REMEMBERED = 200  # connections that have ended


@dataclass
class Counts:
    """How much has happened since the proxy started; only ever grows."""

    opened: int = 0
    closed: int = 0
    reset: int = 0
    failed: int = 0  # the target could not be reached
    bytes: dict[str, int] = field(default_factory=lambda: {UP: 0, DOWN: 0})
    swallowed: dict[str, int] = field(default_factory=lambda: {UP: 0, DOWN: 0})


@dataclass
class Line:
    """One connection of a client. `lost` as soon as a byte of it was thrown away."""

    number: int
    client: str
    began: float
    ended: float | None = None
    reached: bool = False
    lost: bool = False
    bytes: dict[str, int] = field(default_factory=lambda: {UP: 0, DOWN: 0})
    sockets: list[socket.socket] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Proxy:
    """One listener and one target. All methods run in the event loop's thread."""

    def __init__(self, port: int, target: str, buffer: int) -> None:
        host, _, number = target.rpartition(":")
        self.target = (host, int(number))
        self.faults = Faults()
        self.counts = Counts()
        self.open: dict[int, Line] = {}
        self.ended: deque[Line] = deque(maxlen=REMEMBERED)
        self._port, self._buffer = port, buffer
        self._numbers = itertools.count(1)
        self._moving = asyncio.Event()  # cleared while frozen
        self._moving.set()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    # -- faults

    def listening(self) -> bool:
        """Whether new connections are taken."""
        return self._listener is not None

    async def set(self, faults: Faults) -> None:
        """Put these faults in force, all at once. A connection that has lost bytes can't go on: it is reset."""
        healed = [
            line for line in self.open.values() if line.lost and self.faults.swallow and not faults.swallow
        ]
        self.faults = faults
        if faults.freeze:
            self._moving.clear()
        else:
            self._moving.set()
        if faults.refuse:
            await self._close_listener()
        else:
            self.listen()
        await self._reset(healed)

    async def reset(self) -> int:
        """End every connection with RST on both sides; how many there were."""
        return await self._reset(list(self.open.values()))

    async def _reset(self, lines: list[Line]) -> int:
        tasks = []
        for line in lines:
            for one in line.sockets:
                _hard(one)
            if line.task is not None:
                line.task.cancel()
                tasks.append(line.task)
        self.counts.reset += len(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks)

    # -- connections

    def listen(self) -> None:
        """Take connections, if that is not so already."""
        if self._listener is not None:
            return
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._bounded(listener)  # before listen(): accepted sockets inherit it
        listener.bind(("", self._port))
        listener.listen(256)
        listener.setblocking(False)
        self._listener = listener
        self._accepting = asyncio.create_task(self._accept(listener))

    async def _close_listener(self) -> None:
        if self._listener is None or self._accepting is None:
            return
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._listener.close()
        self._listener = self._accepting = None

    def _bounded(self, one: socket.socket) -> None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, (host, port) = await loop.sock_accept(listener)
            except OSError as error:  # the client has gone again, or there are too many of them
                _log(f"accept: {error}")
                await asyncio.sleep(0.05)
                continue
            client.setblocking(False)
            line = Line(next(self._numbers), f"{host}:{port}", time.time(), sockets=[client])
            self.open[line.number] = line
            self.counts.opened += 1
            line.task = asyncio.create_task(self._carry(line, client))

    async def _carry(self, line: Line, client: socket.socket) -> None:
        try:
            await self._moving.wait()
            target = await self._dial(line)
            line.reached = True
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(line, client, target, UP))
                both.create_task(self._pump(line, target, client, DOWN))
        except* (OSError, TimeoutError):
            for one in line.sockets:  # whoever broke it, the other side learns it as a break, not as an end
                _hard(one)
        finally:
            for one in line.sockets:
                one.close()
            self.open.pop(line.number, None)
            line.ended, line.task = time.time(), None
            self.ended.append(line)
            self.counts.closed += 1

    async def _dial(self, line: Line) -> socket.socket:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(*self.target, family=socket.AF_INET, type=socket.SOCK_STREAM)
            target = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            line.sockets.append(target)
            target.setblocking(False)
            self._bounded(target)
            async with asyncio.timeout(DIAL_SECONDS):
                await loop.sock_connect(target, found[0][4])
        except OSError as error:
            self.counts.failed += 1
            _log(f"connection {line.number}: {self.target[0]}:{self.target[1]}: {error!r}")
            raise
        for one in line.sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return target

    async def _pump(self, line: Line, source: socket.socket, sink: socket.socket, direction: str) -> None:
        """Carry one direction until its end; the other one may go on."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._read(line, source, direction, queue))
            both.create_task(self._write(line, sink, direction, queue))

    async def _read(
        self, line: Line, source: socket.socket, direction: str, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        piece = b"?"
        while piece:
            await self._moving.wait()
            piece = await loop.sock_recv(source, PIECE)
            line.bytes[direction] += len(piece)
            self.counts.bytes[direction] += len(piece)
            if piece and self.faults.swallows(direction):
                line.lost = True
                self.counts.swallowed[direction] += len(piece)
                continue
            await queue.put((time.monotonic(), piece))

    async def _write(
        self, line: Line, sink: socket.socket, direction: str, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            arrived, piece = await queue.get()
            late = arrived + self.faults.latency_ms / 1000 - time.monotonic()
            if late > 0:
                await asyncio.sleep(late)
            await self._moving.wait()
            if not piece:
                with contextlib.suppress(OSError):  # it may be gone altogether by now
                    sink.shutdown(socket.SHUT_WR)
                return
            if line.lost and self.faults.swallows(direction):  # it was on its way when the fault began
                self.counts.swallowed[direction] += len(piece)
                continue
            await loop.sock_sendall(sink, piece)
            if self.faults.rate:
                await asyncio.sleep(len(piece) / self.faults.rate)


def _log(line: str) -> None:
    sys.stderr.write(line + "\n")


def _hard(one: socket.socket) -> None:
    """Closing it will send RST."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
