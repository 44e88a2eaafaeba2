"""The topology, and a connection to the broker on which it has been declared. Knows nothing of what is published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractQueue
from app.settings import settings

EXCHANGE, KEY = "orders", "invoice"
QUEUE, DEAD = "invoices", "invoices.dead"
WAITING = (
    f"{QUEUE}.retry.{settings.retry_delay_ms}"  # its arguments never change, because its name would, too
)
CLOSING_SECONDS = 1.0


@dataclass(frozen=True)
class Line:
    """A connection with one channel. Whatever is published on it is confirmed by the broker, or raises."""

    connection: AbstractConnection
    channel: AbstractChannel
    exchange: AbstractExchange
    queue: AbstractQueue

    @property
    def usable(self) -> bool:
        """Whether neither end has closed it, as far as is known here."""
        return not (self.connection.is_closed or self.channel.is_closed)

    def when_lost(self, call: Callable[[], object]) -> None:
        """Call this once connection or channel are gone."""
        self.connection.close_callbacks.add(lambda *_: call())
        self.channel.close_callbacks.add(lambda *_: call())

    async def publish(
        self,
        exchange: AbstractExchange,
        key: str,
        body: bytes,
        message_id: str | None,
        headers: Mapping[str, Any],
    ) -> None:
        """Returns when the broker is responsible for the message; raises if it refuses it or has no queue for it."""
        message = aio_pika.Message(
            body,
            content_type="application/json",
            message_id=message_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            headers=dict(headers),
        )
        await exchange.publish(message, key, mandatory=True)

    async def hang_up(self) -> None:
        """Close it; a broker that does not answer is not waited for."""
        with suppress(Exception):
            await asyncio.wait_for(self.connection.close(), CLOSING_SECONDS)


async def connect(seconds: float) -> Line:
    """A fresh connection with everything declared, or an error after so many seconds."""
    async with asyncio.timeout(seconds):
        connection = await aio_pika.connect(settings.amqp_url)
        try:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.DIRECT, durable=True)
            queue = await channel.declare_queue(QUEUE, durable=True)
            await queue.bind(exchange, KEY)
            await channel.declare_queue(DEAD, durable=True)
            await channel.declare_queue(
                WAITING,
                durable=True,
                arguments={
                    "x-message-ttl": settings.retry_delay_ms,
                    "x-dead-letter-exchange": EXCHANGE,
                    "x-dead-letter-routing-key": KEY,
                },
            )
        except BaseException:
            with suppress(Exception):
                await asyncio.wait_for(connection.close(), CLOSING_SECONDS)
            raise
    return Line(connection, channel, exchange, queue)
