"""What must have become of messages in the end, and steps that several checks take; each ends a check that fails."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NoReturn

from billing import (
    DEAD,
    PATIENCE,
    QUEUE,
    SEE_CALLS,
    SEE_INVOICES,
    SEE_QUEUES,
    SEE_WORKER,
    Billing,
    Order,
    soon,
)

from roadmap_labs.harness import LabFault, Role, fail, quote, waiting
from roadmap_labs.harness.upstream import Gate

GRACE_SECONDS = 20.0  # SHUTDOWN_GRACE_MS
CALLED_SECONDS = 20.0  # for a message to reach the gateway; the solution needs 0.1 s


def invoices_appear(
    billing: Billing,
    orders: Sequence[Order],
    what: str,
    *,
    code: str = "invoice-missing",
    hint: int = 1,
    within: float = PATIENCE,
) -> None:
    """Every one of these orders gets an invoice, soon."""
    if soon(lambda: billing.invoiced(orders) == len(orders), within):
        return
    fail(
        code,
        what,
        expected=f"an invoice for {_orders(len(orders))} within {within * waiting.factor():.0f} s",
        observed=f"{billing.invoiced(orders)} of {len(orders)} have one; {where(billing)}",
        look=f"{SEE_WORKER}\n{SEE_INVOICES}",
        hint=hint,
    )


def one_invoice_each(
    billing: Billing, orders: Sequence[Order], what: str, *, code: str = "invoice-twice", hint: int = 1
) -> None:
    """Exactly one invoice for each of these, none for anybody else, with the right amount and the right signature."""
    rows = billing.rows()
    ids = [row[0] for row in rows]
    for order in orders:
        count = ids.count(order["order_id"])
        if count > 1:
            fail(
                code,
                what,
                expected=f"one invoice for order {order['order_id']}",
                observed=f"{count} invoices for it",
                look=SEE_INVOICES,
                hint=hint,
            )
    foreign = set(ids) - {order["order_id"] for order in orders}
    if foreign:
        fail("foreign-invoice", what, expected=f"invoices for {_orders(len(orders))}, and no other",
             observed=f"one for {quote(min(foreign), 80)}", look=SEE_INVOICES, hint=hint)  # fmt: skip
    for order in orders:
        _right(billing, order, next(row for row in rows if row[0] == order["order_id"]), what)


def _right(billing: Billing, order: Order, row: tuple[str, str, int], what: str) -> None:
    keys = {request.header("Idempotency-Key") or "" for request in billing.calls(order)}
    signatures = {hashlib.sha256(key.encode()).hexdigest()[:16] for key in keys}
    if row[2] != order["amount_cents"] or row[1] not in signatures:
        fail(
            "wrong-invoice",
            f"{what} The invoice of order {order['order_id']} was looked at.",
            expected=f"amount_cents {order['amount_cents']}, signature {' or '.join(sorted(signatures)) or '?'}",
            observed=f"amount_cents {row[2]}, signature {quote(row[1], 60)}",
            look=f"{SEE_INVOICES}\n{SEE_CALLS}",
            hint=None,
        )


def queue_drains(billing: Billing, what: str, *, code: str = "queue-not-empty", hint: int = 2) -> None:
    """Nothing is ready in the queue, soon."""
    if not soon(lambda: billing.ready() == 0, 15):
        fail(
            code,
            what,
            expected=f"nothing left in {QUEUE}",
            observed=where(billing),
            look=SEE_QUEUES,
            hint=hint,
        )


def back_in_the_queue(
    billing: Billing, count: int, what: str, *, code: str = "message-lost", hint: int = 2
) -> None:
    """So many messages are ready again, soon: a worker that is gone holds nothing."""
    if soon(lambda: billing.ready() >= count, 15) and billing.ready() == count:
        return
    fail(
        code,
        what,
        expected=f"{count} ready in {QUEUE}: what was not acknowledged comes back when the connection is gone",
        observed=where(billing),
        look=SEE_QUEUES,
        hint=hint,
    )


def dead_are(
    billing: Billing,
    count: int,
    what: str,
    *,
    code: str = "not-in-dead",
    hint: int = 2,
    within: float = PATIENCE,
) -> None:
    """So many messages are in the final queue, soon, and no more."""
    soon(lambda: billing.dead() >= count, within)
    if billing.dead() != count:
        fail(
            code,
            what,
            expected=f"{count} in {DEAD}",
            observed=where(billing),
            look=f"{SEE_QUEUES}\n{SEE_WORKER}",
            hint=hint,
        )


def called(billing: Billing, gate: Gate, count: int, what: str) -> None:
    """So many calls wait at the closed gate of the gateway, soon."""
    if not gate.reaches(count, CALLED_SECONDS):
        fail(
            "gateway-not-called",
            what,
            expected=f"{count} call{'s' if count > 1 else ''} of POST /sign",
            observed=f"{gate.waiting()} in {CALLED_SECONDS * waiting.factor():.0f} s; {where(billing)}",
            look=f"{SEE_WORKER}\n{SEE_CALLS}",
            hint=None,
        )


def calls_are(
    billing: Billing,
    order: Order,
    count: int,
    what: str,
    *,
    code: str = "wrong-number-of-calls",
    hint: int = 3,
) -> None:
    """The gateway was called exactly so often for this order."""
    seen = len(billing.calls(order))
    if seen != count:
        fail(
            code,
            what,
            expected=f"{count} call{'s' if count != 1 else ''} of the gateway for this order",
            observed=f"{seen}; {where(billing)}",
            look=f"{SEE_CALLS}\n{SEE_WORKER}",
            hint=hint,
        )


def at_rest(billing: Billing) -> None:
    """Workers, broker and gateway say nothing more; where that does not come true, the check goes on and sees."""
    billing.nothing_moves()
    if billing.gateway.in_progress("/sign"):
        soon(lambda: not billing.gateway.in_progress("/sign"), 10)
        billing.nothing_moves()


def ends(billing: Billing, role: Role, what: str, *, clean: bool = True) -> None:
    """The process ends within its grace period, with code 0."""
    if not waiting.reached(lambda: billing.has_ended(role), GRACE_SECONDS, every=0.05)[0]:
        fail("does-not-end", what, expected=f"the process ends within {GRACE_SECONDS:.0f} s (SHUTDOWN_GRACE_MS)",
             observed=f"{role.name} still runs", look=SEE_WORKER, hint=3)  # fmt: skip
    code = billing.lab.state(role.name)["exit_code"]
    if clean and code != 0:
        fail("bad-exit-code", what, expected="exit code 0", observed=f"exit code {code}",
             look=SEE_WORKER, hint=3)  # fmt: skip


def same_process(billing: Billing, role: Role, started: str, what: str) -> None:
    """The container is the one that it was."""
    if billing.has_ended(role) or billing.started(role) != started:
        _died(role, what)


def _died(role: Role, what: str) -> NoReturn:
    fail("worker-died", what, expected="the worker runs on", observed=f"{role.name} has ended or was started anew",
         look=SEE_WORKER, hint=3)  # fmt: skip


def reset_lines(billing: Billing) -> None:
    """Every connection between workers and broker breaks; a fault of ours where there was none."""
    if not soon(lambda: bool(billing.fault.seen().standing), 10) or not billing.fault.reset():
        raise LabFault("There was no connection between worker and broker to reset.")


def where(billing: Billing) -> str:
    """Where messages are now, as far as it can be seen from outside."""
    return f"{billing.ready()} ready in {QUEUE}, {billing.dead()} in {DEAD}, {len(billing.rows())} invoices"


def _orders(count: int) -> str:
    return "the order" if count == 1 else f"each of {count} orders"
