"""T1 Time limits, and what counts as failure: a partner may be down in many ways, and none of them lasts for ever."""

from __future__ import annotations

import time

from down import FAULTS, expect_down, shape_of_down
from fareflow import LOGS, NEVER, SEE_LOG, Fareflow

from roadmap_labs.harness import Role, difference, fail, held, quote, waiting

LIMIT_MS = 800  # CALL_TIMEOUT_MS where a call has to run into it


def _impatient(flow: Fareflow) -> Role:
    """The service with a short limit, its breaker out of the way; it can reach both partners."""
    role = flow.quotes(CALL_TIMEOUT_MS=LIMIT_MS, BREAKER_MIN_CALLS=NEVER)
    _reaches(flow, role)
    return role


def _reaches(flow: Fareflow, role: Role) -> None:
    # The very first call of a process may take longer than 800 ms on a busy machine; that is not judged here.
    if not waiting.reached(lambda: flow.ask(role, flow.route("first")).fares == "live", 10, every=0.05)[0]:
        flow.live(role)


def test_t1_4xx_is_not_failure(flow: Fareflow) -> None:
    """404 is an answer: it is passed on, and the breaker stays closed"""
    quotes = flow.quotes()
    asked = 30
    for number in range(asked):
        reply = quotes.get(f"/quotes/{flow.route('unknown')}")
        wrong = reply.status != 404 or difference(flow.not_found(), reply.json)
        if wrong:
            fail(
                "unknown-route-failed",
                f"{asked} routes that do not exist were asked for; fares answered each with 404. This is about number "
                f"{number + 1}.",
                expected=f"404 with the body that fares sent: {flow.not_found()}",
                observed=f"{reply.status} {quote(reply.body, 120)}",
                look=SEE_LOG,
                hint=2,
            )
    flow.expect_state(
        quotes, ["closed"], f"{asked} unknown routes were asked for: fares answered, each time.",
        code="opened-by-404", hint=2,
    )  # fmt: skip
    flow.live(quotes, after=f" (after {asked} unknown routes)")


def test_t1_hang_is_bounded(flow: Fareflow) -> None:
    """A partner that says nothing costs a limited time"""
    quotes = _impatient(flow)
    flow.ill("hang", fault="hang")
    expect_down(
        flow, quotes, flow.route("hang"), f"Fares takes requests and says nothing (limit {LIMIT_MS} ms)."
    )
    _was_asked(flow, "hang")


def test_t1_trickle_is_bounded(flow: Fareflow) -> None:
    """So does one that sends its answer byte by byte"""
    quotes = _impatient(flow)
    flow.ill("drip", fault="trickle", every=0.3)
    what = f"Fares sends its headers at once, and then one byte every 300 ms (limit {LIMIT_MS} ms)."
    expect_down(flow, quotes, flow.route("drip"), what, hint=2)
    _was_asked(flow, "drip")


def test_t1_shapes_of_down(flow: Fareflow) -> None:
    """However the partner is down, the answer is 503 or an older fare, never 500"""
    quotes = _impatient(flow)
    for shape in (*FAULTS, "refused", "paused", "stopped"):
        route = flow.route("shape")
        with shape_of_down(flow, "fares", shape, f"/fares/{route}"):
            expect_down(flow, quotes, route, f"Fares is down: {shape}.", hint=3)
        _reaches(flow, quotes)


def test_t1_no_hidden_repeats(flow: Fareflow) -> None:
    """A call that broke off is not made again behind your back"""
    quotes = _impatient(flow)
    flow.ill("cut", fault="close")
    requests = 5
    for _ in range(requests):
        _reaches(flow, quotes)  # leaves an idle connection, which the next call may use
        expect_down(flow, quotes, flow.route("cut"), "Fares closes the connection without an answer.", hint=3)
    saw = flow.seen("cut")
    if saw != requests:
        fail(
            "hidden-repeat" if saw > requests else "not-asked",
            f"Fares closed the connection after the request, without an answer. {requests} quotes were asked for, one "
            "after another, with RETRY_MAX=0.",
            expected=f"{requests} calls at fares",
            observed=f"{saw} calls",
            look=SEE_LOG,
            hint=1,
        )


def test_t1_abandoned_calls_end(flow: Fareflow) -> None:
    """After the time limit the partner is left in peace: the connection is closed"""
    quotes = _impatient(flow)
    with flow.fares.closed(f"{flow.path('gate')}*") as gate:
        crowd = held(
            [lambda: expect_down(flow, quotes, flow.route("gate"), "Fares holds the call at a gate.")] * 4
        )
        gate.reaches(4, 5)
        for ended in crowd.results(20):
            if isinstance(ended, Exception):
                raise ended
        answered = time.monotonic()
        if not flow.seen("gate"):
            _was_asked(flow, "gate")
        over = waiting.reached(lambda: flow.fares.in_progress(flow.path("gate")) == 0, 10)[0]
        if not over:
            fail(
                "abandoned-calls-go-on",
                f"Fares held four calls for longer than the limit ({LIMIT_MS} ms), and four quotes were answered.",
                expected="no call in progress at fares: you have closed those connections",
                observed=f"{flow.fares.in_progress(flow.path('gate'))} still in progress "
                f"{time.monotonic() - answered:.0f} s after the answers",
                look=SEE_LOG,
                hint=3,
            )


def _was_asked(flow: Fareflow, kind: str) -> None:
    """Who never calls the partner is in time, too."""
    if not flow.seen(kind):
        fail("not-asked", "A quote was asked for.", expected="a call at fares", observed="none", look=LOGS)
