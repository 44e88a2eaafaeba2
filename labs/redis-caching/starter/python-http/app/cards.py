"""Where product cards come from: today from PostgreSQL, every time. Your work starts here."""

from __future__ import annotations

from app import database


def read(product_id: int, currency: str) -> tuple[str | None, str]:
    """The card as JSON text (None: no such product), and where it came from: HIT, MISS or BYPASS."""
    # TODO T1: ask Redis first, at {CACHE_PREFIX}card:{id}:{CURRENCY}; keep there what the database answers.
    # TODO T2: give each card a lifetime of its own; remember for a short time that a product does not exist.
    # TODO T3: a hundred requests may miss in the same moment. One of them should ask the database.
    # TODO T5: whatever Redis does, the answer must come, and soon.
    return database.read_card(product_id, currency), "BYPASS"


def forget(product_id: int) -> None:
    """Called after a product has been created, changed or deleted, before the answer is sent."""
    # TODO T2: a product that has just been created does exist, whatever was remembered about it.
    # TODO T4: no later read, on any replica, in any currency, may show what was true before.
