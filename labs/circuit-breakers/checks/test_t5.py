"""T5 Retries with restraint: a second attempt helps one customer, and thousands of them bury a partner that was about
to recover. All calls are counted at the partner."""

from __future__ import annotations

import math
import statistics
import time
from typing import Any

from fareflow import NEVER, SEE_BREAKERS, SEE_LOG, Fareflow

from roadmap_labs.harness import Reply, Role, fail, needs, quote, together, waiting

MIN_CALLS = 10  # BREAKER_MIN_CALLS, the default of the contract
BASE_MS = 3_000  # RETRY_BASE_MS where the waits are measured
# Calls whose waits are measured, and how many of them must come early, and late: with a fair coin fewer than 4 of 30
# come once in 200 000 times.
CROWD, FEW = 30, 4
FULL = "1.0"  # RETRY_BUDGET_RATIO where the budget has to stay out of the way


def _persistent(flow: Fareflow, *, fresh: bool = False, **environment: object) -> Role:
    """The service with short waits between its attempts and a budget for all of them."""
    changed = {"RETRY_MAX": 2, "RETRY_BASE_MS": 1, "RETRY_BUDGET_RATIO": FULL, **environment}
    return flow.quotes(fresh=fresh, **changed)


def _frugal(flow: Fareflow) -> Role:
    """The service with a small budget and a short limit, its breaker out of the way."""
    return _persistent(
        flow, RETRY_MAX=3, RETRY_BUDGET_RATIO="0.2", BREAKER_MIN_CALLS=NEVER, CALL_TIMEOUT_MS=1_500
    )


def test_t5_transient(flow: Fareflow) -> None:
    """A call that fails once is made again, and nobody notices"""
    quotes = _persistent(flow)
    flow.live(quotes)
    route = flow.route("once")
    flow.fares.route(f"/fares/{route}", status=500, times=1)
    answer = flow.ask(quotes, route)
    attempts = flow.fares.count(f"/fares/{route}")
    what = f"The first call for {route} was answered with 500 (RETRY_MAX=2), the next would be answered well."
    if answer.fares != "live":
        fail("not-repeated", what, expected="200 with the live fare", observed=f"{answer}, {attempts} calls at fares",
             look=SEE_LOG, hint=3)  # fmt: skip
    if attempts != 2:
        fail("repeated-after-success", what, expected="2 calls at fares", observed=f"{attempts} calls",
             look=SEE_LOG, hint=3)  # fmt: skip


@needs("t5_transient")
def test_t5_retry_after_respected(flow: Fareflow) -> None:
    """Who is told to come back in two seconds does not come before"""
    quotes = _persistent(flow)
    route = flow.route("later")
    flow.fares.route(f"/fares/{route}", status=503, headers={"Retry-After": "2"}, times=1)
    flow.ask(quotes, route, within=50)
    arrivals = [one.arrived for one in flow.fares.requests(f"/fares/{route}")]
    if len(arrivals) > 1 and arrivals[1] - arrivals[0] < 2:
        fail(
            "came-too-early",
            "Fares answered a call with 503 and Retry-After: 2 (RETRY_BASE_MS=1).",
            expected="a second attempt after 2 s or more, or none",
            observed=f"a second attempt after {arrivals[1] - arrivals[0]:.2f} s",
            look=SEE_LOG,
            hint=3,
        )


@needs("t5_transient")
def test_t5_no_retry_when_open(flow: Fareflow) -> None:
    """While the breaker is open nobody tries again"""
    quotes = _persistent(flow)
    flow.fail_calls(quotes, 3 * MIN_CALLS)
    requests = 60
    together([lambda: flow.ask(quotes, flow.route("bad-open"))] * requests, threads=8)
    saw = flow.seen("bad-open")
    if saw:
        fail(
            "retries-when-open",
            f"{3 * MIN_CALLS} quotes failed, so the breaker of fares is open. {requests} more were asked for.",
            expected="no call at fares",
            observed=f"{saw} calls",
            look=SEE_LOG,
            hint=3,
        )


@needs("t5_transient")
def test_t5_attempts_are_calls(flow: Fareflow) -> None:
    """The breaker sees each attempt by itself"""
    quotes = _persistent(flow, fresh=True)
    requests = 15
    for _ in range(requests):
        flow.ask(quotes, flow.route("bad"))
    saw = flow.seen("bad")
    if saw != MIN_CALLS:
        fail(
            "attempts-uncounted" if saw > MIN_CALLS else "not-asked",
            f"Every call failed, from the start of the service on; {requests} quotes were asked for, one after another "
            "(RETRY_MAX=2, a budget for all of them).",
            expected=f"{MIN_CALLS} calls at fares, then the breaker is open",
            observed=f"{saw} calls, and the breaker is {flow.state(quotes)}",
            look=f"{SEE_LOG}\n{SEE_BREAKERS}",
            hint=3,
        )
    flow.expect_state(quotes, ["open"], f"{MIN_CALLS} attempts failed.", code="attempts-uncounted", hint=3)


@needs("t5_transient")
def test_t5_never_twice(flow: Fareflow) -> None:
    """A booking is asked for once, whatever becomes of it"""
    quotes = _frugal(flow)
    _books(flow, quotes)
    ways: tuple[tuple[str, dict[str, Any]], ...] = (
        ("answers with 503", {"status": 503}),
        ("does not answer in time", {"fault": "hang"}),
        ("closes the connection", {"fault": "close"}),
    )
    for how, route in ways:
        number = flow.fares.route("/bookings", **route)
        reply, saw = _arrived(flow, quotes)
        flow.fares.forget(number)
        if saw != 1:
            fail("booked-twice" if saw else "not-booked", f"A booking; fares {how}.",
                 expected="1 call at fares: nobody knows whether it has been carried out", observed=f"{saw} calls",
                 look=SEE_LOG, hint=1)  # fmt: skip
        if reply.status not in (502, 504):
            fail("wrong-status", f"A booking; fares {how}.", expected="502, or 504 for a time limit",
                 observed=f"{reply.status} {quote(reply.body, 100)}", look=SEE_LOG, hint=1)  # fmt: skip
    route = flow.route("unknown")
    quotes.get(f"/quotes/{route}")
    saw = flow.fares.count(f"/fares/{route}")
    if saw != 1:
        fail("refusal-repeated", "Fares answered a quote with 404.", expected="1 call at fares",
             observed=f"{saw} calls", look=SEE_LOG, hint=3)  # fmt: skip


