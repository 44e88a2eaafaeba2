"""T1 says words back, T2 keeps them: few requests with random values, so that most faults show in one second."""

from __future__ import annotations

import secrets

import pytest

from roadmap_labs.harness import Lab, difference, fail, needs, quote
from roadmap_labs.harness.lab import Role

WITHIN = 5  # seconds for one answer
# Learners must never see a check's source; whoever finds this word inside a container has.
HIDDEN = "CANARY-in-a-hidden-check"
STRANGER = {"User-Agent": "curl/8.14.1", "Accept": "*/*"}


def say(mirror: Role, headers: dict[str, str] | None = None) -> None:
    word = secrets.token_hex(8)
    reply = mirror.get(f"/words/{word}", within=WITHIN, headers=headers or {})
    wrong = difference({"word": word, "number": 1}, reply.json)
    if wrong:
        fail("wrong-word", f"{reply.asked}.", expected=f"the word {word}, number 1", observed=wrong)


@pytest.fixture
def mirror(lab: Lab) -> Role:
    return lab.run("mirror")


@pytest.mark.timeout(12, func_only=True)
def test_t1_words(mirror: Role) -> None:
    """Says three words back"""
    for _ in range(3):
        say(mirror)


def test_t1_stranger(mirror: Role) -> None:
    """Says a word back to another client, later"""
    say(mirror, STRANGER)


@needs("t1_words")
def test_t2_kept(lab: Lab, mirror: Role) -> None:
    """Keeps what it is given in Redis"""
    name, value = secrets.token_hex(4), secrets.token_hex(8)
    reply = mirror.put(f"/kept/{name}", value, within=WITHIN)
    found = lab.redis("redis").ask("GET", f"kept:{name}")
    if found != value.encode():
        fail(
            "not-in-redis",
            f"{reply.asked} answered {reply.status}.",
            expected=f"{value} at kept:{name} in Redis",
            observed="no such key" if found is None else quote(found),
        )
