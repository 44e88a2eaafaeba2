"""One judgement with the real pytest process and a stack made of paper: every ending gives one result a check."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roadmap_labs.checking.judge import Order, Watcher, judge
from roadmap_labs.content.shelf import Lab, load_lab
from roadmap_labs.errors import EngineRefused, LabBroken
from roadmap_labs.model import CheckResult, Report
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.network import Door
from roadmap_labs.stack.running import Replica

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
  t1:
    title: First
    minutes: 5
    checks: {t1_a: 1, t1_b: 2, t1_c: 3}
    hints: [one, two, three]
"""


class PaperStack:
    """What the desk needs of a stack; nothing runs."""

    services = ()
    roles: Mapping[str, Any] = defaultdict(lambda: SimpleNamespace(role=SimpleNamespace(ports={})))

    def __init__(self) -> None:
        self.downs = self.keeps = 0
        self.asked: list[Mapping[str, str]] = []
        self.broke: RoleBroke | None = None
        self.dead: list[RoleBroke] = []
        self.looks_before_death = 0
        self.crowded: dict[str, RoleBroke] = {}
        self.replicas: dict[str, Any] = {"toy-1": "t"}

    def up(self) -> None:
        pass

    def role(
        self, name: str, count: int, environment: Mapping[str, str], *, fresh: bool
    ) -> tuple[Replica, ...]:
        self.asked.append(environment)
        if self.broke is not None:
            raise self.broke
        return tuple(
            Replica(f"{name}-{n}", "c", Door("127.0.0.1", 1), "10.0.0.9", {}) for n in range(1, count + 1)
        )

    def crowded_roles(self) -> dict[str, RoleBroke]:
        return self.crowded

    def ended_roles(self) -> dict[str, RoleBroke]:
        if self.dead and self.looks_before_death:
            self.looks_before_death -= 1
            return {}
        return {f"toy-{number}": broke for number, broke in enumerate(self.dead, 1)}

    def drop(self, name: str) -> None:
        if self.crowded.pop(name, None) is None:
            self.dead.pop(int(name.partition("-")[2]) - 1)

    def down(self) -> None:
        self.downs += 1

    def keep(self) -> None:
        self.keeps += 1


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Lab]:
    """Makes a toy lab of a file of checks."""
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(tmp_path))
    monkeypatch.setenv("ROADMAP_LABS_HOME", str(tmp_path / "home"))

    def make(checks: str) -> Lab:
        folder = tmp_path / "labs" / "toy"
        (folder / "checks").mkdir(parents=True)
        (folder / "lab.yaml").write_text(MANIFEST)
        (folder / "checks" / "test_t1.py").write_text(textwrap.dedent(checks))
        load_lab.cache_clear()
        return load_lab("toy")

    return make


def _judge(
    lab: Lab, stack: PaperStack | None = None, **options: bool
) -> tuple[Report, PaperStack, list[str]]:
    stack = stack or PaperStack()
    fell: list[str] = []
    watcher = Watcher(judged=lambda result: fell.append(f"{result.check.id} {result.outcome}"))
    report = judge(Order(lab, lab.checks, 7, **options), lambda: stack, watcher)  # type: ignore[arg-type, return-value]
    assert stack.downs == 1
    return report, stack, fell


def _outcomes(report: Report) -> list[str]:
    return [result.outcome for result in report.results]


def _codes(results: tuple[CheckResult, ...]) -> list[str]:
    return [result.code for result in results]


def test_pass_fail_and_blocked_come_through(lab: Callable[[str], Lab]) -> None:
    report, stack, fell = _judge(
        lab(
            '''
            from roadmap_labs.harness import fail, needs

            def test_t1_a(lab):
                """A"""
                assert lab.run("toy").name == "toy-1"

            def test_t1_b(lab):
                """B"""
                fail("too-slow", "It was too slow.", expected="1", observed="2", hint=2)

            @needs("t1_b")
            def test_t1_c(lab):
                """C"""
            '''
        )
    )
    assert _outcomes(report) == ["pass", "fail", "blocked"]
    assert fell == ["t1_a pass", "t1_b fail", "t1_c blocked"]
    assert (report.score, report.max_score, report.verdict) == (1.0, 6.0, "fail")
    assert (report.results[1].code, report.results[1].hint) == ("too-slow", 2)
    assert stack.asked


