"""Puts an answer together from what the partners say, and from what they said a while ago. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

from app import partners
from app.memory import Memory
from app.partners import CallFailed, Rejected, Reply
from app.settings import settings

memory = Memory(settings.stale_max_age)


@dataclass(frozen=True)
class Quote:
    """One answer; `fare` None: there is none that may be shown."""

    fare: Any
    reviews: list[Any] | None
    sources: dict[str, str] = field(default_factory=dict)
    wait: int = 1  # seconds after which it may be worth asking again
    passed_on: Reply | None = None  # what the partner said itself, where it refused the question


async def quote(route: str) -> Quote:
    """The fare and the reviews of a route, asked for at the same time."""
    fare, found = await asyncio.gather(_fare(route), reviews(route))
    sources = {"fares": fare.sources["fares"], "reviews": "none" if found is None else "live"}
    return Quote(fare.fare, found, sources, fare.wait, fare.passed_on)


async def _fare(route: str) -> Quote:
    try:
        reply = await partners.fare(route)
    except (CallFailed, Rejected) as problem:
        known = memory.recall(route)
        source = "none" if known is None else "stale"
        return Quote(known, None, {"fares": source}, wait_after(problem))
    if reply.status >= 400:
        if reply.status == 404:
            memory.forget(route)
        return Quote(None, None, {"fares": "live"}, passed_on=reply)
    fare = {"price_cents": reply.json["price_cents"], "as_of": reply.json["as_of"]}
    memory.keep(route, fare)
    return Quote(fare, None, {"fares": "live"})


async def reviews(route: str) -> list[Any] | None:
    """What travellers said; None where nobody can tell."""
    try:
        reply = await partners.reviews_of(route)
    except (CallFailed, Rejected):
        return None
    found: list[Any] = [] if reply.status >= 400 else reply.json["reviews"]
    return found


def wait_after(problem: CallFailed | Rejected) -> int:
    """Whole seconds, at least one."""
    return max(1, math.ceil(problem.wait)) if isinstance(problem, Rejected) else 1
