"""Orders in the cluster: written where the primary is, read where it is current enough. Knows nothing of HTTP."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import psycopg
from psycopg.errors import Diagnostic
from psycopg.rows import dict_row
from service import cluster
from service.contract import Order
from service.lanes import Line, TooLate
from service.settings import settings

READ_SECONDS = 1.5  # for one host; then the next one is asked
READ_PATIENCE = 8.0  # for all of them: a host may be seen again in a moment


class Conflict(Exception):
    """There is another order with this client_ref."""


class NotAcknowledged(Exception):
    """Nobody can say that the order is stored on both hosts."""


class Unavailable(Exception):
    """No host could answer as it must."""


class _Behind(Exception):
    """This host has not replayed what the token stands for."""


def place(order: Order) -> tuple[int, str]:
    """Stores an order; its id, and the log position from which on it is there. A repeat finds what was stored.

    We wait by our own clock and cancel nothing: a commit that was cancelled says that it succeeded, and only one host
    has it. Trying again is safe because of the client_ref.
    """
    deadline = time.monotonic() + settings.write_timeout
    while (left := deadline - time.monotonic()) > 0:
        primary = cluster.view().primary
        if primary is not None:
            try:
                return cluster.hosts[primary].writers.ask(partial(_store, order), left, hang_up=False)
            except TooLate:
                break
            except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as problem:
                print(f"order {order.client_ref}: {problem!r}", flush=True)
        time.sleep(0.05)
    raise NotAcknowledged


def _store(order: Order, line: Line) -> tuple[int, str]:
    warnings: list[Diagnostic] = []
    line.add_notice_handler(warnings.append)
    try:
        with line.transaction():
            # The row is written even where it is there already. So a repeat, too, commits something, and this commit
            # waits for the other host like any other: seeing the row proves only that this host has it.
            row = line.execute(
                """INSERT INTO shop.orders (client_ref, sku, qty) VALUES (%s, %s, %s)
                   ON CONFLICT (client_ref) DO UPDATE SET client_ref = excluded.client_ref
                   RETURNING id, sku, qty""",
                (order.client_ref, order.sku, order.qty),
            ).fetchone()
            if row is None or row[1:] != (order.sku, order.qty):
                raise Conflict
        if warnings:  # "committed locally, but might not have been replicated"
            raise NotAcknowledged
        position = line.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    finally:
        line.remove_notice_handler(warnings.append)
    return row[0], position[0] if position else ""


def find(order_id: int, token: str | None) -> dict[str, Any] | None:
    """One order, on a host that has seen everything up to the token; None if there is none."""
    deadline = time.monotonic() + READ_PATIENCE
    while time.monotonic() < deadline:
        now = cluster.view()
        for name in now.readers:
            host, needed = cluster.hosts[name], None if name == now.primary else token
            last = name == now.readers[-1]
            try:
                limit = max(0.1, deadline - time.monotonic()) if last else READ_SECONDS
                return host.readers.ask(partial(_find, order_id, needed), limit, hang_up=True)
            except _Behind:
                continue
            except (TooLate, psycopg.OperationalError) as problem:
                print(f"read from {name}: {problem!r}", flush=True)
                if not last:
                    host.doubt()
        time.sleep(0.05)
    raise Unavailable


def _find(order_id: int, token: str | None, line: Line) -> dict[str, Any] | None:
    if token is not None:
        # First the position, then the row: in one statement the row could be older than the position.
        row = line.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (token,)).fetchone()
        if row is None or not row[0]:
            raise _Behind
    return (
        line.cursor(row_factory=dict_row)
        .execute("SELECT id, client_ref, sku, qty FROM shop.orders WHERE id = %s", (order_id,))
        .fetchone()
    )