@needs("t5_transient")
def test_t5_budget(flow: Fareflow) -> None:
    """When everything fails, retries stay a small share"""
    quotes = _frugal(flow)
    began = time.monotonic()
    first = 100
    together([lambda: flow.ask(quotes, flow.route("bad"))] * first, threads=4)
    # A fifth of the first attempts, three more, and one for those who round up.
    most = first + 24 + 3 * math.floor((time.monotonic() - began) / 60)
    saw = flow.seen("bad")
    if not first < saw <= most:
        fail(
            "over-budget" if saw > most else "never-repeats",
            f"Every call for fares failed; {first} quotes were asked for (RETRY_MAX=3, RETRY_BUDGET_RATIO=0.2, "
            "RETRY_BUDGET_MIN=3).",
            expected=f"{first + 1} to {most} calls at fares",
            observed=f"{saw} calls",
            look=SEE_LOG,
            hint=2,
        )


@needs("t5_transient")
def test_t5_jitter(flow: Fareflow) -> None:
    """The second attempts of many do not come at one moment"""
    quotes = _persistent(
        flow,
        RETRY_MAX=1,
        RETRY_BASE_MS=BASE_MS,
        BULKHEAD_FARES=100,
        BULKHEAD_REVIEWS=100,
        BREAKER_MIN_CALLS=NEVER,
    )
    routes = [flow.route("jitter") for _ in range(CROWD)]
    flow.fares.route(f"{flow.path('jitter')}*", status=500, times_each=1)

    def seconds(number: int) -> float:
        # All at one moment would wait for each other on a busy machine, and not for the jitter.
        time.sleep(number * 0.02)
        return flow.ask(quotes, routes[number], within=50).reply.seconds

    took = together([lambda number=number: seconds(number) for number in range(CROWD)])
    arrivals: dict[str, list[float]] = {f"/fares/{route}": [] for route in routes}
    for one in flow.fares.requests(flow.path("jitter")):
        arrivals.setdefault(one.target, []).append(one.arrived)
    gaps = [times[1] - times[0] for times in arrivals.values() if len(times) == 2]
    if len(gaps) < CROWD:
        fail("not-repeated", f"{CROWD} calls failed, each once (RETRY_MAX=1).",
             expected=f"a second attempt of each, {CROWD} in all", observed=f"{len(gaps)}", look=SEE_LOG)  # fmt: skip
    # What a request needs besides its wait tells how busy the machine is: so much later any attempt may come.
    noise = statistics.median(whole - gap for whole, gap in zip(took, gaps, strict=True))
    base = BASE_MS / 1000
    line = min(base / 2 + 2 * noise, 0.95 * base)
    early, late = sum(gap < line for gap in gaps), sum(gap > base / 2 for gap in gaps)
    if min(early, late) < FEW:
        fail(
            "no-jitter",
            f"{CROWD} calls failed, each once (RETRY_MAX=1, RETRY_BASE_MS={BASE_MS}).",
            expected=f"second attempts spread over 0 to {base:.0f} s: at least {FEW} before {line:.1f} s, "
            f"at least {FEW} after {base / 2:.1f} s",
            observed=f"{early} before and {late} after; waits from {min(gaps):.1f} to {max(gaps):.1f} s",
            look=SEE_LOG,
            hint=1,
        )


def _booking(flow: Fareflow) -> dict[str, str]:
    return {"route": flow.route(), "booking_id": flow.route("b")}


def _arrived(flow: Fareflow, quotes: Role) -> tuple[Reply, int]:
    """A booking whose call reached fares, and how many calls of it did; on a busy machine the limit may come first."""

    def once() -> tuple[Reply, int] | None:
        before = flow.fares.mark()
        reply = quotes.post("/bookings", _booking(flow))
        saw = flow.fares.count("/bookings", since=before)
        return (reply, saw) if saw else None

    done, found = waiting.reached(once, 10)
    return found if done and found else (quotes.post("/bookings", _booking(flow)), 0)


def _books(flow: Fareflow, quotes: Role) -> None:
    """Ends the check unless a booking goes through while fares are well, with one call."""
    reply, saw, booking = None, 0, {}

    def once() -> bool:
        nonlocal reply, saw, booking
        booking, before = _booking(flow), flow.fares.mark()
        reply = quotes.post("/bookings", booking)
        saw = flow.fares.count("/bookings", since=before)
        return reply.status == 201  # a call that is late by accident says nothing

    waiting.reached(once, 10, every=0.1)
    if reply is None or reply.status != 201 or reply.json.get("booking_id") != booking["booking_id"]:
        fail("not-booked", "A booking; fares are well.", expected='201 {"booking_id": ...}, the id of the booking',
             observed=f"{reply.status} {quote(reply.body, 100)}" if reply else "no answer", look=SEE_LOG)  # fmt: skip
    if saw != 1:
        fail("booked-twice" if saw else "not-booked", "A booking; fares are well.", expected="1 call at fares",
             observed=f"{saw} calls", look=SEE_BREAKERS)  # fmt: skip
