"""Words for time and crowds, and the escaping of foreign text."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap_labs.harness import seeded, waiting
from roadmap_labs.harness.crowd import gathered, together
from roadmap_labs.harness.verdicts import CheckFailed, LabFault, fail, quote


@pytest.fixture
def factor() -> Iterator[None]:
    waiting.set_factor(3)
    yield
    waiting.set_factor(1)


def test_eventually_gives_the_first_true_value() -> None:
    values = iter([0, None, "", 7, 8])
    assert waiting.eventually(lambda: next(values), 5, "a value comes", every=0.001) == 7


def test_eventually_tells_what_it_saw_last() -> None:
    with pytest.raises(CheckFailed) as caught:
        waiting.eventually(lambda: [], 0.02, "somebody came", code="nobody-came")
    error = caught.value
    assert (error.code, error.expected, error.observed) == (
        "nobody-came",
        "somebody came",
        "the last look saw []",
    )


def test_only_patience_grows_with_the_time_factor(factor: None) -> None:
    began = time.monotonic()
    assert waiting.reached(lambda: False, 0.05, every=0.005) == (False, False)
    assert time.monotonic() - began > 0.14
    began = time.monotonic()
    waiting.always(lambda: True, 0.05, "it stays", every=0.005)
    assert time.monotonic() - began < 0.14


def test_a_last_look_is_taken_after_the_deadline() -> None:
    looks: list[float] = []

    def slow() -> bool:
        looks.append(time.monotonic())
        time.sleep(0.03)
        return len(looks) > 1

    assert waiting.reached(slow, 0.02)[0]


def test_always_never_and_at_most() -> None:
    values = iter([True, True, False])
    with pytest.raises(CheckFailed, match="did-not-stay"):
        waiting.always(lambda: next(values), 5, "it stays", every=0.001)
    with pytest.raises(CheckFailed) as caught:
        waiting.never(lambda: "thief", 5, "a thief comes", every=0.001)
    assert caught.value.expected == "never a thief comes"
    assert "'thief'" in caught.value.observed
    waiting.never(lambda: 0, 0.01, "a thief comes", every=0.001)
    counts = iter([1, 2, 3])
    with pytest.raises(CheckFailed, match="too-many"):
        waiting.at_most(2, lambda: next(counts), 5, "waiters", every=0.001)
    assert waiting.at_most(2, lambda: 1, 0.01, "waiters", every=0.001) == 1


def test_settle_blames_the_lab() -> None:
    with pytest.raises(LabFault, match="I-CHECKER"):
        waiting.settle(lambda: 0, 0.01, "the gate is open")


def test_together_begins_at_one_moment_and_keeps_the_order() -> None:
    everybody = threading.Barrier(8)

    def meet(number: int) -> int:
        everybody.wait(timeout=5)
        return number

    assert together([lambda n=n: meet(n) for n in range(8)]) == list(range(8))  # type: ignore[misc]


def test_together_with_few_threads_does_everything() -> None:
    assert together([lambda n=n: n for n in range(50)], threads=3) == list(range(50))  # type: ignore[misc]
    assert together([]) == []


def test_what_a_call_raised_stands_in_its_place() -> None:
    def broken() -> int:
        raise ValueError("two")

    found = gathered([lambda: 1, broken])
    assert found[0] == 1
    assert isinstance(found[1], ValueError)
    with pytest.raises(ValueError, match="two"):
        together([lambda: 1, broken])


@given(st.text() | st.binary(), st.integers(1, 300))
def test_quoted_text_is_one_printable_line_of_bounded_length(value: str | bytes, limit: int) -> None:
    shown = quote(value, limit)
    assert shown.isprintable() or shown == ""
    assert len(shown) < limit + 30


def test_quote_says_how_long_it_was() -> None:
    assert quote("x" * 500, 10) == "xxxxxxxxxx… (500 in all)"
    assert quote("\x1b[31mred\n", 50) == "\\x1b[31mred\\n"
    assert quote(b"\xff\x00a") == "\\xff\\x00a"


def test_every_field_of_a_verdict_is_escaped_and_cut() -> None:
    with pytest.raises(CheckFailed) as caught:
        fail("a-code", "one\ntwo \x1b[2J", expected="\u202e", observed="y" * 5000, look="\x07")
    error = caught.value
    assert error.message == "one\ntwo \\x1b[2J"
    assert error.expected == "\\u202e"
    assert len(error.observed) < 2100
    assert error.look == "\\x07"


def test_a_seed_and_a_check_decide_all_values() -> None:
    def draw(seed: int, check: str) -> list[object]:
        numbers = seeded.source(seed, check)
        return [seeded.name(numbers), seeded.nonce(numbers), seeded.cents(numbers)]

    assert draw(1, "a") == draw(1, "a")
    assert draw(1, "a") != draw(2, "a")
    assert draw(1, "a") != draw(1, "b")
    assert all(not str(draw(n, "x")[0]).isascii() for n in range(20))
