"""Turns orders into invoices: queue, gateway, table. Knows nothing of HTTP towards customers.

A message is acknowledged when its outcome is safe somewhere else: as a row that is committed, or as a message that the
broker has confirmed in the waiting queue or in the dead one. Until then the broker keeps it, and gives it to somebody
else if this process dies.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import psycopg
from aio_pika.abc import AbstractIncomingMessage
from app import billing, broker, gateway
from app.contract import Malformed, read_order
from app.settings import settings

PAUSE = 0.5  # seconds between two attempts to reach a broker that is away
CONNECT_SECONDS = 5.0
RESERVE = 3.0  # seconds of the grace period that are left for closing everything


class Worker:
    """Consumes the queue `invoices`, and goes on doing so whatever becomes of the connection."""

    def __init__(self) -> None:
        self._line: broker.Line | None = None
        self._lost = asyncio.Event()
        self._held: set[asyncio.Task[None]] = set()
        self._tag: str | None = None
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to consume."""
        await billing.pool.open(wait=False)
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Takes no more orders, finishes those that it holds, and hangs up."""
        if self._running is not None:
            self._running.cancel()
        line = self._line
        if line is not None and self._tag is not None:
            with suppress(Exception):
                await asyncio.wait_for(line.queue.cancel(self._tag), 2)
        if self._held:
            await asyncio.wait(self._held, timeout=settings.shutdown_grace - RESERVE)
        if line is not None:
            await line.hang_up()
        await gateway.client.aclose()
        await billing.pool.close(1)

    def ready(self) -> bool:
        """Whether it consumes."""
        return self._tag is not None

    async def _run(self) -> None:
        while True:
            try:
                await self._consume()
            except Exception as problem:  # noqa: BLE001 - whatever it was, there is one answer: connect again
                print(f"no broker: {problem!r}", flush=True)
            if self._line is not None:
                await self._line.hang_up()
                self._line = None
            await asyncio.sleep(PAUSE)

    async def _consume(self) -> None:
        """Consumes until the connection is lost."""
        line = self._line = await broker.connect(CONNECT_SECONDS)
        lost = self._lost = asyncio.Event()
        line.when_lost(lost.set)
        await line.channel.set_qos(prefetch_count=settings.prefetch)
        self._tag = await line.queue.consume(lambda message: self._take(line, lost, message))
        await lost.wait()

    async def _take(self, line: broker.Line, lost: asyncio.Event, message: AbstractIncomingMessage) -> None:
        task = asyncio.create_task(self._settle(line, message))
        self._held.add(task)
        task.add_done_callback(self._held.discard)
        await asyncio.wait({task})
        if task.cancelled() or task.exception() is not None:
            print(f"{message.message_id}: left to the broker: {task!r}", flush=True)
            lost.set()  # it was not acknowledged; with the end of this connection it goes back into the queue

    async def _settle(self, line: broker.Line, message: AbstractIncomingMessage) -> None:
        """Brings one message to an outcome that is safe, then acknowledges it."""
        await _carry_out(line, message)
        await message.ack()


async def _carry_out(line: broker.Line, message: AbstractIncomingMessage) -> None:
    """Returns when the order is an invoice, or safe in another queue; raises if neither can be promised."""
    attempts = _attempts(message)
    try:
        order = read_order(message.body)
    except Malformed as problem:
        await _bury(line, message, attempts, f"malformed: {problem}")
        return
    attempts += 1
    try:
        await billing.record(order, await gateway.sign(order))
    except gateway.Refused as problem:
        await _bury(line, message, attempts, str(problem))
    except (gateway.NotNow, psycopg.Error) as problem:
        if attempts >= settings.max_attempts:
            await _bury(line, message, attempts, f"given up after {attempts} attempts: {problem}")
        else:
            await _postpone(line, message, attempts)


def _attempts(message: AbstractIncomingMessage) -> int:
    made = message.headers.get("x-attempts", 0)
    return made if isinstance(made, int) and made > 0 else 0


async def _postpone(line: broker.Line, message: AbstractIncomingMessage, attempts: int) -> None:
    """A copy into the waiting queue, which gives it back to `orders` when its time is up."""
    exchange = line.channel.default_exchange
    await line.publish(exchange, broker.WAITING, message.body, message.message_id, {"x-attempts": attempts})


async def _bury(line: broker.Line, message: AbstractIncomingMessage, attempts: int, reason: str) -> None:
    """A copy into the dead queue, with what somebody needs who looks at it tomorrow."""
    exchange = line.channel.default_exchange
    headers = {"x-attempts": attempts, "x-error": reason}
    await line.publish(exchange, broker.DEAD, message.body, message.message_id, headers)
