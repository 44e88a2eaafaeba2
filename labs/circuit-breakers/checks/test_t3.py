"""T3 Half-open: after a pause a few calls may try, and what becomes of them decides. Time limits are long here
(CALL_TIMEOUT_MS=60000, lab.yaml): a probe waits at its gate for as long as a check wants."""

from __future__ import annotations

import math
import time
from typing import NoReturn

from fareflow import PATIENT, SEE_BREAKERS, SEE_LOG, Answer, Fareflow

from roadmap_labs.harness import LearnerBroke, Role, fail, held, needs, together, waiting
from roadmap_labs.harness.crowd import Held
from roadmap_labs.harness.upstream import Gate

OPEN_MS = 800
PROBES = 3
FIRST_PROBE = 20.0  # seconds for the first probe to leave; the solution needs OPEN_MS


@needs("t2_opens_and_stays_silent")
def test_t3_single_probe(flow: Fareflow) -> None:
    """After the pause one call tries; the others do not wait for it"""
    quotes = _opened(flow)
    with flow.fares.closed(f"{flow.path('probe')}*") as gate:
        probes = _probing(flow, quotes, gate, 1)
        more = 25
        what = f"A probe waits at fares for its answer. {more} more quotes were asked for."
        answers = held([lambda: flow.ask(quotes, flow.route("probe"), within=PATIENT)] * more)
        waiting.reached(lambda: answers.ended == more or gate.waiting() > 1, 20)
        _exactly(gate, 1, what)
        for answer in answers.results(5):
            if isinstance(answer, Exception) or answer.fares not in ("none", "stale"):
                fail("waits-for-probe", what, expected="503 or a remembered fare at once, while the probe waits",
                     observed=_seen(answer), look=SEE_BREAKERS, hint=2)  # fmt: skip
        gate.open()
        waiting.reached(lambda: _ended(probes) == 1, 10)


@needs("t2_opens_and_stays_silent")
def test_t3_success_closes(flow: Fareflow) -> None:
    """A probe that succeeds closes the breaker"""
    quotes = _opened(flow)
    flow.becomes_closed(quotes, "The breaker was open, and fares are well again.", code="stays-open", hint=2)
    calls = 20
    after = " again, the breaker has closed"
    together([lambda: flow.live(quotes, flow.route("again"), after=after)] * calls, threads=4)
    saw = flow.seen("again")
    if saw != calls:
        fail("not-asked", f"The breaker has closed, and {calls} quotes were asked for.",
             expected=f"{calls} calls at fares", observed=f"{saw}", look=SEE_LOG)  # fmt: skip


@needs("t2_opens_and_stays_silent")
def test_t3_failed_probe_reopens(flow: Fareflow) -> None:
    """A probe that fails opens it again, for the whole time"""
    quotes = _opened(flow)
    began = 0.0

    def probed() -> bool:
        """One more request; whether it was the probe. The breaker opened again after `began`."""
        nonlocal began
        began = time.monotonic()
        flow.ask(quotes, flow.route("bad-probe"))
        return flow.seen("bad-probe") > 0

    if not waiting.reached(probed, FIRST_PROBE, every=0.05)[0]:
        _no_probe(0, 1)
    later = 30
    together([lambda: flow.ask(quotes, flow.route("bad-late"))] * later, threads=10)
    took = time.monotonic() - began
    most = math.floor(took * 1000 / OPEN_MS)
    saw = flow.seen("bad-late") + flow.seen("bad-probe") - 1
    if saw > most:
        fail(
            "failed-probe-ignored",
            f"A probe failed with 500. Then {later} quotes were asked for, within {took:.1f} s of it.",
            expected=f"at most {most} calls at fares: one for each BREAKER_OPEN_MS={OPEN_MS} that have gone by",
            observed=f"{saw} calls",
            look=SEE_LOG,
            hint=2,
        )


@needs("t3_single_probe")
def test_t3_lost_probe_is_forgiven(flow: Fareflow) -> None:
    """A probe whose customer goes away does not block the breaker"""
    quotes = _opened(flow)
    with flow.fares.closed(f"{flow.path('lost')}*") as gate:

        def left() -> bool:
            """One impatient customer: whether the call was a probe that was still waiting when they left."""
            try:
                flow.ask(quotes, flow.route("lost"), within=0.5)
            except LearnerBroke as broke:
                if broke.code != "L-TIME":
                    raise
            return flow.seen("lost") > 0

        if not waiting.reached(left, FIRST_PROBE, every=0.05)[0]:
            _no_probe(0, 1)
        gate.open()
    flow.becomes_closed(
        quotes, "The breaker was half-open. The customer whose request had become the probe closed the connection "
        "while fares held the call; then fares answered everybody again.", code="probe-lost", hint=2,
    )  # fmt: skip


