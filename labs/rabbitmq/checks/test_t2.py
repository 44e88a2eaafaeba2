"""T2 Acknowledge at the right moment: a worker may be killed, stopped or cut off at any time, and nothing is lost."""

from __future__ import annotations

from billing import PATIENCE, QUEUE, SEE_QUEUES, SEE_WORKER, Billing, soon
from outcomes import (
    at_rest,
    back_in_the_queue,
    called,
    calls_are,
    ends,
    invoices_appear,
    one_invoice_each,
    queue_drains,
    reset_lines,
    same_process,
)
from posting import accepted

from roadmap_labs.harness import fail, needs, waiting
from roadmap_labs.harness.gates import table_locked

PREFETCH = 4
LOCKED_SECONDS = 20.0  # for the insert to reach the table; the solution needs 0.1 s


@needs("t1_202_is_queued")
def test_t2_happy_path(billing: Billing) -> None:
    """Every order gets one invoice, with the gateway's signature"""
    api, _ = billing.api(), billing.worker()
    orders = billing.orders(20)
    accepted(billing, api, orders)
    what = f"{len(orders)} orders were posted and accepted; one worker runs, and all is well."
    invoices_appear(billing, orders, what)
    queue_drains(billing, what)
    at_rest(billing)
    one_invoice_each(billing, orders, what)
    if billing.dead():
        fail("healthy-order-dead", what, expected="nothing in invoices.dead", observed=f"{billing.dead()}",
             look=SEE_QUEUES, hint=1)  # fmt: skip


@needs("t2_happy_path")
def test_t2_crash_before_done(billing: Billing) -> None:
    """Killed while the gateway thinks: the order is not lost"""
    worker, order = billing.worker(), billing.order()
    with billing.gateway.closed("/sign") as gate:
        billing.publish(order)
        called(billing, gate, 1, "An order lay in the queue and a worker ran.")
        billing.lab.kill(worker.name)
        what = "The only worker was killed while its call of the gateway was not answered."
        back_in_the_queue(billing, 1, what)
        billing.worker()
        gate.open()
        what += " Then another worker was started."
        invoices_appear(billing, [order], what)
    queue_drains(billing, what)
    one_invoice_each(billing, [order], what)


@needs("t2_happy_path")
def test_t2_crash_before_commit(billing: Billing) -> None:
    """Killed while the invoice is being written: the order is not lost"""
    worker, order = billing.worker(), billing.order()
    with table_locked(billing.sql, "billing.invoice") as lock:
        billing.publish(order)
        if not soon(lambda: bool(lock.waiters()), LOCKED_SECONDS):
            fail(
                "nobody-inserts",
                "billing.invoice was locked against writers, and an order lay in the queue.",
                expected="an INSERT that waits for the table",
                observed=f"none in {LOCKED_SECONDS * waiting.factor():.0f} s",
                look=SEE_WORKER,
                hint=None,
            )
        billing.lab.kill(worker.name)
        # What the dead worker has sent may still be carried out, and is none of this check's business.
        for one in lock.waiters():
            billing.sql.rows("select pg_terminate_backend(:pid)", pid=one.pid)
        waiting.settle(lambda: not lock.waiters(), 10, "the dead worker's session was gone")
    what = "The only worker was killed while its INSERT waited for the table, so that nothing was committed."
    back_in_the_queue(billing, 1, what, code="acknowledged-too-early")
    billing.worker()
    what += " Then another worker was started."
    invoices_appear(billing, [order], what)
    queue_drains(billing, what)
    one_invoice_each(billing, [order], what)


@needs("t2_happy_path")
def test_t2_prefetch_is_bounded(billing: Billing) -> None:
    """A worker holds as many orders as PREFETCH says, and no more"""
    count = 30
    worker, orders = billing.worker(PREFETCH=PREFETCH), billing.orders(count)
    with billing.gateway.closed("/sign") as gate:
        billing.publish(*orders)
        what = f"PREFETCH is {PREFETCH}, {count} orders were published, and the gateway answers nobody."
        called(billing, gate, 1, what)
        ready, calls = billing.steady(billing.ready), gate.steady()
        if ready < count - PREFETCH or calls > PREFETCH:
            fail(
                "holds-too-much",
                what,
                expected=f"1 to {PREFETCH} calls of the gateway, {count - PREFETCH} or more still ready in {QUEUE}",
                observed=f"{calls} calls, {ready} ready: the worker holds {count - ready}",
                look=SEE_QUEUES,
                hint=2,
            )
        billing.lab.kill(worker.name)
        back_in_the_queue(billing, count, f"{what} Then the worker was killed.")


@needs("t2_prefetch_is_bounded")
def test_t2_fair_dispatch(billing: Billing) -> None:
    """What one worker can't do now, another one does"""
    billing.worker(PREFETCH=PREFETCH)
    slow, quick = billing.orders(PREFETCH), billing.orders(20)
    with billing.gateway.closed("/sign") as gate:
        billing.publish(*slow)
        called(billing, gate, 1, f"{PREFETCH} orders were published, and one worker ran.")
        billing.steady(lambda: billing.ready() + 100 * gate.waiting())
        with billing.gateway.closed("/sign") as later:  # the newest gate counts: who comes now passes
            later.open()
            billing.publish(*quick)
            billing.workers(2, PREFETCH=PREFETCH)
            what = (
                f"One worker holds {PREFETCH} orders that the gateway does not answer. Then {len(quick)} were "
                "published that it would answer at once, and a second worker was started."
            )
            invoices_appear(billing, quick, what, code="idle-worker", hint=2)
            gate.open()
            invoices_appear(billing, slow, f"{what} Then the gateway answered all.")
    one_invoice_each(billing, [*slow, *quick], what)


@needs("t2_happy_path")
def test_t2_graceful_shutdown(billing: Billing) -> None:
    """SIGTERM: no new order, the one in hand is finished, exit code 0"""
    worker, order = billing.worker(), billing.order()
    with billing.gateway.closed("/sign") as gate:
        billing.publish(order)
        called(billing, gate, 1, "An order lay in the queue and a worker ran.")
        billing.lab.signal(worker.name, "SIGTERM")
        soon(lambda: not billing.broker.consumers(QUEUE), 3)
        gate.open()
        what = (
            "A worker got SIGTERM while its call of the gateway was not answered; then the gateway answered."
        )
        ends(billing, worker, what)
    if billing.invoiced([order]) != 1 or billing.ready():
        fail(
            "order-dropped",
            f"{what} It ended with code 0.",
            expected="one invoice and an empty queue: what it holds is finished and acknowledged first",
            observed=f"{billing.invoiced([order])} invoices, {billing.ready()} ready in {QUEUE}",
            look=SEE_WORKER,
            hint=3,
        )
    calls_are(billing, order, 1, what)
    one_invoice_each(billing, [order], what)


@needs("t2_happy_path")
def test_t2_reconnects(billing: Billing) -> None:
    """A broken connection is not the end of a worker"""
    worker, first, orders = billing.worker(), billing.order(), billing.orders(5)
    billing.publish(first)
    invoices_appear(billing, [first], "One order was published, and one worker runs.")
    started = billing.started(worker)
    reset_lines(billing)
    billing.publish(*orders)
    what = f"Every connection between worker and broker was reset; then {len(orders)} orders were published."
    soon(lambda: billing.has_ended(worker) or billing.invoiced(orders) == len(orders), PATIENCE)
    same_process(billing, worker, started, what)
    invoices_appear(billing, orders, what, code="never-comes-back", hint=3, within=1)
    queue_drains(billing, what)
    one_invoice_each(billing, [first, *orders], what)
