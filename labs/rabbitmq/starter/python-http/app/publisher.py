"""The api's way into the broker. Knows nothing of HTTP."""

from __future__ import annotations

from app.contract import Order


class Unavailable(Exception):
    """Nobody can promise that the order has reached the queue."""


class Publisher:
    """Publishes orders. `settings.amqp_url` tells where the broker is."""

    async def start(self) -> None:
        """Called before the first request."""
        # TODO T1: a connection, and the topology: exchange `orders`, queue `invoices`, routing key `invoice`.

    async def stop(self) -> None:
        """Called after the last request."""

    def ready(self) -> bool:
        """Whether the first request may be sent."""
        return True

    async def publish(self, order: Order) -> None:
        """Returns when the order lies safely in the queue; raises `Unavailable` in every other case."""
        # TODO T1: what has to be true before a 202 may go out?
        raise Unavailable("orders are not published yet")

    async def backlog(self) -> int:
        """How many orders wait in the queue."""
        # TODO T5
        raise Unavailable("nobody counts yet")
