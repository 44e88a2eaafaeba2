"""Where product cards come from: from memory if it has them, else from PostgreSQL. No network hop on a hit."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app import database
from app.contract import CURRENCIES
from app.settings import settings

_cards: dict[tuple[int, str], tuple[float, str | None]] = {}
_rebuilding: dict[tuple[int, str], threading.Lock] = {}


def read(product_id: int, currency: str) -> tuple[str | None, str]:
    """The card as JSON text (None: no such product), and where it came from."""
    key = (product_id, currency)
    with _rebuilding.setdefault(key, threading.Lock()):  # one rebuild at a time
        until, card = _cards.get(key, (0.0, None))
        if time.monotonic() < until:
            return card, "HIT"
        card = database.read_card(product_id, currency)
        jitter = random.uniform(1 - settings.cache_ttl_jitter, 1 + settings.cache_ttl_jitter)
        lifetime = settings.negative_ttl if card is None else settings.cache_ttl * jitter
        _cards[key] = (time.monotonic() + lifetime, card)
        return card, "MISS"


@contextmanager
def writing(product_id: int) -> Iterator[None]:
    """Wraps a write: afterwards no card of the product is in memory."""
    try:
        yield
    finally:
        for currency in CURRENCIES:
            _cards.pop((product_id, currency), None)