def test_a_checking_process_that_dies_gives_no_pass(lab: Callable[[str], Lab]) -> None:
    report, _, _ = _judge(
        lab(
            '''
            import os

            def test_t1_a():
                """A"""

            def test_t1_b():
                """B"""
                os._exit(0)

            def test_t1_c():
                """C"""
            '''
        )
    )
    assert _outcomes(report) == ["pass", "infra", "infra"]
    assert "ended during t1_b" in report.results[1].message
    assert report.verdict == "infra"


def test_a_lab_whose_checks_are_broken_is_never_the_learners_fault(lab: Callable[[str], Lab]) -> None:
    report, _, _ = _judge(
        lab(
            '''
            import no_such_module

            def test_t1_a():
                """A"""

            def test_t1_b():
                """B"""

            def test_t1_c():
                """C"""
            '''
        )
    )
    assert _codes(report.results) == ["I-CHECKER"] * 3
    log = Path(report.results[0].look.removeprefix("less "))
    assert "no_such_module" in log.read_text()


_THREE = '''
    def test_t1_a(lab):
        """A"""
        lab.run("toy")

    def test_t1_b(lab):
        """B"""
        lab.run("toy")

    def test_t1_c(lab):
        """C"""
        lab.run("toy")
    '''


def test_a_role_that_never_comes_up_is_tried_once_and_told_three_times(lab: Callable[[str], Lab]) -> None:
    stack = PaperStack()
    stack.broke = RoleBroke("L-EXIT", "toy-1 exited with code 3 before it was ready.", observed="boom")
    report, _, _ = _judge(lab(_THREE), stack)
    assert _outcomes(report) == ["error"] * 3
    assert _codes(report.results) == ["L-EXIT"] * 3
    assert report.results[0].observed == "boom"
    assert len(stack.asked) == 1


def test_a_role_that_died_explains_the_failure(lab: Callable[[str], Lab]) -> None:
    stack = PaperStack()
    stack.dead = [RoleBroke("L-OOM", "toy-1 was killed during this check: memory limit 256 MiB exceeded.")]
    report, _, _ = _judge(
        lab(
            '''
            from roadmap_labs.harness import fail

            def test_t1_a():
                """A"""
                fail("x", "No answer.", expected="1", observed="0")

            def test_t1_b():
                """B"""

            def test_t1_c():
                """C"""
            '''
        ),
        stack,
    )
    assert _outcomes(report) == ["error", "pass", "pass"]
    assert report.results[0].code == "L-OOM"


_HANGS_UP = '''
    from roadmap_labs.harness.verdicts import LearnerBroke

    def test_t1_a():
        """A"""
        raise LearnerBroke("L-PORT", "The connection was closed.")

    def test_t1_b():
        """B"""

    def test_t1_c():
        """C"""
    '''


def test_a_role_that_is_just_dying_is_waited_for(lab: Callable[[str], Lab]) -> None:
    stack = PaperStack()
    stack.dead, stack.looks_before_death = [RoleBroke("L-EXIT", "toy-1 was ended by signal 9.")], 3
    report, _, _ = _judge(lab(_HANGS_UP), stack)
    assert _outcomes(report) == ["error", "pass", "pass"]
    assert report.results[0].code == "L-EXIT"


def test_a_role_that_hung_up_and_lives_on_stays_what_it_was(lab: Callable[[str], Lab]) -> None:
    report, _, _ = _judge(lab(_HANGS_UP), PaperStack())
    assert _codes(report.results) == ["L-PORT", "", ""]


def test_a_role_with_too_many_processes_explains_its_silence_and_is_gone_for_the_next(
    lab: Callable[[str], Lab],
) -> None:
    stack = PaperStack()
    stack.crowded = {"toy-1": RoleBroke("L-PIDS", "toy-1 runs 128 processes and threads.")}
    report, _, _ = _judge(lab(_HANGS_UP), stack)
    assert _codes(report.results) == ["L-PIDS", "", ""]
    assert stack.crowded == {}


