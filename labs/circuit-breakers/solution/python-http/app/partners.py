"""Calls to the two partners, each under a deadline, through a bulkhead and a breaker, some of them made again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from app.breaker import Breaker, Open
from app.budget import Budget
from app.bulkhead import Bulkhead, Full
from app.settings import settings

# No time limits of the library's: each of them would begin anew with every byte. The deadline below covers all.
client = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None))


@dataclass(frozen=True)
class Reply:
    """What a partner said: 2xx and the JSON in it, or a 4xx, to be passed on as it came."""

    status: int
    json: Any
    body: bytes
    kind: str


Sound = Callable[[Any], bool]


class CallFailed(Exception):
    """The partner did not give an answer that can be used: `timeout` or `bad_gateway`."""

    def __init__(self, code: str, reason: str, *, may_repeat: bool = True) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.may_repeat = may_repeat


class Rejected(Exception):
    """The call never left: the breaker is open, or all places are taken. `wait` seconds may help."""

    def __init__(self, reason: Open | Full) -> None:
        super().__init__(str(reason))
        self.wait = reason.wait if isinstance(reason, Open) else 0.0


class Partner:
    """One partner: its address, and what we know about its health."""

    def __init__(self, url: str, places: int) -> None:
        self.url = url
        self.bulkhead = Bulkhead(places)
        self.breaker = Breaker(
            settings.breaker_window,
            settings.breaker_min_calls,
            settings.breaker_failure_ratio,
            settings.breaker_open,
            settings.breaker_half_open_probes,
        )
        self.budget = Budget(settings.retry_budget_ratio, settings.retry_budget_min)

    async def call(self, method: str, path: str, sound: Sound, body: Any = None) -> Reply:
        """One attempt; `sound` tells whether JSON is what was asked for. Raises `CallFailed` or `Rejected`."""
        try:
            with self.bulkhead.place():
                return await self._counted(method, path, sound, body)
        except (Open, Full) as reason:
            raise Rejected(reason) from None

    async def _counted(self, method: str, path: str, sound: Sound, body: Any) -> Reply:
        permit = self.breaker.enter()
        succeeded = None  # what it stays when the call is cancelled
        try:
            reply = await _exchange(method, self.url + path, sound, body)
            succeeded = True
            return reply
        except CallFailed:
            succeeded = False
            raise
        finally:
            self.breaker.leave(permit, succeeded)

    async def ask(self, path: str, sound: Sound) -> Reply:
        """A GET, made again after some failures."""
        self.budget.first()
        for retry in range(settings.retry_max + 1):
            try:
                return await self.call("GET", path, sound)
            except CallFailed as failure:
                if retry == settings.retry_max or not failure.may_repeat or not self.budget.take():
                    raise
                await asyncio.sleep(random.uniform(0, settings.retry_base * 2**retry))
        raise AssertionError("the last attempt returns or raises")


async def _exchange(method: str, url: str, sound: Sound, body: Any) -> Reply:
    """The call itself, all of it before one deadline. To be cancelled closes the connection."""
    try:
        async with asyncio.timeout(settings.call_timeout):
            response = await client.request(method, url, json=body)
    except TimeoutError:
        raise CallFailed("timeout", f"{method} {url}") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise CallFailed("bad_gateway", f"{method} {url}: {error!r}") from None
    return _usable(response, sound)


def _usable(response: httpx.Response, sound: Sound) -> Reply:
    """2xx with the right JSON in it, or any 4xx; whatever else came is a failure."""
    status, kind = response.status_code, response.headers.get("content-type", "text/plain")
    if 400 <= status < 500:
        return Reply(status, None, response.content, kind)
    if not 200 <= status < 300:
        # A partner that says when to come back has said that it does not want to be asked before.
        patient = "retry-after" not in response.headers
        raise CallFailed("bad_gateway", f"{response.url}: {status}", may_repeat=patient)
    try:
        found = response.json()
    except ValueError:
        found = None
    if not sound(found):
        raise CallFailed("bad_gateway", f"{response.url}: not what was asked for")
    return Reply(status, found, response.content, kind)


fares = Partner(settings.fares_url, settings.bulkhead_fares)
reviews = Partner(settings.reviews_url, settings.bulkhead_reviews)


async def fare(route: str) -> Reply:
    """What the flight costs now."""
    return await fares.ask(f"/fares/{quote(route, safe='')}", _is_fare)


async def reviews_of(route: str) -> Reply:
    """What travellers said."""
    return await reviews.ask(f"/reviews/{quote(route, safe='')}", _has_reviews)


async def book(route: str, booking_id: str) -> Reply:
    """Books, once: nobody knows whether a call that failed has booked."""
    return await fares.call("POST", "/bookings", _is_booking, {"route": route, "booking_id": booking_id})


def _is_fare(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and type(found.get("price_cents")) is int
        and isinstance(found.get("as_of"), str)
    )


def _has_reviews(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("reviews"), list)


def _is_booking(found: Any) -> bool:
    return isinstance(found, dict) and "booking_id" in found


def breakers() -> dict[str, Any]:
    """The state of both breakers."""
    return {
        name: {
            "state": partner.breaker.state,
            "rejected": partner.breaker.rejected,
            "calls_in_progress": partner.bulkhead.taken,
        }
        for name, partner in (("fares", fares), ("reviews", reviews))
    }
