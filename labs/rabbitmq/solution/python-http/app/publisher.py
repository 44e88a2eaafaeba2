"""The api's way into the broker. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from aio_pika.exceptions import DeliveryError, PublishError
from app import broker
from app.contract import Order
from app.settings import settings

PAUSE = 0.5  # seconds between two attempts to reach a broker that is away

T = TypeVar("T")


class Unavailable(Exception):
    """Nobody can promise that the order has reached the queue."""


class Publisher:
    """Publishes orders on one connection, which is replaced as soon as anything about it is in doubt."""

    def __init__(self) -> None:
        self._line: broker.Line | None = None
        self._connecting = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Keeps a connection ready, also while nobody orders anything."""
        self._keeper = asyncio.create_task(self._keep_connected())

    async def stop(self) -> None:
        """Called after the last request."""
        if self._keeper is not None:
            self._keeper.cancel()
        if self._line is not None:
            await self._line.hang_up()

    def ready(self) -> bool:
        """Whether the first request may be sent."""
        return self._line is not None

    async def publish(self, order: Order) -> None:
        """Returns when the order lies safely in the queue; raises `Unavailable` in every other case."""
        await self._within_the_deadline(self._publish(order))

    async def backlog(self) -> int:
        """How many orders wait in the queue."""
        return await self._within_the_deadline(self._count())

    async def _within_the_deadline(self, work: Coroutine[Any, Any, T]) -> T:
        # A task of its own: when a connection breaks, the client library cancels whoever waits on it.
        task = asyncio.create_task(work)
        done, _ = await asyncio.wait({task}, timeout=settings.confirm_timeout)
        if not done:
            task.cancel()
            self._give_up()
            raise Unavailable(f"the broker said nothing for {settings.confirm_timeout:g} s")
        if task.cancelled():
            self._give_up()
            raise Unavailable("the connection broke")
        problem = task.exception()
        if problem is None:
            return task.result()
        if not isinstance(problem, DeliveryError) or isinstance(problem, PublishError):
            self._give_up()  # a nack says that the connection is fine; all else does not
        raise Unavailable(repr(problem))

    async def _publish(self, order: Order) -> None:
        line = await self._usable()
        body = order.model_dump_json().encode()
        await line.publish(line.exchange, broker.KEY, body, order.order_id, {"x-attempts": 0})

    async def _count(self) -> int:
        line = await self._usable()
        channel = await line.connection.channel()
        try:
            queue = await channel.declare_queue(broker.QUEUE, passive=True)
            return queue.declaration_result.message_count or 0
        finally:
            await channel.close()

    async def _usable(self) -> broker.Line:
        async with self._connecting:
            if self._line is None or not self._line.usable:
                self._line = None
                self._line = await broker.connect(settings.confirm_timeout)
            return self._line

    def _give_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            closing = asyncio.create_task(line.hang_up())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _keep_connected(self) -> None:
        while True:
            with suppress(Exception):
                await self._usable()
            await asyncio.sleep(PAUSE)
