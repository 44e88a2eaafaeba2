"""T1 Publish so that 202 means something. No worker runs: what was accepted lies in the queue, and is counted there."""

from __future__ import annotations

from billing import EXCHANGE, KEY, QUEUE, SEE_API, SEE_QUEUES, Billing, soon
from ledger import ACCEPTED, PATIENT_MS, Ledger, disturb
from posting import (
    CONFIRM_MS,
    DEADLINE,
    SEE_MESSAGES,
    accepted,
    accepted_again,
    all_queued,
    as_promised,
    error_of,
    is_503,
    malformed,
    unbind,
    wrong_status,
)

from roadmap_labs.harness import LabFault, fail, held, needs, quote

NACK_LIMIT = 5


def test_t1_202_is_queued(billing: Billing) -> None:
    """202 means: the order lies in the queue, as the contract has it"""
    api, orders = billing.api(), billing.orders(25)
    accepted(billing, api, orders)
    all_queued(
        billing, orders, f"{len(orders)} orders were posted, and each was answered with 202.", "not-queued"
    )
    found = billing.queued()
    for order in orders:
        as_promised(order, found.get(order["order_id"]))


@needs("t1_202_is_queued")
def test_t1_invalid_is_not_published(billing: Billing) -> None:
    """What is no order is refused with 400, and nothing is published"""
    api, good = billing.api(), billing.orders(5)
    bad = malformed(billing)
    wrong: list[str] = []
    for number, body in enumerate(bad):
        if number % 2 == 0 and number // 2 < len(good):
            accepted(billing, api, [good[number // 2]])
        reply = api.request("POST", "/orders", body=body)
        if reply.status != 400 or error_of(reply) != "bad_request":
            wrong.append(f"{quote(body, 90)}: {reply.status} {quote(reply.body, 60)}")
    if wrong:
        fail(
            "malformed-accepted",
            f"{len(bad)} bodies were posted that are no order; {len(wrong)} were not answered with 400.",
            expected='400 {"error": "bad_request"} for each of them',
            observed="\n".join(wrong[:3]),
            look="README.md, the contract",
            hint=None,
        )
    all_queued(
        billing,
        good,
        f"{len(good)} good orders were posted among {len(bad)} malformed ones.",
        "good-order-lost",
    )
    if billing.ready() > len(good):
        fail(
            "malformed-published",
            f"{len(good)} good orders and {len(bad)} malformed ones were posted; the malformed ones were refused.",
            expected=f"{len(good)} messages in {QUEUE}",
            observed=f"{billing.ready()} messages",
            look=SEE_QUEUES,
            hint=None,
        )


@needs("t1_202_is_queued")
def test_t1_survives_broker_restart(billing: Billing) -> None:
    """What was accepted outlives a restart of the broker, and so does the api"""
    api, orders = billing.api(CONFIRM_TIMEOUT_MS=5_000), billing.orders(25)
    accepted(billing, api, orders)
    all_queued(billing, orders, f"{len(orders)} orders were posted.", "not-queued")
    billing.lab.restart("rabbitmq")
    what = f"{len(orders)} orders were accepted, then RabbitMQ was stopped and started again."
    left = billing.broker.ready(QUEUE)
    if left is None or left < len(orders):
        fail(
            "lost-in-restart",
            what,
            expected=f"{len(orders)} messages in {QUEUE}",
            observed="the queue is gone" if left is None else f"{left} messages",
            look="roadmap-labs shell rabbitmq rabbitmqctl -p paperboy list_queues name durable messages_persistent",
            hint=2,
        )
    order = accepted_again(billing, api, what, "never-reconnects")
    all_queued(billing, [*orders, order], f"{what} Then one more was accepted.", "not-queued")


@needs("t1_202_is_queued")
def test_t1_broker_frozen_is_503(billing: Billing) -> None:
    """A broker that says nothing has confirmed nothing: 503, in time"""
    api = billing.api(CONFIRM_TIMEOUT_MS=CONFIRM_MS)
    accepted(billing, api, billing.orders(1))
    orders = billing.orders(3)
    with billing.lab.paused("rabbitmq"):
        posts = held([lambda order=order: billing.post(api, order, DEADLINE) for order in orders])
        results = posts.results(DEADLINE + 5)
    what = f"RabbitMQ was frozen: it takes bytes and answers nothing. Then {len(orders)} orders were posted."
    for result in results:
        is_503(result, what, "frozen", "roadmap-labs logs api; freeze it yourself with docker pause")


@needs("t1_202_is_queued")
def test_t1_unroutable_is_not_202(billing: Billing) -> None:
    """No 202 for an order that reached no queue"""
    api, (first, second) = billing.api(), billing.orders(2)
    accepted(billing, api, [first])
    try:
        unbind(billing)
        before = billing.ready()
        reply = billing.post(api, second)
        arrived = reply.status == 202 and soon(lambda: billing.ready() > before, 3)
    finally:
        billing.broker.bind(QUEUE, EXCHANGE, KEY)
    if reply.status == 202 and not arrived:
        fail(
            "unroutable-accepted",
            f"The binding between {EXCHANGE} and {QUEUE} was deleted; then an order was posted. RabbitMQ confirms what "
            "it can't route, and throws it away.",
            expected="503, or 202 and the order in the queue",
            observed="202, and the order is nowhere",
            look="roadmap-labs shell rabbitmq rabbitmqctl -p paperboy list_bindings",
            hint=2,
        )
    if reply.status not in (202, 503):
        wrong_status(
            reply, "503 (or 202, if the order is in the queue)", f"The binding of {QUEUE} was deleted."
        )


@needs("t1_202_is_queued")
def test_t1_nack_is_503(billing: Billing) -> None:
    """The broker's refusal is an answer, too"""
    api = billing.api()
    limit = {"max-length": NACK_LIMIT, "overflow": "reject-publish"}
    if billing.broker.ready(QUEUE) is None:  # an api may well declare it with the first order
        accepted(billing, api, billing.orders(1))
        if billing.broker.take(QUEUE) is None:
            raise LabFault("The first order could not be taken out of the queue again.")
    with billing.management.policy(billing.vhost, f"^{QUEUE}$", limit):
        orders = billing.orders(8)
        replies = [billing.post(api, order) for order in orders]
        found = billing.queued()
    taken = [order for order, reply in zip(orders, replies, strict=True) if reply.status == 202]
    statuses = " ".join(str(reply.status) for reply in replies)
    what = f"A policy let {QUEUE} hold {NACK_LIMIT} messages and refuse more; then {len(orders)} orders were posted."
    lost = [order for order in taken if order["order_id"] not in found]
    if lost:
        fail(
            "nack-taken-for-ack",
            what,
            expected="202 only for orders that are in the queue; the broker said basic.nack for the others",
            observed=f"{statuses}; {len(lost)} of those with 202 are not in the queue",
            look=SEE_API,
            hint=3,
        )
    wrong = [reply for reply in replies if reply.status not in (202, 503)]
    if wrong:
        wrong_status(wrong[0], "202 or 503", what)
    # A quorum queue takes one more; every answer but 202 is 503.
    if len(taken) not in (NACK_LIMIT, NACK_LIMIT + 1):
        fail(
            "room-not-used",
            what,
            expected=f"202 for the first {NACK_LIMIT} (a quorum queue takes {NACK_LIMIT + 1}), 503 for the others",
            observed=statuses,
            look=SEE_API,
            hint=3,
        )


@needs("t1_survives_broker_restart")
def test_t1_ledger(billing: Billing) -> None:
    """Whatever happens to the broker: every order with a 202 is in the queue"""
    api = billing.api_through_fault(CONFIRM_TIMEOUT_MS=PATIENT_MS)
    accepted(billing, api, billing.orders(1))
    billing.saved()
    ledger = Ledger(billing, api)
    ledger.begin()
    try:
        disturb(billing, ledger)
        ledger.enough()
    finally:
        ledger.end()
    found = billing.queued()
    lost = [order for order in ledger.accepted if order["order_id"] not in found]
    what = (
        f"{ledger.posted} orders were posted one after another, while RabbitMQ was frozen three times for a second and "
        f"killed and started again once. {len(ledger.accepted)} were answered with 202."
    )
    if lost:
        fail(
            "accepted-and-lost",
            what,
            expected="each of them in the queue",
            observed=f"{len(lost)} are not there, among them {lost[0]['order_id']}",
            look=SEE_MESSAGES,
            hint=3,
        )
    if len(ledger.accepted) < ACCEPTED:
        fail(
            "nothing-accepted",
            what,
            expected=f"at least {ACCEPTED} of them: most of the time RabbitMQ is well",
            observed=f"{len(ledger.accepted)}",
            look=SEE_API,
            hint=3,
        )
