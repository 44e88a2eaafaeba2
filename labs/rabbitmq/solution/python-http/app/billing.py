"""The table of invoices. Knows nothing of queues and gateways."""

from __future__ import annotations

from app.contract import Order
from app.settings import settings
from psycopg_pool import AsyncConnectionPool

pool = AsyncConnectionPool(
    settings.database_url,
    min_size=1,
    max_size=max(2, settings.prefetch),
    timeout=10,
    open=False,
    kwargs={"autocommit": True, "connect_timeout": 5},
)


async def record(order: Order, signature: str) -> None:
    """Writes the invoice, unless there is one already: then this is a second delivery, and all is well."""
    async with pool.connection() as connection:
        await connection.execute(
            """INSERT INTO billing.invoice (order_id, signature, amount_cents) VALUES (%s, %s, %s)
               ON CONFLICT (order_id) DO NOTHING""",
            (order.order_id, signature, order.amount_cents),
        )
