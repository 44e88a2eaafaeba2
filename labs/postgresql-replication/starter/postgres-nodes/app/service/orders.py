"""Orders in the database. Knows nothing of HTTP."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from service.contract import Order
from service.settings import settings

# TODO T3: this knows one database host only. Where do reads go, and how current must they be?
# TODO T4: who says that both hosts have the order, and how long do we wait for that word?
# TODO T5: which of the hosts is the primary may change while this runs.
pool = ConnectionPool(
    kwargs={
        "host": settings.hosts[0][0],
        "port": settings.hosts[0][1],
        "dbname": settings.database,
        "user": settings.user,
        "password": settings.password,
        "connect_timeout": 3,
        "autocommit": True,
    },
    min_size=1,
    max_size=20,
    timeout=5,
    open=False,
)


class Conflict(Exception):
    """There is another order with this client_ref."""


class NotAcknowledged(Exception):
    """Nobody can say that the order is stored on both hosts."""


def place(order: Order) -> tuple[int, str]:
    """Stores an order; its id, and the log position from which on it is there. A repeat finds what was stored."""
    with pool.connection() as connection:
        row = connection.execute(
            """INSERT INTO shop.orders (client_ref, sku, qty) VALUES (%s, %s, %s)
               ON CONFLICT (client_ref) DO NOTHING RETURNING id""",
            (order.client_ref, order.sku, order.qty),
        ).fetchone()
        if row is None:
            row = connection.execute(
                "SELECT id FROM shop.orders WHERE client_ref = %s AND sku = %s AND qty = %s",
                (order.client_ref, order.sku, order.qty),
            ).fetchone()
        if row is None:
            raise Conflict
        position = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    return row[0], position[0] if position else ""


def find(order_id: int, token: str | None) -> dict[str, Any] | None:
    """One order, on a host that has seen everything up to the token; None if there is none."""
    with pool.connection() as connection:
        return (
            connection.cursor(row_factory=dict_row)
            .execute("SELECT id, client_ref, sku, qty FROM shop.orders WHERE id = %s", (order_id,))
            .fetchone()
        )
