"""T2 Closed and open: the breaker judges the latest calls of each partner by itself, and an open one lets none leave.

Checks run with BREAKER_OPEN_MS=600000 and RETRY_MAX=0 (lab.yaml): nothing tries again while they count. What reached
the partner is counted at the partner; /breakers is only believed where both say the same.
"""

from __future__ import annotations

from fareflow import SEE_BREAKERS, SEE_LOG, Fareflow

from roadmap_labs.harness import Role, fail, needs, together

WINDOW, MIN_CALLS = 20, 10  # the defaults of the contract


def test_t2_ratio_not_streak(flow: Fareflow) -> None:
    """Two of three calls fail, never three in a row: that opens it"""
    quotes = flow.quotes(fresh=True)
    calls = 18
    for number in range(calls):
        flow.ask(quotes, flow.route("ok" if number % 3 == 2 else "bad"))
    flow.ask(quotes, flow.route("after"))
    if flow.seen("after"):
        fail(
            "streaks-only",
            f"{calls} calls: fail, fail, succeed, and so on. Then one more quote was asked for.",
            expected=f"no call at fares: 12 of {calls} failed, BREAKER_FAILURE_RATIO is 0.5",
            observed=f"a call, and the breaker is {flow.state(quotes)}",
            look=SEE_BREAKERS,
            hint=1,
        )
    flow.expect_state(quotes, ["open"], f"{calls} calls: fail, fail, succeed, and so on.", code="not-open")


@needs("t2_ratio_not_streak")
def test_t2_needs_min_calls(flow: Fareflow) -> None:
    """Nine failures are not enough to judge, ten are"""
    quotes = flow.quotes(fresh=True)
    flow.fail_calls(quotes, MIN_CALLS - 1)
    what = f"{MIN_CALLS - 1} calls failed, from the start of the service on (BREAKER_MIN_CALLS={MIN_CALLS})."
    flow.expect_state(quotes, ["closed"], what, code="opens-too-early")
    flow.ask(quotes, flow.route("bad"))
    _partner_saw(flow, "bad", MIN_CALLS, f"{what} Then one more quote was asked for.", code="opens-too-early")
    flow.fail_calls(quotes, 3)
    _partner_saw(flow, "bad", MIN_CALLS, f"{what} Four more quotes were asked for.", code="opens-too-late")


@needs("t2_ratio_not_streak")
def test_t2_opens_and_stays_silent(flow: Fareflow) -> None:
    """Once it is open not one call leaves"""
    quotes = flow.quotes()
    flow.opened(quotes)
    flow.expect_state(
        quotes, ["open"], "One call after another failed, until none left any more.", code="not-open"
    )
    later = 50
    answers = together([lambda: flow.ask(quotes, flow.route("later"))] * later, threads=8)
    leaked = flow.seen("later")
    what = f"The breaker is open (BREAKER_OPEN_MS=600000), and {later} quotes were asked for."
    if leaked:
        fail("leaks-while-open", what, expected="no call at fares", observed=f"{leaked} calls",
             look=SEE_LOG, hint=3)  # fmt: skip
    for answer in answers:
        if answer.fares not in ("none", "stale"):
            fail("wrong-answer-when-open", what, expected="503, or a remembered fare", observed=str(answer),
                 look=SEE_BREAKERS, hint=3)  # fmt: skip


@needs("t2_ratio_not_streak")
def test_t2_low_rate_stays_closed(flow: Fareflow) -> None:
    """One failure in five is life, for as long as it goes on"""
    quotes = flow.closed_quotes()
    calls = 100
    # Four at a time: in whatever order they end, no twenty in a row hold ten failures.
    together(
        [
            lambda number=n: flow.ask(quotes, flow.route("bad" if number % 5 == 4 else "low"))
            for n in range(calls)
        ],
        threads=4,
    )
    saw = flow.seen("bad") + flow.seen("low")
    if saw != calls:
        fail(
            "opens-at-low-rate",
            f"{calls} calls, every fifth of which failed.",
            expected=f"{calls} calls at fares: of {WINDOW} in a row, 4 failed",
            observed=f"{saw} calls, and the breaker is {flow.state(quotes)}",
            look=SEE_LOG,
            hint=1,
        )
    flow.expect_state(
        quotes, ["closed"], f"{calls} calls, every fifth of which failed.", code="opens-at-low-rate"
    )


@needs("t2_ratio_not_streak")
def test_t2_window_forgets(flow: Fareflow) -> None:
    """What happened more than twenty calls ago does not count"""
    quotes = flow.closed_quotes()
    failed = MIN_CALLS - 1
    what = f"30 calls succeed, {failed} fail, and both once more: of {WINDOW} in a row never more than {failed} failed."
    for part in (1, 2):
        flow.succeed(quotes, 30)
        flow.fail_calls(quotes, failed)
        _partner_saw(flow, "bad", part * failed, what, code="never-forgets")
    flow.expect_state(quotes, ["closed"], what, code="never-forgets", hint=1)


