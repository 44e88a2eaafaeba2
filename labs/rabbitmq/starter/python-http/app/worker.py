"""Turns orders into invoices: queue, gateway, table. Knows nothing of HTTP towards customers."""

from __future__ import annotations


class Worker:
    """Consumes the queue `invoices`."""

    async def start(self) -> None:
        """Called when the process starts."""
        # TODO T2: consume; for each order POST {GATEWAY_URL}/sign, then one row in billing.invoice. When may the
        # broker forget the message?
        # TODO T3: and what happens to it when something goes wrong, for a moment or for ever?

    async def stop(self) -> None:
        """Called after SIGTERM; the process ends with code 0 when this returns."""
        # TODO T2: what about the orders that you hold?

    def ready(self) -> bool:
        """Whether this worker has done what it needs to begin."""
        return True