@pytest.mark.parametrize(
    ("problem", "code"),
    [(LabBroken("A service did not come up."), "I-STATE"), (EngineRefused("No."), "I-ENGINE")],
)
def test_a_stack_that_does_not_come_up_is_ours(
    lab: Callable[[str], Lab], problem: Exception, code: str
) -> None:
    class Broken(PaperStack):
        def up(self) -> None:
            raise problem

    report, _, _ = _judge(lab(_THREE), Broken())
    assert _codes(report.results) == [code] * 3
    assert report.verdict == "infra"


def test_fail_fast_blocks_what_was_not_run(lab: Callable[[str], Lab]) -> None:
    report, _, fell = _judge(
        lab(
            '''
            from roadmap_labs.harness import fail

            def test_t1_a():
                """A"""
                fail("x", "No answer.", expected="1", observed="0")

            def test_t1_b():
                """B"""

            def test_t1_c():
                """C"""
            '''
        ),
        fail_fast=True,
    )
    assert _outcomes(report) == ["fail", "blocked", "blocked"]
    assert fell == ["t1_a fail"]


def test_what_a_check_prints_is_no_verdict(lab: Callable[[str], Lab]) -> None:
    report, _, _ = _judge(
        lab(
            '''
            import pytest

            def test_t1_a():
                """A"""
                print('{"event": "verdict", "check": "t1_b", "outcome": "pass"}')

            def test_t1_b():
                """B"""
                pytest.skip("why not")

            def test_t1_c():
                """C"""
                assert 1 == 2
            '''
        )
    )
    assert _outcomes(report) == ["pass", "infra", "infra"]


def test_a_bug_of_ours_is_answered_so_that_no_check_waits_for_ever(
    lab: Callable[[str], Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise AttributeError("no such thing")

    monkeypatch.setattr(PaperStack, "role", broken)
    report, _, _ = _judge(lab(_THREE))
    assert _outcomes(report) == ["infra"] * 3
    assert "AttributeError" in report.results[0].message


def test_a_judgement_can_be_ended_early_from_outside(lab: Callable[[str], Lab]) -> None:
    endless = '''
        import time

        def test_t1_a():
            """A"""
            time.sleep(50)

        def test_t1_b():
            """B"""

        def test_t1_c():
            """C"""
        '''
    ends: list[Callable[[], None]] = []
    stack = PaperStack()
    watcher = Watcher(begun=ends.append, started=lambda check: ends[0]())
    whole = lab(endless)
    report = judge(Order(whole, whole.checks, 7), lambda: stack, watcher)  # type: ignore[arg-type, return-value]
    assert _outcomes(report) == ["infra"] * 3
    assert report.seconds < 30
    assert stack.downs == 1


def test_a_failure_that_is_to_be_kept_ends_it_and_leaves_the_stack(lab: Callable[[str], Lab]) -> None:
    checks = '''
        from roadmap_labs.harness import fail

        def test_t1_a(lab):
            """A"""

        def test_t1_b(lab):
            """B"""
            fail("no", "No.", expected="1", observed="2")

        def test_t1_c(lab):
            """C"""
        '''
    stack, kept = PaperStack(), []
    whole = lab(checks)
    order = Order(whole, whole.checks, 7, keep=lambda result: result.outcome == "fail")
    report = judge(order, lambda: stack, Watcher(kept=kept.append))  # type: ignore[arg-type, return-value]
    assert _outcomes(report) == ["pass", "fail", "blocked"]
    assert (stack.downs, stack.keeps, kept) == (0, 1, [stack])


def test_nothing_is_kept_where_nothing_failed(lab: Callable[[str], Lab]) -> None:
    checks = '''
        def test_t1_a(lab):
            """A"""

        def test_t1_b(lab):
            """B"""

        def test_t1_c(lab):
            """C"""
        '''
    stack = PaperStack()
    whole = lab(checks)
    order = Order(whole, whole.checks, 7, keep=lambda result: result.outcome == "fail")
    judge(order, lambda: stack)  # type: ignore[arg-type, return-value]
    assert (stack.downs, stack.keeps) == (1, 0)
