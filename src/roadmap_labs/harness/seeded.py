"""Random values that a seed and a check's id decide, so that a run can be repeated. Knows nothing of any lab."""

from __future__ import annotations

import random

_WORDS = (
    "Äpfel", "Brücke", "Crème", "Dîner", "Éclair", "Fjærland", "Größe", "Hôtel", "Île", "Jäger", "Kürbis", "Łódź",
    "Mañana", "Ñandú", "Øresund", "Piñata", "Québec", "Rødgrød", "São", "Tørfisk", "Über", "Vögel", "Wörter", "Žižkov",
    "Ελιά", "Чай", "緑茶", "한글",
)  # fmt: skip
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def source(seed: int, check: str) -> random.Random:
    """The random numbers of one check in one run."""
    return random.Random(f"{seed}:{check}")  # noqa: S311 - must be repeatable


def nonce(numbers: random.Random, length: int = 10) -> str:
    """Lower-case letters and digits that nobody has seen before."""
    return "".join(numbers.choices(_LETTERS, k=length))


def name(numbers: random.Random) -> str:
    """A name for people, always with letters outside ASCII and a nonce: `Crème Łódź k4f7`."""
    first, second = numbers.sample(_WORDS, 2)
    return f"{first} {second} {nonce(numbers, 4)}"


def cents(numbers: random.Random, lowest: int = 1, highest: int = 999_999) -> int:
    """A price in cents; every third one ends in a zero, where careless formatting loses a digit."""
    value = numbers.randint(lowest, highest)
    return value if numbers.randrange(3) else max(lowest, value - value % 10)
