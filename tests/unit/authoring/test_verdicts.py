"""What a proof makes of reports, without running anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadmap_labs.authoring import verdicts
from roadmap_labs.authoring.prove import Wish, planned
from roadmap_labs.content import shelf
from roadmap_labs.content.manifest import MutantManifest
from roadmap_labs.content.mutants import load_mutants, mutant_files
from roadmap_labs.content.shelf import Lab
from roadmap_labs.model import Check, CheckResult, Outcome, Report
from tests.unit.authoring.conftest import Toy

MUTANT = MutantManifest(format=1, belief="b", caught_by="t1_counts", code="wrong-count", says="asked  Twice")


def _report(answers: Outcome, counts: Outcome, code: str = "wrong-count", seconds: float = 1.0) -> Report:
    first, second = Check("t1_answers", "t1", "Answers", 40), Check("t1_counts", "t1", "Counts", 60)
    results = (
        CheckResult(first, answers, "some-code" if answers != "pass" else "", seconds=0.1),
        CheckResult(second, counts, code, "The app was asked\ntwice.", seconds=seconds),
    )
    return Report("toy", "1.0", 7, 2.0, results)


@pytest.fixture
def lab(toy: Toy) -> Lab:
    del toy
    return shelf.load_lab("toy")


def test_a_starter_fails_where_it_must(lab: Lab) -> None:
    assert verdicts.starter_wrong(_report("pass", "fail"), lab) == ()
    assert verdicts.starter_wrong(_report("pass", "blocked"), lab) == ()


@pytest.mark.parametrize(
    ("answers", "counts", "word"),
    [
        ("pass", "pass", "passes t1_counts"),
        ("fail", "fail", "does not pass t1_answers"),
        ("pass", "error", "gets error"),
        ("pass", "infra", "gets infra"),
    ],
)
def test_a_starter_that_does_something_else(lab: Lab, answers: Outcome, counts: Outcome, word: str) -> None:
    (wrong,) = verdicts.starter_wrong(_report(answers, counts), lab)
    assert word in wrong


def test_a_solution_passes_everything() -> None:
    assert verdicts.solution_wrong(_report("pass", "pass")) == ()
    assert len(verdicts.solution_wrong(_report("blocked", "infra"))) == 2


def test_a_mutant_is_caught_where_it_says() -> None:
    assert verdicts.mutant_wrong(_report("pass", "fail"), MUTANT) == ()
    assert verdicts.mutant_wrong(_report("pass", "error"), MUTANT) == ()


@pytest.mark.parametrize(
    ("answers", "counts", "code", "word"),
    [
        ("pass", "pass", "", "does not see it"),
        ("pass", "blocked", "", "was not run"),
        ("pass", "fail", "other-code", "gives the code other-code"),
        ("pass", "infra", "I-STATE", "infra"),
        ("fail", "fail", "wrong-count", "before t1_counts"),
        ("error", "fail", "wrong-count", "before t1_counts"),
        ("infra", "fail", "wrong-count", "infra"),
    ],
)
def test_a_mutant_that_is_not(answers: Outcome, counts: Outcome, code: str, word: str) -> None:
    (wrong,) = verdicts.mutant_wrong(_report(answers, counts, code), MUTANT)
    assert word in wrong


def test_the_gist_of_the_message_is_part_of_the_promise() -> None:
    (wrong,) = verdicts.mutant_wrong(
        _report("pass", "fail"), MUTANT.model_copy(update={"says": "asked three times"})
    )
    assert "asked three times" in wrong


def test_a_check_that_comes_near_its_limit_is_a_defect() -> None:
    times = verdicts.longest([_report("pass", "pass", seconds=3), _report("pass", "pass", seconds=31)])
    assert times == {"t1_answers": 0.1, "t1_counts": 31}
    assert verdicts.slow(times, 100) == ()
    (slow,) = verdicts.slow(times, 60)
    assert "t1_counts" in slow


def test_a_check_without_a_mutant_is_named(lab: Lab) -> None:
    assert verdicts.unkilled(lab, ["t1_counts"]) == ("t1_answers",)


def test_a_mutant_meets_the_checks_before_its_own_once(lab: Lab) -> None:
    both = [check.id for check in lab.checks]
    assert list(verdicts.asked_of(lab, both[1], turn=1)) == both
    assert list(verdicts.asked_of(lab, both[1], turn=2)) == both[1:]


def test_every_run_is_planned(lab: Lab) -> None:
    mutants = load_mutants(lab)
    runs = planned(lab, mutants, Wish("toy", repeat=3, repeat_mutants=2))
    kinds = [(run.kind, run.name, run.turn) for run in runs]
    assert len(set(kinds)) == len(kinds) == 1 + 3 + 2 * 2
    assert [name for kind, name, _ in kinds if kind == "mutant"][:2] == ["counts-from-zero", "says-nothing"]
    only = planned(lab, mutants[:1], Wish("toy", mutants=("counts-from-zero",)))
    assert [run.kind for run in only] == ["mutant"]


def test_a_mutant_is_the_solution_with_its_edits(lab: Lab) -> None:
    files = {
        mutant.id: {file.path: file for file in mutant_files(lab, mutant)} for mutant in load_mutants(lab)
    }
    assert files["counts-from-zero"]["app.py"].content.decode().endswith("    return state['seen'] - 1\n")
    assert files["says-nothing"]["app.py"].content.decode() == "def count(state):\n    return None\n"
    assert "mutant.yaml" not in files["says-nothing"]
    assert Path("go.sh").name in files["says-nothing"]
