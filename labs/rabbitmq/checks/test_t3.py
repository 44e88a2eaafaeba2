"""T3 Fail well: what may work later is tried later, and what never will is put aside with its reason."""

from __future__ import annotations

import json
from itertools import pairwise

from billing import DEAD, PATIENCE, SEE_CALLS, SEE_QUEUES, SEE_WORKER, Billing, Order, soon
from outcomes import (
    at_rest,
    calls_are,
    dead_are,
    ends,
    invoices_appear,
    one_invoice_each,
    queue_drains,
    same_process,
    where,
)

from roadmap_labs.harness import fail, needs, quote, waiting
from roadmap_labs.harness.amqp import Message

SHORT_DELAY_MS = 300
_LOST = (
    "The order is neither in the queue nor dead. If it does not wait anywhere else, the message was lost between your "
    "publish to the retry queue and your ack."
)
POISON = (
    b'{"order_id": "p-1", "customer": "K',
    b"",
    b'{"order_id": 7, "customer": [], "amount_cents": "12"}',
)


@needs("t2_happy_path")
def test_t3_transient_is_retried(billing: Billing) -> None:
    """A gateway that is out of order for a moment costs nothing but time"""
    billing.worker(RETRY_DELAY_MS=SHORT_DELAY_MS)
    order = billing.order()
    billing.failing(times=2)
    billing.publish(order)
    what = "The gateway answered 503 twice, then it was well again."
    _comes_through(billing, order, 3, what)
    one_invoice_each(billing, [order], what)
    dead_are(billing, 0, what, code="buried-too-early")


@needs("t3_transient_is_retried")
def test_t3_retry_waits(billing: Billing) -> None:
    """Between two attempts there is a pause"""
    delay, least = 1_500, 1.2
    billing.worker(RETRY_DELAY_MS=delay)
    order = billing.order()
    billing.failing(times=2)
    billing.publish(order)
    what = f"RETRY_DELAY_MS is {delay}, and the gateway answered 503 twice."
    _comes_through(billing, order, 3, what)
    arrived = [call.arrived for call in billing.calls(order)]
    gaps = [later - earlier for earlier, later in pairwise(arrived)]
    if min(gaps) < least:
        fail(
            "retry-without-pause",
            what
            + " A nack with requeue comes back at once: thousands of times a second, if nothing else slows it down.",
            expected=f"at least {delay / 1000:g} s between two calls for the same order",
            observed=", ".join(f"{gap:.3f} s" for gap in gaps),
            look=SEE_CALLS,
            hint=2,
        )


@needs("t3_transient_is_retried")
def test_t3_retry_blocks_nobody(billing: Billing) -> None:
    """While one order waits for its next attempt, the others go on"""
    delay = 60_000
    billing.worker(PREFETCH=1, RETRY_DELAY_MS=delay)
    first, others = billing.order(), billing.orders(10)
    billing.failing(times=1)
    billing.publish(first, *others)
    done = soon(lambda: billing.invoiced(others) == len(others), PATIENCE)
    ready, calls = billing.invoiced(others), len(billing.calls(first))
    if not done or calls != 1:
        fail(
            "retry-blocks-others",
            f"PREFETCH is 1, RETRY_DELAY_MS {delay}. The first order failed once; {len(others)} healthy ones followed.",
            expected="they all have invoices at once, long before the first one is tried again",
            observed=f"{ready} of {len(others)} after {PATIENCE * waiting.factor():.0f} s, and {calls} calls of "
            "the gateway for the first order",
            look=f"{SEE_CALLS}\n{SEE_QUEUES}",
            hint=1,
        )


@needs("t2_happy_path")
def test_t3_permanent_goes_to_dead(billing: Billing) -> None:
    """What the gateway will never sign is not tried again"""
    billing.worker(RETRY_DELAY_MS=SHORT_DELAY_MS)
    order = billing.order()
    billing.failing(422)
    billing.publish(order)
    what = "The gateway answered 422: this order will never work."
    _is_put_aside(billing, order, 1, what)
    if billing.rows():
        fail("invoice-without-signature", what, expected="no invoice", observed=f"{len(billing.rows())}",
             look=SEE_WORKER, hint=None)  # fmt: skip


