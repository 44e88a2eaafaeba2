"""T2 Spread and survive: applications die, freeze and say no, and no customer notices or pays twice."""

from __future__ import annotations

import time
from collections.abc import Sequence

from door import SEE_ACCESS, SEE_ALL, SEE_POOL, Door, answered, every_ok, expect, get, in_rows

from roadmap_labs.harness import LabFault, LearnerBroke, fail, held, needs, quote, together, waiting

PATIENCE = 15.0  # seconds for one answer while a server is frozen; the answer limit is 3 s, and there are two attempts
SLOW_SECONDS = 20.0  # for a request that hangs everywhere: two attempts of 3 s
RETURN_SECONDS = 40.0
SEE_ERRORS_NOW = "roadmap-labs logs proxy | grep -i upstream"


def test_t2_spread(door: Door) -> None:
    """Requests are shared out among all three applications"""
    n, count = door.nonce(), 90
    in_rows(door, f"/api/{n}", count, rows=3)
    spread = door.spread(f"/api/{n}")
    if min(spread.values()) < 15:
        fail(
            "badly-spread",
            f"{count} GETs were sent from one address.",
            expected="at least 15 reach each application",
            observed=_counts(spread),
            look=SEE_POOL,
            hint=1,
        )


@needs("t2_spread")
def test_t2_dead_app(door: Door) -> None:
    """An application that died is noticed by nobody"""
    n = door.nonce()
    with door.apps["app-2"].refusing():
        every_ok(door, 60, f"/api/{n}", "Nobody listened on app-2.", "dead-app-shows", hint=1)
    if door.count(f"/api/{n}") < 60:
        raise LabFault("60 requests were answered, and the pool has seen fewer.")


@needs("t2_spread")
def test_t2_frozen_app(door: Door) -> None:
    """An application that hangs delays a customer by seconds, not by a minute"""
    n = door.nonce()

    def customer(first: int) -> None:
        for number in range(first, 31, 3):
            what = f"app-2 was frozen: it takes connections and never answers. GET {number} of 30:"
            try:
                reply = door.kiosk.get(f"/api/{n}?n={number}", within=PATIENCE * waiting.factor())
            except LearnerBroke as broke:
                code = "waits-for-frozen-app" if broke.code == "L-TIME" else "frozen-app-shows"
                fail(code, f"{what} {broke.message}", expected=f"200 within {PATIENCE:g} s",
                     observed=broke.observed, look=SEE_ACCESS, hint=2)  # fmt: skip
            expect(reply, 200, what=what, code="frozen-app-shows", hint=2)

    with door.lab.paused("app-2"):
        together([lambda first=first: customer(first) for first in (1, 2, 3)])


@needs("t2_spread")
def test_t2_draining_app(door: Door) -> None:
    """An application that says 503 while it shuts down is noticed by nobody"""
    n = door.nonce()
    door.apps["app-3"].route("/*", status=503, json={"error": "draining"}, headers={"Retry-After": "30"})
    every_ok(door, 30, f"/api/{n}", "app-3 answered 503 to everything.", "draining-app-shows", hint=2)


@needs("t2_draining_app")
def test_t2_post_runs_once(door: Door) -> None:
    """An order whose answer was lost is never sent a second time"""
    n, count = door.nonce(), 10
    door.route("/api/orders/*", method="POST", fault="close")
    what = "Each application takes an order, writes it down and dies before it answers."
    statuses = []
    for number in range(count):
        target = f"/api/orders/{n}/{number}"
        reply = answered(
            lambda target=target: door.kiosk.post(
                target, b'{"tea": 1}', within=SLOW_SECONDS * waiting.factor()
            ),
            f"{what} POST {number + 1} of {count}:",
        )
        statuses.append(reply.status)
    written = [one.target for _, one in door.seen(f"/api/orders/{n}/", method="POST")]
    twice = sorted({target for target in written if written.count(target) > 1})
    if twice:
        fail(
            "order-placed-twice",
            f"{what} {count} orders were sent, each once.",
            expected="no order is written down twice in the whole pool",
            observed=f"{len(twice)} of {count} were, {max(map(written.count, twice))} times",
            look=f"{SEE_POOL}\n{SEE_ACCESS}",
            hint=3,
        )
    if not written:
        fail("order-never-sent", f"{what} {count} orders were sent.", expected="the pool sees them",
             observed=f"it saw none; the customers got {_statuses(statuses)}", look=SEE_ALL, hint=1)  # fmt: skip
    if not set(statuses) <= {502, 504}:
        fail("failure-hidden", f"{what} {count} orders were sent.", expected="502 or 504 for each",
             observed=_statuses(statuses), look=SEE_ACCESS, hint=3)  # fmt: skip


