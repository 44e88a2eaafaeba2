"""T4 Bulkhead: so many calls to a partner may be in progress; what comes on top is refused at once and costs nobody
else. The breaker is out of the way (BREAKER_MIN_CALLS=1000000), but in the check that is about both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from fareflow import LOGS, NEVER, PATIENT, SEE_BREAKERS, SEE_LOG, Answer, Fareflow

from roadmap_labs.harness import LearnerBroke, Reply, Role, fail, held, needs, quote, together, waiting
from roadmap_labs.harness.crowd import Held
from roadmap_labs.harness.upstream import Gate

PLACES = 8  # BULKHEAD_FARES, the default of the contract
CROWD, WAVE = 40, 24
LIMIT_MS = 2_500  # CALL_TIMEOUT_MS where calls have to run into it


def _calm(flow: Fareflow, **environment: object) -> Role:
    return flow.quotes(BREAKER_MIN_CALLS=NEVER, **environment)


def _storm(flow: Fareflow, quotes: Role, gate: Gate) -> Held[Answer]:
    """Forty quotes at once while fares holds every call; returns when no more calls arrive there."""
    crowd = held([lambda: flow.ask(quotes, flow.route("storm"), within=PATIENT)] * CROWD)
    waiting.reached(lambda: gate.waiting() >= PLACES or crowd.ended == CROWD, 15)
    waiting.reached(lambda: gate.waiting() + crowd.ended >= CROWD, 5)
    return crowd


def test_t4_cap(flow: Fareflow) -> None:
    """Of forty requests at once, eight wait at the partner"""
    quotes = _calm(flow)
    flow.live(quotes)
    with flow.fares.closed(f"{flow.path('storm')}*") as gate:
        _storm(flow, quotes, gate)
        waiters = gate.steady(8)
        highest = flow.fares.highest(flow.path("storm"))
        if waiters != PLACES or highest != PLACES:
            fail(
                "too-many-calls" if highest > PLACES else "too-few-calls",
                f"Fares holds every call, and {CROWD} quotes were asked for at once (BULKHEAD_FARES={PLACES}).",
                expected=f"{PLACES} calls in progress at fares",
                observed=f"{waiters} wait there, {highest} were in progress at most",
                look=f"{SEE_LOG}\n{SEE_BREAKERS}",
                hint=2,
            )
        gate.open()


@needs("t4_cap")
def test_t4_excess_fails_fast(flow: Fareflow) -> None:
    """The other thirty-two are answered at once"""
    quotes = _calm(flow)
    with flow.fares.closed(f"{flow.path('storm')}*") as gate:
        crowd = _storm(flow, quotes, gate)
        rest = CROWD - PLACES
        waiting.reached(lambda: crowd.ended >= rest, 10)
        what = f"Fares holds {PLACES} calls; {CROWD} quotes had been asked for."
        if crowd.ended != rest:
            fail("excess-waits", what, expected=f"{rest} are answered while the others wait",
                 observed=f"{crowd.ended} answered, {gate.waiting()} calls at fares", look=SEE_LOG, hint=1)  # fmt: skip
        gate.open()
        answers = crowd.results(20)
    kinds = [answer.fares if isinstance(answer, Answer) else "no answer" for answer in answers]
    refused = kinds.count("none") + kinds.count("stale")
    if (refused, kinds.count("live")) != (rest, PLACES):
        other = next((one for one in answers if isinstance(one, Exception) or not one.fares), "")
        fail("wrong-answers-when-full", f"{what} Then fares answered.",
             expected=f"{rest} x 503 or a remembered fare, {PLACES} x live",
             observed=f"{refused} and {kinds.count('live')} {quote(other, 120)}", look=LOGS, hint=2)  # fmt: skip


@needs("t4_cap")
def test_t4_others_live(flow: Fareflow) -> None:
    """Pages that need no fares do not notice"""
    quotes = _calm(flow)
    with flow.fares.closed(f"{flow.path('storm')}*") as gate:
        _storm(flow, quotes, gate)
        what = f"Fares holds {gate.waiting()} calls, {CROWD} quotes had been asked for."
        for path in ("/healthz", "/breakers", f"/reviews/{flow.route()}"):
            # The quotes' own calls for reviews may fill its bulkhead for a moment.
            good = waiting.reached(lambda path=path: _status(quotes, path) == 200, 10, every=0.05)[0]
            if not good:
                still = _status(quotes, path) or "no answer"
                fail("others-wait", what, expected=f"200 from GET {path}",
                     observed=f"after 10 s still {still}", look=LOGS, hint=1)  # fmt: skip
        gate.open()


@needs("t4_cap")
def test_t4_rejections_do_not_open(flow: Fareflow) -> None:
    """What the bulkhead refuses says nothing about the partner"""
    quotes = flow.closed_quotes()
    with flow.fares.closed(f"{flow.path('storm')}*") as gate:
        crowd = _storm(flow, quotes, gate)
        gate.open()
        crowd.results(20)
    what = (
        f"Fares held {PLACES} calls, {CROWD - PLACES} more were refused by the bulkhead; then fares answered."
    )
    flow.expect_state(quotes, ["closed"], what, code="opened-by-bulkhead", hint=3)
    before = flow.seen("after")
    if flow.ask(quotes, flow.route("after")).fares != "live" or flow.seen("after") == before:
        fail("opened-by-bulkhead", what, expected="the next quote is live", observed="it is not",
             look=SEE_BREAKERS, hint=3)  # fmt: skip


@needs("t4_cap")
def test_t4_permits_come_back(flow: Fareflow) -> None:
    """However calls end, their places are free again"""
    quotes = _calm(flow, CALL_TIMEOUT_MS=LIMIT_MS)
    rounds: tuple[tuple[str, Callable[[], None]], ...] = (
        ("answered with 500", lambda: _round(flow, quotes, "bad", {"status": 500})),
        ("not answered in time", lambda: _round(flow, quotes, "hang", {"fault": "hang"})),
        ("given up by their customers", lambda: _leavers(flow, quotes)),
        ("answered with garbage", lambda: _round(flow, quotes, "junk", {"fault": "garbage"})),
        ("answered well", lambda: _round(flow, quotes, "good", None)),
    )
    for _, one in rounds:
        one()
    with flow.fares.closed(f"{flow.path('storm')}*"):
        # Waves, until all places are seen taken: on a busy machine the first may come too slowly for that.
        waiting.reached(lambda: _wave(flow, quotes), 15)
        waiting.reached(lambda: _highest(flow) > PLACES, 0.5 / waiting.factor())
    if _highest(flow) != PLACES:
        said = "; ".join(name for name, _ in rounds)
        fail(
            "places-lost" if _highest(flow) < PLACES else "too-many-calls",
            f"Five crowds came, whose calls were {said}. Then fares held every call of {WAVE} quotes.",
            expected=f"{PLACES} calls in progress at fares",
            observed=f"{_highest(flow)} at most",
            look=f"{SEE_BREAKERS}\n{SEE_LOG}",
            hint=3,
        )


def _wave(flow: Fareflow, quotes: Role) -> bool:
    """Another crowd; whether all places were taken at one moment."""
    crowd = held([lambda: _asked(flow, quotes, "storm", PATIENT)] * WAVE)
    waiting.reached(lambda: _highest(flow) >= PLACES or crowd.ended == WAVE, 10)
    return _highest(flow) >= PLACES


def _highest(flow: Fareflow) -> int:
    return flow.fares.highest(flow.path("storm"))


def _asked(flow: Fareflow, quotes: Role, kind: str, within: float) -> None:
    """A request whose answer is judged elsewhere."""
    with suppress(LearnerBroke):
        flow.ask(quotes, flow.route(kind), within=within)


def _round(flow: Fareflow, quotes: Role, kind: str, how: dict[str, object] | None) -> None:
    """A crowd whose calls end in one way; over when all are answered."""
    if how:
        flow.ill(kind, **how)
    together([lambda: _asked(flow, quotes, kind, PATIENT)] * (2 * PLACES))


def _leavers(flow: Fareflow, quotes: Role) -> None:
    """A crowd that goes away while fares holds its calls. Then fares answers: a server may not notice who left."""
    with flow.fares.closed(f"{flow.path('left')}*") as gate:
        together([lambda: _asked(flow, quotes, "left", 0.5)] * (2 * PLACES))
        gate.open()
    waiting.reached(lambda: flow.fares.in_progress(flow.path("left")) == 0, 10)


def _status(quotes: Role, path: str) -> int:
    try:
        found: Reply = quotes.get(path, within=5)
    except LearnerBroke:
        return 0
    return found.status