@needs("t3_transient_is_retried")
def test_t3_exhausted_goes_to_dead(billing: Billing) -> None:
    """After MAX_ATTEMPTS attempts an order is given up, and kept"""
    attempts = 3
    billing.worker(RETRY_DELAY_MS=SHORT_DELAY_MS, MAX_ATTEMPTS=attempts)
    order = billing.order()
    billing.failing()
    billing.publish(order)
    _is_put_aside(
        billing, order, attempts, f"MAX_ATTEMPTS is {attempts}, and the gateway always answers 503."
    )


@needs("t3_transient_is_retried")
def test_t3_retry_survives_a_crash(billing: Billing) -> None:
    """An order that waits for its next attempt outlives its worker"""
    delay = 4_000
    worker, order = billing.worker(RETRY_DELAY_MS=delay), billing.order()
    billing.failing(times=1)
    billing.publish(order)
    _answered(billing, order, 1)
    billing.lab.kill(worker.name)
    billing.worker(RETRY_DELAY_MS=delay)
    what = (
        f"The gateway answered 503 once, RETRY_DELAY_MS is {delay}. While the order waited for its second attempt the "
        "worker was killed; then another one was started."
    )
    invoices_appear(billing, [order], what, code="retry-died-with-its-worker", hint=1)
    one_invoice_each(billing, [order], what)


@needs("t3_exhausted_goes_to_dead")
def test_t3_attempts_survive_a_restart(billing: Billing) -> None:
    """The number of attempts outlives the worker, too"""
    attempts, delay = 4, 1_500
    worker, order = billing.worker(RETRY_DELAY_MS=delay, MAX_ATTEMPTS=attempts), billing.order()
    billing.failing()
    billing.publish(order)
    _answered(billing, order, 2)
    billing.lab.signal(worker.name, "SIGTERM")
    what = (
        f"MAX_ATTEMPTS is {attempts}, and the gateway always answers 503. After the second attempt the worker got "
        "SIGTERM, and another one was started."
    )
    ends(billing, worker, what, clean=False)
    billing.lab.run(
        "worker",
        environment=billing.worker_environment(RETRY_DELAY_MS=delay, MAX_ATTEMPTS=attempts),
        fresh=True,
    )
    _is_put_aside(billing, order, attempts, what)


@needs("t2_happy_path")
def test_t3_poison_body(billing: Billing) -> None:
    """A message that is no order is put aside, and stops nobody"""
    worker, orders = billing.worker(), billing.orders(5)
    started = billing.started(worker)
    for number, body in enumerate(POISON):
        billing.publish_raw(body, f"poison-{number}")
    billing.publish(*orders)
    what = (
        "Broken JSON, an empty body and JSON with the wrong types were published straight into the queue, then "
        f"{len(orders)} healthy orders."
    )
    soon(
        lambda: (
            billing.has_ended(worker)
            or (billing.invoiced(orders) == len(orders) and billing.dead() >= len(POISON))
        ),
        PATIENCE,
    )
    same_process(billing, worker, started, what)
    invoices_appear(billing, orders, what, code="poison-stops-the-queue", hint=3, within=1)
    dead_are(billing, len(POISON), what, code="poison-not-put-aside", within=1)
    queue_drains(billing, what)
    one_invoice_each(billing, orders, what)


