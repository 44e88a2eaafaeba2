"""The statements that this service sends to PostgreSQL. Knows nothing of HTTP and nothing of caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg.types.string import TextLoader
from psycopg_pool import ConnectionPool

from app.settings import settings

# A card stays the text that PostgreSQL sent: nothing is lost or rounded on its way to the client.
psycopg.adapters.register_loader("jsonb", TextLoader)

pool = ConnectionPool(
    settings.database_url,
    min_size=2,
    max_size=60,
    timeout=10,
    open=False,
    kwargs={"autocommit": True, "connect_timeout": 5},
)


def _first(statement: LiteralString, values: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
    """The first column of the first row; None where there is no row."""
    with pool.connection() as connection:
        row = connection.execute(statement, values).fetchone()
    return row[0] if row else None


def ping() -> None:
    """Raises an error if the database does not answer."""
    _first("SELECT 1")


def read_card(product_id: int, currency: str) -> str | None:
    """The finished card as JSON text; None if there is no such product. This is the expensive one."""
    card: str | None = _first("SELECT lab.product_card(%s, %s)", (product_id, currency))
    return card


def change(product_id: int, fields: Mapping[str, Any]) -> int | None:
    """Writes the given fields. The new version; None if there is no such product."""
    version: int | None = _first(
        """UPDATE shop.product
              SET price_cents = coalesce(%(price_cents)s, price_cents), name = coalesce(%(name)s, name),
                  stock = coalesce(%(stock)s, stock), version = version + 1
            WHERE id = %(id)s RETURNING version""",
        {"price_cents": None, "name": None, "stock": None, **fields, "id": product_id},
    )
    return version


def create(fields: Mapping[str, Any]) -> int | None:
    """Writes a new product. Its version; None if its id or its sku is taken."""
    version: int | None = _first(
        """INSERT INTO shop.product (id, sku, name, price_cents, stock)
           VALUES (%(id)s, %(sku)s, %(name)s, %(price_cents)s, %(stock)s)
           ON CONFLICT DO NOTHING RETURNING version""",
        fields,
    )
    return version


def delete(product_id: int) -> bool:
    """Whether there was such a product."""
    return _first("DELETE FROM shop.product WHERE id = %s RETURNING id", (product_id,)) is not None
