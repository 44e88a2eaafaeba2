"""Commands that judge and help: check, hint. The verdict itself comes from elsewhere."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from roadmap_labs.cli import screen
from roadmap_labs.cli.options import AsJson, Elsewhere, complete_labs, here, teller
from roadmap_labs.errors import BadSubmission, LabBroken, Problem


def check(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="The workspace; the current folder by default.", show_default=False
        ),
    ] = None,
    elsewhere: Elsewhere = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Only this task, e.g. t1.", show_default=False)
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this check.", show_default=False)
    ] = None,
    lab: Annotated[
        str | None,
        typer.Option(
            "--lab",
            help="Judge a folder that is no workspace.",
            autocompletion=complete_labs,
            show_default=False,
        ),
    ] = None,
    solution: Annotated[bool, typer.Option("--solution", help="Judge the lab's own solution.")] = False,
    as_json: AsJson = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Repeat a run's random choices.", show_default=False)
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")] = False,
) -> int:
    """Judge your work on a fresh, sealed copy of the whole system; the playground is left alone.

    Examples:  roadmap-labs check   ·   roadmap-labs check --task t1   ·   roadmap-labs check DIR --lab redis-caching
    """
    from roadmap_labs.checking.judge import Order, Watcher
    from roadmap_labs.verbs import judge as verbs

    where = here(elsewhere)
    where = where / folder if folder else where
    number = verbs.seed_of(seed)
    try:
        what = verbs.subject(where, lab, solution=solution)
    except BadSubmission as problem:
        return _refused(verbs, where, lab, task or [], only or [], number, problem, as_json=as_json)
    chosen = verbs.choose(what.lab, [one.lower() for one in task or []], only or [])
    order = Order(what.lab, chosen, number, fail_fast=fail_fast, time_factor=_time_factor())
    if what.space is not None:
        screen.speak_of(what.space.folder)
    progress = screen.Progress(quiet=as_json)
    live = _Live(what.lab, progress, quiet=as_json)
    if not as_json:
        from roadmap_labs.render import report as text

        screen.out(text.check_head(what.lab, chosen, number))

    judged = verbs.check(order, what, teller(progress), Watcher(live.started, live.judged))
    progress.clear()
    return _show(judged.report, what.lab, judged.problem, as_json=as_json)


class _Live:
    """Prints each verdict as it falls, below the head of its task."""

    def __init__(self, lab, progress: screen.Progress, *, quiet: bool) -> None:  # type: ignore[no-untyped-def]
        self._lab, self._progress, self._quiet, self._task = lab, progress, quiet, ""

    def started(self, one) -> None:  # type: ignore[no-untyped-def]
        if sys.stderr.isatty():
            self._progress.phase(one.title)

    def judged(self, result) -> None:  # type: ignore[no-untyped-def]
        if self._quiet:
            return
        from roadmap_labs.render import report as text

        self._progress.clear()
        if result.check.task != self._task:
            self._task = result.check.task
            screen.out(f"\n{text.task_head(self._lab, self._task)}")
        screen.out(text.check_line(result, screen.paint_for(sys.stdout)))


def _refused(  # type: ignore[no-untyped-def]
    verbs,
    where: Path,
    lab: str | None,
    task: list[str],
    only: list[str],
    seed: int,
    problem: BadSubmission,
    *,
    as_json: bool,
) -> int:
    if not as_json:
        raise problem
    from roadmap_labs.content import shelf, workspace
    from roadmap_labs.model import document

    space = workspace.find(where)
    whole = shelf.load_lab(lab or (space.lab if space else ""))
    screen.out_json(document(verbs.refused_report(whole, verbs.choose(whole, task, only), seed, problem)))
    return problem.exit_code


def _show(report, lab, problem: Problem | None, *, as_json: bool) -> int:  # type: ignore[no-untyped-def]
    from roadmap_labs.model import document
    from roadmap_labs.render import report as text

    if isinstance(problem, BadSubmission):
        # The image of the learner's own Dockerfile: found out while the stack was being raised.
        report = replace(
            report,
            results=tuple(
                replace(one, outcome="error", code="L-SUBM", message=problem.message)
                for one in report.results
            ),
        )
    if as_json:
        screen.out_json(document(report))
    else:
        screen.out(text.summary(report, lab, width=screen.width(), paint=screen.paint_for(sys.stdout)))
    if problem is not None:
        if not as_json and problem.cure:
            screen.note(problem.cure)
        return problem.exit_code
    if report.verdict == "infra":
        return LabBroken.exit_code
    return 0 if report.verdict == "pass" else 1


def _time_factor() -> float:
    """LAB_TIME_FACTOR stretches our own waiting on a slow machine, never a limit of the learner's."""
    import os

    try:
        return min(max(float(os.environ.get("LAB_TIME_FACTOR", "1")), 1.0), 20.0)
    except ValueError:
        return 1.0


def hint(
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help="A task, e.g. t1.", show_default=False)
    ] = None,
    elsewhere: Elsewhere = None,
    as_json: AsJson = False,
) -> int:
    """Show the next of a task's three hints, from a question to the shape of the solution.

    Example:  roadmap-labs hint t1
    """
    from dataclasses import asdict

    from roadmap_labs.verbs import judge as verbs

    where = here(elsewhere)
    shown = verbs.hint(where, task)
    screen.speak_of(where)
    if as_json:
        screen.out_json({"schema": "roadmap-labs.hint/v1", **asdict(shown)})
        return 0
    screen.out(f"{shown.task.upper()} {shown.title} · hint {shown.level} of {shown.levels}\n\n{shown.text}\n")
    if shown.level < shown.levels:
        screen.out(f"One more:  roadmap-labs hint {shown.task}")
    elif not shown.new:
        screen.out("That was the last one.")
    return 0
