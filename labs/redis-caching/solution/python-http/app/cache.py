"""Cards in Redis: entries, leases, and silence towards a Redis that does not answer.

Whoever wants to fill an entry takes its lease first: a key with a token and a lifetime. The lease decides two
things at once. Only one request at a time holds it, on all replicas; and an entry is only stored by whoever
*still* holds it. A write deletes the entries together with their leases, so what was read before the write
can't be stored after it.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable
from typing import Any

from app.contract import CURRENCIES
from app.settings import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError, ResponseError
from redis.retry import Retry

ABSENT = "null"
FAILURES_BEFORE_SILENCE = 3
SILENCE = 2.0  # seconds

STORE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

client = Redis.from_url(
    settings.redis_url,
    socket_connect_timeout=settings.redis_timeout,
    socket_timeout=settings.redis_timeout,
    retry=Retry(NoBackoff(), 0),  # the library would try again by itself and multiply the time limit
    max_connections=256,
)


class Silence:
    """After a few failures in a row nobody asks Redis for a while; then one answer is enough to go on."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    def ask(self, command: Callable[[], Any]) -> Any:
        """The answer; a RedisError at once where asking is known to be useless."""
        if time.monotonic() < self._until:
            raise ConnectionError("Redis did not answer a moment ago")
        try:
            answer = command()
        except ResponseError:
            self._failures = 0
            raise
        except RedisError:
            self._failures += 1
            if self._failures >= FAILURES_BEFORE_SILENCE:
                self._until = time.monotonic() + SILENCE
            raise
        self._failures = 0
        return answer


_silence = Silence()


def _entry(product_id: int, currency: str) -> str:
    return f"{settings.cache_prefix}card:{product_id}:{currency}"


def _lease(product_id: int, currency: str) -> str:
    return f"{settings.cache_prefix}lease:{product_id}:{currency}"


def _sound(raw: bytes, product_id: int, currency: str) -> str | None:
    """The entry as text, if it can be shown to a customer: others write into this Redis, too."""
    try:
        text = raw.decode()
        card = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if card is None:
        return ABSENT
    sound = isinstance(card, dict) and (card.get("id"), card.get("currency")) == (product_id, currency)
    return text if sound else None


def look(product_id: int, currency: str) -> str | None:
    """The entry as text, ABSENT for a product that does not exist; None where there is no sound entry."""
    try:
        raw = _silence.ask(lambda: client.get(_entry(product_id, currency)))
    except ResponseError:  # a value of another type; the next fill replaces it
        return None
    return None if raw is None else _sound(raw, product_id, currency)


def take_lease(product_id: int, currency: str) -> str | None:
    """A token for whoever may fill the entry now; None while somebody else may."""
    token = secrets.token_hex(8)
    key, lifetime = _lease(product_id, currency), round(settings.lock_ttl * 1000)
    return token if _silence.ask(lambda: client.set(key, token, nx=True, px=lifetime)) else None


def store(product_id: int, currency: str, token: str, text: str) -> None:
    """Stores the entry, if the token still holds the lease."""
    jitter = random.uniform(1 - settings.cache_ttl_jitter, 1 + settings.cache_ttl_jitter)
    lifetime = settings.negative_ttl if text == ABSENT else settings.cache_ttl * jitter
    keys = (_lease(product_id, currency), _entry(product_id, currency))
    _silence.ask(lambda: client.eval(STORE, 2, *keys, token, text, max(1, int(lifetime * 1000))))


def release(product_id: int, currency: str, token: str) -> None:
    """Gives the lease back, if the token still holds it."""
    _silence.ask(lambda: client.eval(RELEASE, 1, _lease(product_id, currency), token))


def forget(product_id: int) -> None:
    """Deletes all entries of a product and, with the leases, the right to store what was read until now."""
    keys = [key(product_id, currency) for key in (_entry, _lease) for currency in CURRENCIES]
    client.delete(*keys)  # never silent: a write must know whether this arrived
