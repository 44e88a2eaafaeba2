"""POSTs of orders and what must have become of them, while the broker is well and while it is not."""

from __future__ import annotations

import json
from typing import Any

from billing import EXCHANGE, KEY, PATIENCE, QUEUE, SEE_API, SEE_QUEUES, Billing, Order, soon

from roadmap_labs.harness import LabFault, LearnerBroke, Reply, Role, fail, quote, waiting
from roadmap_labs.harness.amqp import Message, Unrouted

DEADLINE = 15.0  # seconds for a POST that the broker does not confirm; CONFIRM_TIMEOUT_MS is 2000 then
CONFIRM_MS = 2_000

SEE_MESSAGES = "roadmap-labs status tells where the management pages are: Queues, invoices, Get messages"


def accepted(billing: Billing, api: Role, orders: list[Order]) -> None:
    """Post good orders while all is well; each must be answered with 202."""
    for order in orders:
        reply = billing.post(api, order)
        if reply.status != 202:
            fail(
                "good-order-refused",
                f"{reply.asked} with {quote(json.dumps(order, ensure_ascii=False), 160)}, while all is well.",
                expected="202",
                observed=f"{reply.status} {quote(reply.body, 120)}",
                look=SEE_API,
                hint=1,
            )


def accepted_again(billing: Billing, api: Role, what: str, code: str) -> Order:
    """An order that is answered with 202, soon; whatever came before it is answered in time."""
    answers: list[str] = []

    def post() -> Order | None:
        order = billing.order()
        try:
            status = billing.post(api, order, DEADLINE).status
        except LearnerBroke as broke:
            if broke.code != "L-TIME":
                raise
            status = 0
        answers.append(str(status or "no answer"))
        return order if status == 202 else None

    done, order = waiting.reached(post, PATIENCE, every=0.2)
    if order is None or not done:
        fail(
            code,
            f"{what} Then orders were posted, again and again.",
            expected=f"202 within {PATIENCE * waiting.factor():.0f} s: the api connects again by itself",
            observed=f"{len(answers)} answers, the last ones: {' '.join(answers[-5:])}",
            look=SEE_API,
            hint=3,
        )
    return order


def all_queued(billing: Billing, orders: list[Order], what: str, code: str) -> None:
    """Ends the check unless all of these are in the queue, now or in a moment."""
    wanted = {order["order_id"] for order in orders}
    if soon(lambda: billing.ready() >= len(wanted), 3) and wanted <= billing.queued().keys():
        return
    found = billing.queued() if billing.broker.ready(QUEUE) is not None else {}
    fail(
        code,
        what,
        expected=f"{len(wanted)} messages in {QUEUE}, each with its order's id as message_id",
        observed=f"{billing.broker.ready(QUEUE)} messages, {len(wanted & found.keys())} of them with these ids"
        if found or billing.broker.ready(QUEUE) is not None
        else f"there is no queue {QUEUE}",
        look=SEE_QUEUES,
        hint=1,
    )


def as_promised(order: Order, message: Message | None) -> None:
    """Ends the check unless this is the message that the contract describes."""
    if message is None:
        raise LabFault("A message that was there a moment ago is gone.")
    try:
        body: Any = json.loads(message.body)
    except ValueError:
        body = None
    wrong = {
        "delivery mode": (2, message.delivery_mode),
        "content_type": ("application/json", message.content_type),
        "body": (order, body),
    }
    for name, (expected, observed) in wrong.items():
        if expected != observed:
            fail(
                "not-persistent" if name == "delivery mode" else "wrong-message",
                f"Order {order['order_id']} was accepted; its message was fetched from {QUEUE} and put back.",
                expected=f"{name}: {quote(expected)}",
                observed=f"{name}: {quote(message.body if name == 'body' else observed)}",
                look=SEE_MESSAGES,
                hint=2,
            )


def malformed(billing: Billing) -> list[bytes]:
    """Bodies that are no order, each for another reason."""

    def order(**changed: Any) -> bytes:
        return json.dumps({**billing.order(), **changed}, ensure_ascii=False).encode()

    without = {name: value for name, value in billing.order().items() if name != "customer"}
    return [
        order()[:-5],
        b"[]",
        json.dumps(without).encode(),
        order(amount_cents="1200"),
        order(amount_cents=0),
        order(amount_cents=2**31),
        order(amount_cents=12.5),
        order(amount_cents=True),
        order(order_id="a" * 65),
        order(order_id="order 7/../8"),
        order(order_id=""),
        order(customer=""),
    ]


def error_of(reply: Reply) -> object:
    try:
        body = json.loads(reply.body)
    except ValueError:
        return None
    return body.get("error") if isinstance(body, dict) else None


def is_503(result: Reply | Exception, what: str, how: str, look: str) -> None:
    """Ends the check unless this is a 503 that came in time."""
    if isinstance(result, LearnerBroke) and result.code != "L-TIME":
        raise result
    if isinstance(result, LearnerBroke | TimeoutError):
        fail(
            f"hangs-while-{how}",
            what,
            expected=f"503 within {DEADLINE:.0f} s (CONFIRM_TIMEOUT_MS is {CONFIRM_MS})",
            observed=f"no answer in {DEADLINE:.0f} s",
            look=look,
            hint=3,
        )
    if isinstance(result, Exception):
        raise LabFault(f"A request of the checks broke: {quote(result)}")
    if result.status == 202:
        fail(
            f"accepted-while-{how}",
            what,
            expected="503: the broker has confirmed nothing",
            observed=f"202 after {result.seconds:.1f} s",
            look=look,
            hint=1,
        )
    if result.status != 503:
        wrong_status(result, "503", what)


def wrong_status(reply: Reply, expected: str, what: str) -> None:
    fail("wrong-status", f"{what} {reply.asked} was answered.", expected=expected,
         observed=f"{reply.status} {quote(reply.body, 120)}", look=SEE_API, hint=3)  # fmt: skip


def unbind(billing: Billing) -> None:
    """Delete the binding, and prove that nothing is routed any more. An api may put it back, but not for ever."""
    for _ in range(5):
        billing.broker.unbind(QUEUE, EXCHANGE, KEY)
        try:
            billing.broker.publish(b"{}", exchange=EXCHANGE, key=KEY, message_id="proof")
        except Unrouted:
            return
    raise LabFault(f"The binding of {QUEUE} was deleted five times, and still a message was routed.")
