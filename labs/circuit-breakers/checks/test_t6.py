"""T6 An honest fallback: what is known is shown and marked, what is not known is never made up."""

from __future__ import annotations

import time
from functools import partial

from down import FAULTS, expect_down, shape_of_down
from fareflow import LOGS, SEE_BREAKERS, SEE_LOG, Answer, Fareflow

from roadmap_labs.harness import Role, fail, needs, together, waiting

LIMIT_MS = 800  # CALL_TIMEOUT_MS; who is late by accident is asked again
OPEN_MS = 1_000


def _quotes(flow: Fareflow, **environment: object) -> Role:
    return flow.quotes(CALL_TIMEOUT_MS=LIMIT_MS, BREAKER_OPEN_MS=OPEN_MS, **environment)


def _warm(flow: Fareflow, quotes: Role) -> str:
    """A route whose fare the service has just seen."""
    route = flow.route("warm")
    if not waiting.reached(lambda: flow.ask(quotes, route).fares == "live", 20, every=0.1)[0]:
        flow.live(quotes, route)
    return route


def test_t6_stale_on_error(flow: Fareflow) -> None:
    """A fare that was seen is shown while the partner is down, and marked as stale"""
    quotes = _quotes(flow)
    for shape in ("paused", "stopped", "open"):
        route = _warm(flow, quotes)
        if shape == "open":
            flow.ill()  # also for the probe that may leave meanwhile
            flow.opened(quotes)
            one = partial(_stale, flow, quotes, route, "Fares fails, and its breaker is open.")
            together([one] * 4)  # at most one of them may be a probe
        else:
            with shape_of_down(flow, "fares", shape, ""):
                _stale(flow, quotes, route, f"Fares is {shape}.")


def test_t6_no_invention(flow: Fareflow) -> None:
    """A fare that nobody has seen is not made up"""
    quotes = _quotes(flow)
    _warm(flow, quotes)
    for shape in ("paused", "open"):
        if shape == "open":
            flow.ill()
            flow.opened(quotes)
            _unavailable(flow, quotes, "Fares fails, and its breaker is open.")
        else:
            with shape_of_down(flow, "fares", shape, ""):
                _unavailable(flow, quotes, f"Fares is {shape}.")


@needs("t6_stale_on_error")
def test_t6_too_old(flow: Fareflow) -> None:
    """A fare that is too old is not shown any more"""
    quotes = _quotes(flow, STALE_MAX_AGE_S=1)
    route = _warm(flow, quotes)
    seen = time.monotonic()
    flow.ill()
    time.sleep(max(0.0, seen + 1.5 - time.monotonic()))  # noise can only make it older
    answer = flow.ask(quotes, route)
    if answer.fares != "none":
        fail(
            "too-old-shown",
            f"The fare of {route} was seen {time.monotonic() - seen:.1f} s ago (STALE_MAX_AGE_S=1), and fares is down.",
            expected="503",
            observed=str(answer),
            look=LOGS,
            hint=2,
        )


def test_t6_optional_part(flow: Fareflow) -> None:
    """Without reviews the page is still a page"""
    quotes = _quotes(flow)
    for shape in (*FAULTS, "refused", "paused", "stopped"):
        for _ in range(3):  # so that the breaker of reviews stays closed, and each shape is met
            flow.ask(quotes, flow.route())
        route = flow.route("plain")
        with shape_of_down(flow, "reviews", shape, f"/reviews/{route}"):
            # A call for fares that is late by accident is a failure, too: the first live answer is judged.
            _, answer = waiting.reached(lambda route=route: _with_fare(flow, quotes, route), 10, every=0.1)
            what = f"Reviews is down ({shape}), fares are well. GET /quotes/{route} was asked for."
            if answer is None:
                fail("reviews-take-fares-down", what, expected="200, the fare live",
                     observed=str(flow.ask(quotes, route)), look=LOGS, hint=2)  # fmt: skip
            if answer.reviews != "none" or not answer.degraded:
                fail("missing-part-unmarked", what,
                     expected='"reviews": null, "degraded": true, sources.reviews none', observed=str(answer),
                     look=LOGS, hint=2)  # fmt: skip


def _with_fare(flow: Fareflow, quotes: Role, route: str) -> Answer | None:
    """The answer, if its fare is live."""
    answer = flow.ask(quotes, route, within=10)
    return answer if answer.fares == "live" else None


@needs("t6_stale_on_error")
def test_t6_back_to_live(flow: Fareflow) -> None:
    """When the partner is back, so is the live fare"""
    quotes = _quotes(flow)
    route = _warm(flow, quotes)
    flow.opened(quotes)
    old = flow.price
    flow.price += 1_111
    flow.as_of = flow.as_of.replace("2031", "2032")
    flow.well()

    def back() -> bool:
        answer = flow.ask(quotes, route)
        return answer.fares == "live" and answer.reviews == "live" and not answer.degraded

    what = f"Fares was down and is well again; the fare of {route} has changed from {old} to {flow.price} meanwhile."
    if not waiting.reached(back, 20, every=0.1)[0]:
        fail("never-live-again", what, expected="the live fare, not degraded",
             observed=f"after {20 * waiting.factor():.0f} s: {flow.ask(quotes, route)}",
             look=f"{SEE_BREAKERS}\n{SEE_LOG}", hint=3)  # fmt: skip
    answer = flow.ask(quotes, route)
    if (answer.price, answer.as_of) != (flow.price, flow.as_of):
        fail("old-fare-live", what, expected=f"{flow.price}, {flow.as_of}", observed=str(answer),
             look=SEE_LOG, hint=3)  # fmt: skip


def _stale(flow: Fareflow, quotes: Role, route: str, what: str) -> None:
    what = f"{what} The fare of {route} was seen before."
    answer = expect_down(flow, quotes, route, what, hint=2)
    if answer.fares != "stale":
        fail("not-remembered", what, expected="200 with that fare, sources.fares stale", observed=str(answer),
             look=LOGS, hint=2)  # fmt: skip
    if (answer.price, answer.as_of) != (flow.price, flow.as_of):
        fail("wrong-memory", what, expected=f"{flow.price} as of {flow.as_of}", observed=str(answer),
             look=LOGS, hint=2)  # fmt: skip
    if not answer.degraded:
        fail("stale-unmarked", what, expected='"degraded": true', observed=str(answer), look=LOGS, hint=2)


def _unavailable(flow: Fareflow, quotes: Role, what: str) -> None:
    answer = expect_down(flow, quotes, flow.route("cold"), what, hint=1)
    what = f"{what} {answer.reply.asked} was asked for, a route that nobody has asked for before."
    if answer.fares != "none":
        fail("fare-invented", what, expected="503", observed=str(answer), look=LOGS, hint=3)
    wait = answer.reply.headers.get("retry-after", "")
    if not wait.isdecimal() or int(wait) < 1:
        fail("no-retry-after", what, expected="Retry-After: 1 or more seconds",
             observed=f"Retry-After: {wait or 'missing'}", look=LOGS, hint=3)  # fmt: skip