@needs("t3_exhausted_goes_to_dead", "t3_permanent_goes_to_dead", "t3_poison_body")
def test_t3_dead_is_diagnosable(billing: Billing) -> None:
    """Who finds a dead message tomorrow learns what it was and why it died"""
    attempts = 2
    billing.worker(PREFETCH=1, RETRY_DELAY_MS=SHORT_DELAY_MS, MAX_ATTEMPTS=attempts)
    refused, tired = billing.order(), billing.order()
    bodies = {
        refused["order_id"]: json.dumps(refused, indent=1, ensure_ascii=False).encode(),
        tired["order_id"]: json.dumps(tired, separators=(" ,", " : ")).encode() + b"\n",
        "poison": POISON[0],
    }
    made = {refused["order_id"]: 1, tired["order_id"]: attempts, "poison": 0}
    billing.failing()
    billing.failing(422, times=1)
    for message_id, body in bodies.items():
        billing.publish_raw(body, message_id)
        what = "Three orders died: one that the gateway refused, one that was tried too often, and one that was none."
        dead_are(billing, list(bodies).index(message_id) + 1, what)
    found = {message.message_id: message for message in billing.broker.peek(DEAD, 10)}
    for message_id, body in bodies.items():
        _tells_its_story(message_id, body, made[message_id], found.get(message_id), what)


# -- what several of them use


def _comes_through(billing: Billing, order: Order, calls: int, what: str) -> None:
    """The order gets its invoice after so many calls of the gateway."""
    soon(lambda: billing.invoiced([order]) == 1 or billing.dead() > 0, PATIENCE)
    seen = len(billing.calls(order))
    if billing.invoiced([order]) != 1:
        lost = billing.ready() == 0 and billing.dead() == 0
        fail(
            "lost-on-retry" if lost else "not-retried",
            f"{what} {_LOST if lost else ''}".rstrip(),
            expected=f"an invoice after {calls} calls of the gateway",
            observed=f"no invoice after {seen} calls; {where(billing)}",
            look=f"{SEE_QUEUES}\n{SEE_WORKER}",
            hint=3,
        )
    queue_drains(billing, what)
    at_rest(billing)
    calls_are(billing, order, calls, what)


def _is_put_aside(billing: Billing, order: Order, calls: int, what: str) -> None:
    """The order is in the final queue after exactly so many calls, and stays there."""
    soon(lambda: billing.dead() > 0 or len(billing.calls(order)) > calls, PATIENCE)
    seen = len(billing.calls(order))
    if seen > calls:
        calls_are(billing, order, calls, what, code="tried-too-often")
    dead_are(billing, 1, what, within=1)
    queue_drains(billing, what)
    at_rest(billing)
    calls_are(
        billing, order, calls, what, code="tried-too-often" if seen > calls else "wrong-number-of-calls"
    )
    dead_are(billing, 1, what)


def _answered(billing: Billing, order: Order, count: int) -> None:
    """The gateway has answered so many calls for this order, and the worker has told the broker what it makes of it."""
    if not soon(
        lambda: len([call for call in billing.calls(order) if call.ended is not None]) >= count, PATIENCE
    ):
        calls_are(billing, order, count, "The gateway answers 503.", code="not-retried")
    billing.nothing_moves(quiet=0.4)


def _tells_its_story(message_id: str, body: bytes, attempts: int, message: Message | None, what: str) -> None:
    """Ends the check unless a dead message is what the contract says."""
    look = f"{SEE_QUEUES}\nthe management pages: Queues, {DEAD}, Get messages"
    if message is None:
        fail("dead-without-id", what, expected=f"a message with message_id {message_id} in {DEAD}",
             observed="none with this id", look=look, hint=3)  # fmt: skip
    if message.body != body:
        fail("dead-body-changed", what, expected=f"the body as it came: {quote(body, 150)}",
             observed=quote(message.body, 150) or "an empty body", look=look, hint=None)  # fmt: skip
    made, reason = message.headers.get("x-attempts"), message.headers.get("x-error")
    if type(made) is not int or made != attempts:
        fail("dead-without-attempts", f"{what} Its header x-attempts was looked at, of message {message_id}.",
             expected=f"the integer {attempts}", observed=quote(repr(made), 60), look=look, hint=3)  # fmt: skip
    if not isinstance(reason, str) or not reason.strip():
        fail("dead-without-reason", f"{what} Its header x-error was looked at, of message {message_id}.",
             expected="a text that tells the reason", observed=quote(repr(reason), 60), look=look, hint=3)  # fmt: skip