@needs("t2_ratio_not_streak")
def test_t2_counts_the_latest_calls(flow: Fareflow) -> None:
    """A long good past does not keep it closed"""
    quotes = flow.closed_quotes()
    good = 100
    flow.succeed(quotes, good)
    for _ in range(MIN_CALLS + 5):
        flow.ask(quotes, flow.route("bad"))
    _partner_saw(
        flow, "bad", MIN_CALLS,
        f"{good} calls succeeded, then everything failed: {MIN_CALLS + 5} quotes were asked for.", code="past-counts",
    )  # fmt: skip
    flow.expect_state(
        quotes, ["open"], f"{good} calls succeeded, then {MIN_CALLS} failed.", code="past-counts"
    )


@needs("t2_opens_and_stays_silent")
def test_t2_separate_breakers(flow: Fareflow) -> None:
    """Reviews do not suffer from the breaker of fares"""
    quotes = flow.quotes()
    route = flow.route("warm")
    flow.ask(quotes, route)
    flow.opened(quotes)
    what = "The breaker of fares is open, reviews are well."
    reply = quotes.get(f"/reviews/{route}")
    if reply.status != 200:
        fail("one-breaker-for-all", f"{what} Then GET /reviews/{route} was asked for.", expected="200",
             observed=f"{reply.status}", look=SEE_BREAKERS, hint=2)  # fmt: skip
    if reply.json.get("reviews") != [{"stars": 4, "text": flow.text}]:
        fail("wrong-reviews", f"{what} Then GET /reviews/{route} was asked for.",
             expected="the reviews of the partner", observed=str(reply.json), look=SEE_BREAKERS)  # fmt: skip
    if not flow.reviews.count(f"/reviews/{route}"):
        fail("not-asked", f"{what} Then GET /reviews/{route} was asked for.", expected="a call at reviews",
             observed="none", look="roadmap-labs shell reviews sim log")  # fmt: skip
    answer = flow.ask(quotes, route)
    if answer.reply.status == 200 and answer.reviews != "live":
        fail("one-breaker-for-all", f"{what} Then {answer.reply.asked} was asked for.", expected="reviews live",
             observed=str(answer), look=SEE_BREAKERS, hint=2)  # fmt: skip


@needs("t2_opens_and_stays_silent")
def test_t2_open_is_honest(flow: Fareflow) -> None:
    """While it is open, answers and /breakers say so"""
    quotes = flow.quotes()
    flow.opened(quotes)
    before = _rejected(flow, quotes)
    requests = 7
    for _ in range(requests):
        _says_so(flow, quotes)
    counted = _rejected(flow, quotes) - before
    if counted != requests:
        fail(
            "rejected-miscounted",
            f"The breaker of fares is open, and {requests} quotes were asked for.",
            expected=f"`rejected` of fares grows by {requests}",
            observed=f"it grew by {counted}",
            look=SEE_BREAKERS,
            hint=3,
        )
    flow.expect_state(quotes, ["open"], "The breaker of fares lets no call through.", code="not-open", hint=3)
    mark = flow.fares.mark()
    booked = quotes.post("/bookings", {"route": flow.route(), "booking_id": flow.route("b")})
    if booked.status != 503 or flow.fares.count("/bookings", since=mark):
        fail(
            "booked-while-open",
            "The breaker of fares is open, and a booking was made.",
            expected="503, and no call at fares",
            observed=f"{booked.status}, {flow.fares.count('/bookings', since=mark)} calls",
            look=SEE_LOG,
            hint=3,
        )
    if quotes.get("/healthz").status != 200:
        fail("unhealthy-when-open", "The breaker of fares is open.", expected="GET /healthz answers 200",
             observed="another status", look=SEE_BREAKERS, hint=3)  # fmt: skip


def _says_so(flow: Fareflow, quotes: Role) -> None:
    answer = flow.ask(quotes, flow.route())
    reply = answer.reply
    what = (
        f"The breaker of fares is open, and {reply.asked} was asked for, a route that nobody has seen before."
    )
    if reply.status != 503:
        fail("wrong-answer-when-open", what, expected="503", observed=str(answer), look=SEE_BREAKERS, hint=3)
    wait = reply.headers.get("retry-after", "")
    if not wait.isdecimal() or int(wait) < 1:
        fail("no-retry-after", what, expected="Retry-After: 1 or more seconds",
             observed=f"Retry-After: {wait or 'missing'}", look=SEE_BREAKERS, hint=3)  # fmt: skip
    sources = reply.json.get("sources")
    if not isinstance(sources, dict) or sources.get("fares") != "none":
        fail("no-sources", what, expected='"sources": {"fares": "none", ...}', observed=str(answer),
             look=SEE_BREAKERS, hint=3)  # fmt: skip


def _rejected(flow: Fareflow, quotes: Role) -> int:
    return int(flow.breaker(quotes)["rejected"])


def _partner_saw(flow: Fareflow, kind: str, wanted: int, what: str, *, code: str = "") -> None:
    saw = flow.seen(kind)
    if saw != wanted:
        fail(
            code or ("not-asked" if saw < wanted else "opens-too-late"),
            what,
            expected=f"{wanted} calls at fares",
            observed=f"{saw} calls",
            look=SEE_LOG,
            hint=2,
        )