@needs("t3_single_probe")
def test_t3_late_answers_are_no_probes(flow: Fareflow) -> None:
    """An answer to a call from before the opening decides nothing"""
    quotes = flow.closed_quotes(BREAKER_OPEN_MS=OPEN_MS)
    with (
        flow.fares.closed(f"{flow.path('early')}*") as first,
        flow.fares.closed(f"{flow.path('probe')}*") as second,
    ):
        early = held([lambda: flow.ask(quotes, flow.route("early"), within=PATIENT)])
        first.held(1)
        flow.opened(quotes)
        probes = _probing(flow, quotes, second, 1)
        first.open()
        answer = early.results(20)[0]
        what = (
            "A call was held at fares while the breaker was closed. The breaker opened, and its probe is held, too. "
            "Then the first call was answered, well."
        )
        if isinstance(answer, Exception) or answer.fares != "live":
            fail("late-answer-lost", what, expected="200 with the live fare for the customer who had waited",
                 observed=_seen(answer), look=SEE_BREAKERS, hint=3)  # fmt: skip
        flow.expect_state(quotes, ["half_open"], what, code="late-answer-decides", hint=3)
        more = held([lambda: flow.ask(quotes, flow.route("probe"), within=PATIENT)] * 5)
        waiting.reached(lambda: more.ended == 5 or second.waiting() > 1, 10)
        _exactly(second, 1, f"{what} 5 more quotes were asked for.", code="late-answer-decides")
        second.open()
        waiting.reached(lambda: _ended(probes) == 1, 10)
    flow.becomes_closed(quotes, "The probe was answered, well.", code="stays-open")


@needs("t3_single_probe")
def test_t3_many_probes(flow: Fareflow) -> None:
    """With three probes, three must succeed, and one failure is enough"""
    quotes = _opened(flow, BREAKER_HALF_OPEN_PROBES=PROBES)
    with flow.fares.closed(f"{flow.path('bad-probe')}*") as gate:
        probes = _probing(flow, quotes, gate, PROBES, "bad-probe")
        more = held([lambda: flow.ask(quotes, flow.route("bad-probe"), within=PATIENT)] * 5)
        waiting.reached(lambda: more.ended == 5 or gate.waiting() > PROBES, 20)
        _exactly(gate, PROBES, f"{PROBES} probes wait at fares. 5 more quotes were asked for.")
        fare = {"route": "{{param:route}}", "price_cents": flow.price, "as_of": flow.as_of}
        flow.fares.route("/fares/{route}", json=fare, times=PROBES - 1)
        for number in range(1, PROBES):
            gate.let(1)
            waiting.reached(lambda number=number: _ended(probes) >= number, 10)
            flow.expect_state(
                quotes, ["half_open"], f"{number} of {PROBES} probes succeeded, the others wait at fares.",
                code="too-few-probes-close",
            )  # fmt: skip
        failed = time.monotonic()
        gate.open()
        waiting.reached(lambda: _ended(probes) == PROBES, 10)
    later = 20
    together([lambda: flow.ask(quotes, flow.route("bad-late"))] * later, threads=8)
    most = PROBES * math.floor((time.monotonic() - failed) * 1000 / OPEN_MS)
    saw = flow.seen("bad-late")
    if saw > most:
        fail(
            "failed-probe-ignored",
            f"{PROBES - 1} of {PROBES} probes succeeded, then the last one failed. {later} quotes were asked for.",
            expected=f"at most {most} calls at fares: the breaker is open again",
            observed=f"{saw} calls",
            look=SEE_LOG,
            hint=2,
        )
    with flow.fares.closed(f"{flow.path('probe')}*") as gate:
        _probing(flow, quotes, gate, PROBES)
        gate.open()
    flow.becomes_closed(quotes, f"{PROBES} probes were answered, well.", code="stays-open")


def _opened(flow: Fareflow, **environment: object) -> Role:
    """The service with an open breaker that will try soon."""
    quotes = flow.quotes(BREAKER_OPEN_MS=OPEN_MS, **environment)
    flow.opened(quotes)
    return quotes


def _probing(flow: Fareflow, quotes: Role, gate: Gate, count: int, kind: str = "probe") -> list[Held[Answer]]:
    """Asks for one quote after another until `count` calls wait at the gate. The requests that are kept waiting."""
    kept: list[Held[Answer]] = []

    def one_more() -> bool:
        before = gate.waiting()
        if before < count:
            one = held([lambda: flow.ask(quotes, flow.route(kind), within=PATIENT)])
            waiting.reached(lambda: one.ended or gate.waiting() > before, 5, every=0.01)
            if not one.ended:
                kept.append(one)
        return gate.waiting() >= count

    if not waiting.reached(one_more, FIRST_PROBE, every=0.05)[0]:
        _no_probe(gate.waiting(), count)
    return kept


def _ended(probes: list[Held[Answer]]) -> int:
    return sum(one.ended for one in probes)


def _exactly(gate: Gate, count: int, what: str, *, code: str = "too-many-probes") -> None:
    """Ends the check unless exactly so many calls wait at the gate, and no more come."""
    waiters = gate.steady(5)
    if waiters != count:
        fail(code, what, expected=f"{count} calls at fares", observed=f"{waiters} calls",
             look=SEE_LOG, hint=2)  # fmt: skip


def _no_probe(seen: int, wanted: int) -> NoReturn:
    fail(
        "no-probe",
        f"The breaker of fares was open, with BREAKER_OPEN_MS={OPEN_MS}. Quotes were asked for, one after another, for "
        f"{FIRST_PROBE * waiting.factor():.0f} s.",
        expected=f"{wanted} of them reach{'es' if wanted == 1 else ''} fares, to try",
        observed=f"{seen} did",
        look=f"{SEE_BREAKERS}\n{SEE_LOG}",
        hint=2,
    )


def _seen(answer: Answer | Exception) -> str:
    return "no answer" if isinstance(answer, Exception) else str(answer)
