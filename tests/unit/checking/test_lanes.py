"""Tasks side by side: who gets which, and that the report is the one that a single stack would have given."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from roadmap_labs.checking.judge import Order, Watcher
from roadmap_labs.checking.lanes import judge_side_by_side, share_out
from roadmap_labs.checking.outcomes import Outcomes
from roadmap_labs.content.shelf import Lab, load_lab
from roadmap_labs.model import Check
from tests.unit.checking.test_judge import PaperStack

MANIFEST = """\
format: 1
version: "1.0"
title: Toy
summary: A lab for tests.
topics: [toys]
level: beginner
minutes: 5
scaffolds: [python-http]
roles: {toy: {port: 8000}}
tasks:
  t1: {title: First, minutes: 5, checks: {t1_a: 1, t1_b: 2}, hints: [one, two, three]}
  t2: {title: Second, minutes: 5, checks: {t2_a: 3, t2_b: 4}, hints: [one, two, three]}
"""
SECOND = '''
    from roadmap_labs.harness import needs

    @needs("t1_b")
    def test_t2_a(lab):
        """Needs one of the other lane"""

    def test_t2_b(lab):
        """Needs nobody"""
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Lab]:
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(tmp_path))
    monkeypatch.setenv("ROADMAP_LABS_HOME", str(tmp_path / "home"))

    def make(first: str) -> Lab:
        folder = tmp_path / "labs" / "toy"
        (folder / "checks").mkdir(parents=True)
        (folder / "lab.yaml").write_text(MANIFEST)
        (folder / "checks" / "test_t1.py").write_text(textwrap.dedent(first))
        (folder / "checks" / "test_t2.py").write_text(textwrap.dedent(SECOND))
        load_lab.cache_clear()
        return load_lab("toy")

    return make


def _side_by_side(lab: Lab) -> tuple[dict[str, str], list[str], list[PaperStack]]:
    stacks: list[PaperStack] = []

    def raise_stack() -> PaperStack:
        stacks.append(PaperStack())
        return stacks[-1]

    fell: list[str] = []
    order = Order(lab, lab.checks, 7)
    watcher = Watcher(judged=lambda result: fell.append(result.check.id))
    shares = share_out(order.checks, {}, 2)
    assert len(shares) == 2
    report = judge_side_by_side(order, shares, raise_stack, watcher)  # type: ignore[arg-type]
    assert [result.check.id for result in report.results] == [check.id for check in lab.checks]
    assert [stack.downs for stack in stacks] == [1, 1]
    return {result.check.id: result.outcome for result in report.results}, fell, stacks


def test_a_need_of_the_other_lane_is_waited_for(toy: Callable[[str], Lab]) -> None:
    first = '''
        import time
        from roadmap_labs.harness import fail

        def test_t1_a(lab):
            """A"""
            time.sleep(1)  # so that the other lane comes to its need first

        def test_t1_b(lab):
            """B"""
            fail("no", "No.", expected="1", observed="2")
    '''
    outcomes, fell, _ = _side_by_side(toy(first))
    assert outcomes == {"t1_a": "pass", "t1_b": "fail", "t2_a": "blocked", "t2_b": "pass"}
    assert fell == ["t1_a", "t1_b", "t2_a", "t2_b"], "a person reads them in the lab's order"


def test_a_lane_that_dies_keeps_nobody_waiting(toy: Callable[[str], Lab]) -> None:
    first = '''
        import os

        def test_t1_a(lab):
            """A"""
            os._exit(1)

        def test_t1_b(lab):
            """B"""
    '''
    outcomes, _, _ = _side_by_side(toy(first))
    assert outcomes == {"t1_a": "infra", "t1_b": "infra", "t2_a": "blocked", "t2_b": "pass"}


def _checks(**tasks: int) -> tuple[Check, ...]:
    return tuple(
        Check(f"{task}_{number}", task, "", 1) for task, count in tasks.items() for number in range(count)
    )


def test_tasks_are_shared_out_by_what_they_took() -> None:
    checks = _checks(t1=1, t2=1, t3=1)
    shares = share_out(checks, {"t1_0": 1.0, "t2_0": 2.0, "t3_0": 9.0}, 2)
    assert [[check.task for check in share] for share in shares] == [["t1", "t2"], ["t3"]]


def test_a_task_stays_whole_and_keeps_its_order() -> None:
    checks = _checks(t1=3, t2=3, t3=3)
    for share in share_out(checks, {}, 2):
        assert [check for check in checks if check in share] == list(share)
        assert all(
            sum(check.task == task for check in share) == 3 for task in {check.task for check in share}
        )


@pytest.mark.parametrize("lanes", [1, 2, 3, 9])
def test_never_more_lanes_than_tasks(lanes: int) -> None:
    shares = share_out(_checks(t1=2, t2=2, t3=2), {}, lanes)
    assert len(shares) == min(lanes, 3)
    assert sorted(check.id for share in shares for check in share) == sorted(
        check.id for check in _checks(t1=2, t2=2, t3=2)
    )


def test_the_first_word_about_a_check_stands() -> None:
    outcomes = Outcomes(["t1_a", "t1_b"])
    heard: list[str] = []
    waiting = threading.Thread(target=lambda: heard.append(outcomes.wait_for("t1_a")))
    waiting.start()
    outcomes.tell("t1_a", "fail")
    outcomes.close(["t1_a", "t1_b"])
    waiting.join(5)
    assert heard == ["fail"]
    assert outcomes.wait_for("t1_b") == "infra"