@needs("t2_frozen_app")
def test_t2_poison_url(door: Door) -> None:
    """One slow address does not take the whole pool down"""
    n = door.nonce()
    slow, path = f"/api/slow-report/{n}", f"/api/{n}"
    door.route("/api/slow-report/*", fault="hang")
    asked = [f"{slow}/{number}" for number in range(3)]
    slow_ones = held(
        [
            lambda target=target: door.kiosk.get(target, within=SLOW_SECONDS * waiting.factor())
            for target in asked
        ]
    )
    results = slow_ones.results((SLOW_SECONDS + 5) * waiting.factor())
    normal = together([lambda number=number: _status(door, f"{path}?n={number}") for number in range(30)])
    what = "Three customers asked for a report on which every application hangs."
    bad = [status for status in normal if status != 200]
    if bad:
        fail(
            "pool-condemned",
            f"{what} After they had been answered, 30 others asked for something else.",
            expected="30 times 200: the applications are well, only that address is slow",
            observed=f"{30 - len(bad)} times 200; {_statuses(bad)}",
            look=f"{SEE_ERRORS_NOW}\n{SEE_ACCESS}",
            hint=3,
        )
    for target, result in zip(asked, results, strict=True):
        tried = door.count(target)
        if tried > 2:
            fail("too-many-attempts", what, expected="at most 2 attempts for each of them",
                 observed=f"one of them was sent to {tried} applications", look=SEE_POOL, hint=2)  # fmt: skip
        if isinstance(result, Exception):
            fail("slow-request-unanswered", what, expected=f"504 within {SLOW_SECONDS:g} s",
                 observed=quote(result), look=SEE_ACCESS, hint=2)  # fmt: skip
        expect(result, 504, what=what, code="slow-request-answered", hint=2)


@needs("t2_frozen_app")
def test_t2_return(door: Door) -> None:
    """An application that is well again gets traffic again"""
    n, app = door.nonce(), door.apps["app-2"]
    with app.refusing():
        every_ok(door, 30, f"/api/{n}/down", "Nobody listened on app-2.", "dead-app-shows", hint=1)
    began = time.monotonic()
    while not app.count(f"/api/{n}/up"):
        if time.monotonic() - began > RETURN_SECONDS * waiting.factor():
            fail(
                "never-comes-back",
                "app-2 was dead for 30 requests, and is well again. Then requests went on.",
                expected=f"app-2 gets one of them within {RETURN_SECONDS * waiting.factor():.0f} s",
                observed=_counts(door.spread(f"/api/{n}/up")),
                look=SEE_POOL,
                hint=2,
            )
        for _ in range(3):
            reply = get(door.kiosk, f"/api/{n}/up", "app-2 was well again.")
            expect(reply, 200, what="app-2 was well again.", code="return-shows")
        time.sleep(0.05)  # between two looks


def _status(door: Door, target: str) -> int:
    try:
        return door.kiosk.get(target, within=SLOW_SECONDS * waiting.factor()).status
    except LearnerBroke:
        return 0


def _statuses(found: Sequence[int]) -> str:
    return ", ".join(f"{found.count(one)} times {one or 'no answer'}" for one in sorted(set(found)))


def _counts(spread: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in spread.items())
