"""T5 Watch and operate: dead orders come back on demand, the backlog is known, a broker in trouble harms nobody."""

from __future__ import annotations

import re

from billing import DEAD, PATIENCE, QUEUE, SEE_API, SEE_QUEUES, Billing, Order
from outcomes import dead_are, invoices_appear, one_invoice_each, queue_drains, where
from posting import CONFIRM_MS, DEADLINE, accepted, accepted_again, is_503

from roadmap_labs.harness import Role, fail, held, needs, quote, waiting
from roadmap_labs.harness.lab import Ended

POISON = b"{this is no order}"
REPLAY = "ops/replay-dead"
REPLAY_SECONDS = 25.0
GAUGE = re.compile(r"^invoices_ready(?:\{[^}\n]*\})?[ \t]+([0-9.eE+]+)(?:[ \t]+[0-9]+)?[ \t]*$", re.MULTILINE)

SEE_REPLAY = "roadmap-labs shell worker ops/replay-dead"


@needs("t3_exhausted_goes_to_dead", "t3_poison_body")
def test_t5_replay_tool(billing: Billing) -> None:
    """When the cause is gone, dead orders come back, once"""
    orders = billing.orders(4)
    billing.worker(MAX_ATTEMPTS=1)
    nap = billing.gateway.route("/sign", status=503, json={"error": "nap"})
    billing.publish(*orders[:2])
    billing.publish_raw(POISON, "poison")
    billing.publish(*orders[2:])
    dead_are(billing, 5, "MAX_ATTEMPTS is 1: the gateway failed for 4 orders, and a fifth message was none.")
    billing.gateway.forget(nap)
    for turn in ("first", "second"):
        mark = billing.gateway.mark()
        ended = billing.lab.once(
            "worker", [REPLAY], environment=billing.worker_environment(MAX_ATTEMPTS=1), within=REPLAY_SECONDS
        )
        what = (
            f"4 orders and a message that is none lay in {DEAD}. The gateway was well again, and {REPLAY} was run"
            + ("." if turn == "first" else ", twice.")
        )
        _succeeded(ended, what)
        if turn == "first":
            invoices_appear(billing, orders, what, code="not-replayed", hint=3)
        queue_drains(billing, what, hint=3)
        billing.nothing_moves()
        again = billing.gateway.count("/sign", since=mark)
        if again != (4 if turn == "first" else 0):
            fail(
                "replayed-too-often",
                what,
                expected="each order comes back once, and after that never again",
                observed=f"{again} calls of the gateway in the {turn} run",
                look=SEE_QUEUES,
                hint=3,
            )
        one_invoice_each(billing, orders, what)
        _left_alone(billing, ended, what)


@needs("t1_202_is_queued")
def test_t5_backlog_metric(billing: Billing) -> None:
    """The backlog can be read, and is true"""
    api, orders = billing.api(), billing.orders(50)
    accepted(billing, api, orders)
    _metric_is(billing, api, 50, "50 orders were posted, and no worker runs.", PATIENCE)
    for _ in range(7):
        billing.broker.take(QUEUE)
    _metric_is(
        billing,
        api,
        43,
        "50 orders were posted, then somebody else took 7 of them out of the queue.",
        PATIENCE,
    )


@needs("t1_broker_frozen_is_503")
def test_t5_blocked_broker(billing: Billing) -> None:
    """A broker that is out of memory blocks publishers, not customers"""
    api = billing.api(CONFIRM_TIMEOUT_MS=CONFIRM_MS)
    accepted(billing, api, billing.orders(1))
    what = "RabbitMQ was short of memory: it tells publishers so (connection.blocked) and reads nothing more from them."
    with billing.short_of_memory():
        for order in billing.orders(
            2
        ):  # the first is what makes it block; the second meets a blocked connection
            _refused_in_time(billing, api, order, what)
    accepted_again(billing, api, f"{what} Then it had memory again.", "stays-blocked")


# -- what several of them use


def _refused_in_time(billing: Billing, api: Role, order: Order, what: str) -> None:
    result = held([lambda: billing.post(api, order, DEADLINE)]).results(DEADLINE + 5)[0]
    is_503(
        result,
        f"{what} Then an order was posted.",
        "blocked",
        f"{SEE_API}\nroadmap-labs shell rabbitmq watermark 1",
    )


def _succeeded(ended: Ended, what: str) -> None:
    if ended.exit_code != 0:
        fail(
            "replay-failed",
            what,
            expected=f"{REPLAY} is executable and ends with code 0",
            observed=f"exit code {ended.exit_code}; its last words: {quote(ended.output[-300:], 300) or 'none'}",
            look=SEE_REPLAY,
            hint=3,
        )


def _left_alone(billing: Billing, ended: Ended, what: str) -> None:
    """What can never work lies where it was, and the tool has said how many that are."""
    if billing.dead() != 1:
        fail("poison-moved", what, expected=f"1 message left in {DEAD}: the one that can never work",
             observed=where(billing), look=SEE_QUEUES, hint=3)  # fmt: skip
    if not re.search(r"(?<![0-9.])1(?![0-9.])", ended.output.decode("utf-8", "replace")):
        fail(
            "replay-says-nothing",
            what,
            expected=f"it says how many messages it left in {DEAD} because they can never work: 1",
            observed=quote(ended.output, 300) or "no word",
            look=SEE_REPLAY,
            hint=3,
        )


def _metric_is(billing: Billing, api: Role, count: int, what: str, within: float) -> None:
    seen = ["nothing"]

    def true() -> bool:
        reply = api.get("/metrics")
        found = GAUGE.search(reply.text)
        seen[0] = (
            f"{reply.status} {quote(reply.body, 160)}" if found is None else f"invoices_ready {found[1]}"
        )
        return reply.status == 200 and found is not None and float(found[1]) == count

    if not waiting.reached(true, within, every=0.1)[0]:
        fail(
            "wrong-backlog",
            f"{what} Then GET /metrics of the api was asked, again and again.",
            expected=f"invoices_ready {count}, within {within * waiting.factor():.0f} s",
            observed=f"{seen[0]}; the broker says {billing.ready()}",
            look=SEE_QUEUES,
            hint=2,
        )
