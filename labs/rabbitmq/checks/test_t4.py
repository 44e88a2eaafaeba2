"""T4 At least once in, exactly one effect out: the same message may come again, at once or after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from billing import DEAD, PATIENCE, QUEUE, SEE_CALLS, SEE_QUEUES, SEE_WORKER, Billing, Order, soon
from outcomes import (
    at_rest,
    back_in_the_queue,
    called,
    dead_are,
    invoices_appear,
    one_invoice_each,
    queue_drains,
    where,
)

from roadmap_labs.harness import fail, needs, quote, waiting
from roadmap_labs.harness.gates import table_locked

SHORT_DELAY_MS = 300
ALONE_SECONDS = 5.0  # a second worker that has not come by then waits for the first, which is right, too


@needs("t2_happy_path")
def test_t4_duplicates_absorbed(billing: Billing) -> None:
    """The same message five times is still one invoice"""
    billing.worker(PREFETCH=1)
    order, times = billing.order(), 5
    billing.publish(*[order] * times)
    what = f"The same message was published {times} times."
    invoices_appear(billing, [order], what)
    queue_drains(billing, what, code="duplicates-stay", hint=3)
    at_rest(billing)
    one_invoice_each(billing, [order], what)
    queue_drains(billing, what, code="duplicates-stay", hint=3)
    dead_are(billing, 0, f"{what} A duplicate is no failure.", code="duplicate-buried", hint=3)


@needs("t2_crash_before_commit", "t4_duplicates_absorbed")
def test_t4_crash_between_commit_and_ack(billing: Billing) -> None:
    """Killed after the commit and before the ack: no second invoice"""
    worker, order = billing.worker(), billing.order()
    with _ack_lost(billing, order):
        billing.lab.kill(worker.name)
        what = "A worker committed an invoice, its acknowledgement was lost on the way, and it was killed."
        back_in_the_queue(billing, 1, what, code="acknowledged-too-early")
    mark = billing.gateway.mark()
    billing.worker()
    soon(lambda: billing.ready() == 0 or billing.gateway.mark() > mark, PATIENCE)
    what += " The message was delivered again, to another worker."
    at_rest(billing)
    queue_drains(billing, what, hint=3)
    one_invoice_each(billing, [order], what, code="invoice-twice-after-crash")
    dead_are(billing, 0, what, code="duplicate-buried", hint=3)


@needs("t4_duplicates_absorbed")
def test_t4_concurrent_duplicates(billing: Billing) -> None:
    """The same message in two workers at once is still one invoice"""
    billing.workers(2, PREFETCH=1)
    order = billing.order()
    with table_locked(billing.sql, "billing.invoice") as lock, billing.gateway.closed("/sign") as gate:
        billing.publish(order, order)
        called(billing, gate, 1, "The same message was published twice, and two workers ran.")
        both = gate.reaches(2, ALONE_SECONDS)
        gate.open()
        # Who looks now whether there is an invoice finds none, and nobody can write one yet.
        soon(lambda: bool(lock.waiters()), PATIENCE)
        soon(lambda: len(lock.waiters()) >= 2, 2 * ALONE_SECONDS if both else 0)
    what = "The same message was in two workers at once; both had the signature before either could write."
    invoices_appear(billing, [order], what)
    queue_drains(billing, what, hint=3)
    at_rest(billing)
    one_invoice_each(billing, [order], what, code="two-workers-two-invoices")
    queue_drains(billing, what, hint=3)
    dead_are(billing, 0, what, code="duplicate-buried", hint=3)


@needs("t3_transient_is_retried")
def test_t4_same_key_at_the_gateway(billing: Billing) -> None:
    """Every attempt for one order has the same key"""
    worker, order = billing.worker(RETRY_DELAY_MS=SHORT_DELAY_MS), billing.order()
    billing.failing(times=1)
    with billing.gateway.closed("/sign") as gate:
        billing.publish(order)
        called(billing, gate, 1, "An order lay in the queue and a worker ran.")
        gate.let(1)
        soon(lambda: len(billing.calls(order)) > 1, PATIENCE)
        called(billing, gate, 1, "The gateway answered 503 once.")
        billing.lab.kill(worker.name)
        gate.open()
        billing.worker(RETRY_DELAY_MS=SHORT_DELAY_MS)
        what = "The gateway answered 503 once, and the worker was killed in the next call; another one did the rest."
        invoices_appear(billing, [order], what)
    keys = [call.header("Idempotency-Key") for call in billing.calls(order)]
    if set(keys) != {order["order_id"]}:
        fail(
            "another-key",
            f"{what} The gateway wrote down the Idempotency-Key of every call.",
            expected=f"{order['order_id']} each time: then it signs only once",
            observed=", ".join(quote(key, 70) for key in keys),
            look=SEE_CALLS,
            hint=3,
        )


@needs("t2_reconnects", "t4_crash_between_commit_and_ack")
def test_t4_ack_of_duplicate(billing: Billing) -> None:
    """A duplicate is acknowledged, too, and does not come for ever"""
    worker, order = billing.worker(), billing.order()
    with _ack_lost(billing, order):
        last = max(line.number for line in billing.fault.seen().connections)
    # What had lost bytes was reset. The message comes again as soon as the worker is back.
    what = "A worker committed an invoice, and its connection broke before the acknowledgement arrived."

    def back() -> bool:
        standing = billing.fault.seen().standing
        fresh = bool(standing) and all(line.number > last for line in standing)
        return fresh and bool(billing.broker.consumers(QUEUE)) and billing.ready() == 0

    if not soon(back, PATIENCE):
        fail("never-comes-back", what, expected=f"the worker consumes {QUEUE} again", observed=where(billing),
             look=SEE_WORKER, hint=3)  # fmt: skip
    what += " When it was back, the same message was delivered again."
    if not billing.nothing_moves():
        fail(
            "duplicate-cycles",
            what,
            expected="the message is acknowledged, and the broker has nothing more to deliver",
            observed=f"messages still go to and fro between worker and broker; {where(billing)}",
            look=f"{SEE_QUEUES}\n{SEE_WORKER}",
            hint=3,
        )
    billing.lab.kill(worker.name)
    waiting.settle(
        lambda: not billing.fault.seen().standing, 10, "the connections of the dead worker were gone"
    )
    soon(lambda: not billing.broker.consumers(QUEUE), 10)
    if billing.ready():
        fail(
            "duplicate-not-acknowledged",
            f"{what} When nothing moved any more, the worker was killed.",
            expected=f"nothing comes back into {QUEUE}: everything had been acknowledged",
            observed=f"{billing.ready()} ready in {QUEUE} again, {billing.dead()} in {DEAD}",
            look=SEE_QUEUES,
            hint=3,
        )
    one_invoice_each(billing, [order], what)


@contextmanager
def _ack_lost(billing: Billing, order: Order) -> Iterator[None]:
    """Inside the block a worker has committed the invoice, and its acknowledgement has been swallowed."""
    what = "An order lay in the queue and a worker ran."
    with billing.gateway.closed("/sign") as gate:
        billing.publish(order)
        called(billing, gate, 1, what)
        with billing.fault.broken(swallow="up"):
            gate.open()
            invoices_appear(billing, [order], f"{what} What it sent to the broker was lost on the way.")
            billing.nothing_moves(within=3)
            yield
