"""Where product cards come from: Redis if it has them, else PostgreSQL, asked by one request at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from app import cache, database
from app.settings import settings
from redis.exceptions import RedisError


def read(product_id: int, currency: str) -> tuple[str | None, str]:
    """The card as JSON text (None: no such product), and where it came from: HIT, MISS or BYPASS."""
    # The lease that is held now and one more may run out before a request stops waiting for others.
    patience = time.monotonic() + 2 * settings.lock_ttl
    pause = 0.01
    with suppress(RedisError):
        while time.monotonic() < patience:
            text = cache.look(product_id, currency)
            if text is not None:
                return _card(text), "HIT"
            token = cache.take_lease(product_id, currency)
            if token is not None:
                return _fill(product_id, currency, token)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
    return database.read_card(product_id, currency), "BYPASS"


def _fill(product_id: int, currency: str, token: str) -> tuple[str | None, str]:
    """Asks the database on behalf of everybody who waits."""
    try:
        # Between our look and our lease somebody else may have stored the entry.
        with suppress(RedisError):
            text = cache.look(product_id, currency)
            if text is not None:
                return _card(text), "HIT"
        card = database.read_card(product_id, currency)
        with suppress(RedisError):
            cache.store(product_id, currency, token, cache.ABSENT if card is None else card)
        return card, "MISS"
    finally:
        with suppress(RedisError):
            cache.release(product_id, currency, token)


def _card(text: str) -> str | None:
    return None if text == cache.ABSENT else text


@contextmanager
def writing(product_id: int) -> Iterator[None]:
    """Wraps a write. Raises a RedisError where later reads can't be promised to be new.

    The first call finds out whether Redis takes deletes, before anything has been written. The second one
    comes after the commit: only from then on no reader can bring back the old card.
    """
    cache.forget(product_id)
    try:
        yield
    finally:  # also after an error: a commit whose answer was lost is a commit
        cache.forget(product_id)
