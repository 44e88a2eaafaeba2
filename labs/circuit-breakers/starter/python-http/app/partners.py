"""Calls to the two partners. Today each call waits for as long as it takes. Your work starts here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from app.settings import settings

client = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None))


@dataclass(frozen=True)
class Reply:
    """What a partner said: 200, 201 or a 4xx, and the JSON in it."""

    status: int
    json: Any


class CallFailed(Exception):
    """The partner did not give an answer that can be used."""


async def call(method: str, url: str, body: Any = None) -> Reply:
    """One call to a partner."""
    # TODO T1: one limit for the whole call: connect, send, headers and body. Close the connection when it is over.
    # TODO T1: what is an answer (2xx, 4xx), and what is a failure (3xx, 5xx, no connection, half a body, no JSON)?
    # TODO T2: a breaker for each partner counts what failed, and lets no call through while it is open.
    # TODO T3: after BREAKER_OPEN_MS some calls may try, and what they find decides.
    # TODO T4: no more than so many calls at once for each partner; what comes on top is refused at once.
    response = await client.request(method, url, json=body)
    if response.status_code >= 500:
        raise CallFailed(f"{method} {url}: {response.status_code}")
    return Reply(response.status_code, response.json())


async def fare(route: str) -> Reply:
    """What the flight costs now."""
    # TODO T5: a call that failed may be made again, but not always, not at once, and not by everybody.
    return await call("GET", f"{settings.fares_url}/fares/{quote(route, safe='')}")


async def reviews(route: str) -> Reply:
    """What travellers said."""
    return await call("GET", f"{settings.reviews_url}/reviews/{quote(route, safe='')}")


async def book(route: str, booking_id: str) -> Reply:
    """Books, once."""
    return await call("POST", f"{settings.fares_url}/bookings", {"route": route, "booking_id": booking_id})


def breakers() -> dict[str, Any]:
    """The state of both breakers."""
    # TODO T2: say the truth.
    return {
        name: {"state": "closed", "rejected": 0, "calls_in_progress": 0} for name in ("fares", "reviews")
    }
