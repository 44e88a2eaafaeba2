"""The stream of verdicts: whatever comes, each promised check has one result, and silence is never a pass."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from roadmap_labs.checking.stream import OUTCOMES, Ledger
from roadmap_labs.model import Check, Report

CHECKS = tuple(Check(f"t1_{name}", "t1", name, 1.0) for name in ("a", "b", "c"))


def _verdict(check: str, outcome: object, **more: object) -> dict[str, Any]:
    return {"event": "verdict", "check": check, "outcome": outcome, **more}


def test_silence_is_infra() -> None:
    ledger = Ledger(CHECKS)
    ledger.accept(_verdict("t1_a", "pass", seconds=0.1))
    results = ledger.whole("ended")
    assert [result.outcome for result in results] == ["pass", "infra", "infra"]
    assert results[1].code == "I-CHECKER"
    assert Report("toy", "1", 1, 0.0, results).verdict == "infra"


def test_a_second_verdict_makes_the_check_void() -> None:
    ledger = Ledger(CHECKS)
    ledger.accept(_verdict("t1_a", "fail"))
    ledger.accept(_verdict("t1_a", "pass"))
    assert ledger.whole("")[0].outcome == "infra"


def test_unknown_checks_and_outcomes_count_for_nothing() -> None:
    ledger = Ledger(CHECKS)
    assert ledger.accept(_verdict("t9_forged", "pass")) is None
    ledger.accept(_verdict("t1_b", "PASSED"))
    assert [result.outcome for result in ledger.whole("")] == ["infra"] * 3


def test_values_of_the_wrong_kind_do_no_harm() -> None:
    ledger = Ledger(CHECKS)
    result = ledger.accept(
        _verdict("t1_a", "fail", message=["x"], hint=True, seconds="long", expected="x" * 9_000)
    )
    assert result is not None
    assert (result.message, result.hint, result.seconds) == ("", None, 0.0)
    assert len(result.expected) == 4_000


_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers())
)
_events = st.fixed_dictionaries(
    {},
    optional={
        "event": st.just("verdict"),
        "check": st.one_of(st.sampled_from(["t1_a", "t1_b", "t1_c", "t1_x"]), _values),
        "outcome": st.one_of(st.sampled_from(sorted(OUTCOMES)), _values),
        "seconds": _values,
        "hint": _values,
        "message": _values,
    },
)


@given(st.lists(_events, max_size=12))
def test_any_stream_gives_one_result_a_check_and_a_pass_only_where_one_was_said(
    events: list[dict[str, Any]],
) -> None:
    ledger = Ledger(CHECKS)
    for event in events:
        ledger.accept(event)
    results = ledger.whole("ended")
    assert [result.check for result in results] == list(CHECKS)
    for result in results:
        said = [event.get("outcome") for event in events if event.get("check") == result.check.id]
        assert (result.outcome == "pass") == (said == ["pass"])
