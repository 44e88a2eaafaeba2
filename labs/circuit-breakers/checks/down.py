"""Partners that are down, in every shape, and what a quote may say then. Knows nothing of single checks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from fareflow import LOGS, SEE_LOG, Answer, Fareflow

from roadmap_labs.harness import LearnerBroke, Role, fail
from roadmap_labs.harness.upstream import Upstream

WITHIN = 10.0  # seconds for one answer, whatever the partners do; the solution needs CALL_TIMEOUT_MS

FAULTS: dict[str, dict[str, Any]] = {
    "closed after the request": {"fault": "close"},
    "reset after the request": {"fault": "reset"},
    "no HTTP": {"fault": "garbage"},
    "half an answer": {
        "fault": "cut",
        "json": {"price_cents": 1, "as_of": "2031-01-01T00:00:00Z", "reviews": []},
    },
    "status 500": {"status": 500, "json": {"error": "internal"}},
    "a redirect": {"status": 302, "headers": {"Location": "/bookings"}, "json": {}},
    "200 without JSON": {"status": 200, "body": "<h1>It works!</h1>"},
    "JSON without a fare": {"status": 200, "json": {"error": "internal"}},
}


def expect_down(flow: Fareflow, role: Role, route: str, what: str, *, hint: int = 1) -> Answer:
    """A quote whose fare can't be had: 503, or what is remembered, in time. Ends the check otherwise."""
    try:
        answer = flow.ask(role, route, within=WITHIN)
    except LearnerBroke as broke:
        if broke.code != "L-TIME":
            raise
        fail("hangs", f"{what} Then {broke.message.split(' was not')[0]} was asked for.",
             expected=f"503 within {WITHIN:.0f} s", observed=broke.observed, look=LOGS, hint=hint)  # fmt: skip
    if answer.fares not in ("none", "stale"):
        fail(
            "wrong-answer-when-down",
            f"{what} Then {answer.reply.asked} was asked for.",
            expected='503 {"error": "unavailable"}, or 200 with an older fare that is marked as stale',
            observed=str(answer),
            look=LOGS,
            hint=hint,
        )
    return answer


@contextlib.contextmanager
def shape_of_down(flow: Fareflow, partner: str, shape: str, path: str) -> Iterator[None]:
    """Inside the block calls for `path` meet this partner down in that shape; afterwards it is well."""
    upstream: Upstream = getattr(flow, partner)
    if shape == "paused":
        with flow.lab.paused(partner):
            yield
    elif shape == "stopped":
        with flow.lab.stopped(partner):
            yield
        upstream = flow.lab.upstream(partner)
        flow.well()
    elif shape == "refused":
        with upstream.refusing():
            yield
    else:
        number = upstream.route(path, **FAULTS[shape])
        yield
        # The breaker of reviews may be open by then: without reviews, and right.
        if partner == "fares" and not upstream.count(path):
            fail("not-asked", f"GET {path} of {partner} was to be asked.", expected="one call at least",
                 observed="none", look=SEE_LOG)  # fmt: skip
        upstream.forget(number)
