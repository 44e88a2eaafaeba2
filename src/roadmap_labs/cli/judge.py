"""Commands that judge and help: check, hint. The verdict itself comes from elsewhere."""

from __future__ import annotations

import shlex
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roadmap_labs.cli import screen
from roadmap_labs.cli.options import AsJson, Elsewhere, complete_labs, here, teller, time_factor
from roadmap_labs.errors import EngineRefused, LabBroken, Problem

if TYPE_CHECKING:
    from roadmap_labs.content.shelf import Lab
    from roadmap_labs.model import Check, CheckResult, Report
    from roadmap_labs.verbs.judge import Subject


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
    keep: Annotated[
        bool, typer.Option("--keep", help="Stop at the first failure and leave the system up, for a look.")
    ] = False,
    report: Annotated[
        list[str] | None,
        typer.Option(
            "--report", metavar="FORMAT=PATH", help="Also this file: junit, ctrf, …", show_default=False
        ),
    ] = None,
) -> int:
    """Judge your work on a fresh, sealed copy of the whole system; the playground is left alone.

    Examples:  roadmap-labs check   ·   roadmap-labs check --task t1   ·   roadmap-labs check --task t2 --keep
    """
    from roadmap_labs.checking.judge import Order, Watcher
    from roadmap_labs.render import kept as kept_text
    from roadmap_labs.verbs import judge as verbs

    reports = _reports(report)
    where = here(elsewhere)
    where = where / folder if folder else where
    number = verbs.seed_of(seed)
    what = verbs.subject(where, lab, solution=solution)
    chosen = verbs.choose(what.lab, [one.lower() for one in task or []], only or [])
    order = Order(what.lab, chosen, number, fail_fast=fail_fast, time_factor=time_factor())
    if keep:
        order = replace(order, keep=lambda result: result.outcome in ("fail", "error"))
    if what.space is not None:
        screen.speak_of(what.space.folder)
    progress = screen.Progress(quiet=as_json)
    live = _Live(what.lab, progress, quiet=as_json)
    if not as_json:
        from roadmap_labs.render import report as text

        screen.out(text.check_head(what.lab, chosen, number))

    judged = verbs.check(order, what, teller(progress), Watcher(live.started, live.judged))
    progress.clear()
    _write(reports, what, judged.report)
    again = "" if keep else _again(what, where, solution=solution)
    code = _show(judged.report, what.lab, judged.problem, as_json=as_json, again=again)
    if judged.kept is not None:
        screen.note("\n" + kept_text.kept(judged.kept))
    elif keep:
        screen.note("\nNothing failed, so nothing was kept.")
    return code


def _reports(words: list[str] | None) -> dict[str, Path]:
    """The files that were asked for, known before anything is judged; most runs ask for none."""
    if not words:
        return {}
    from roadmap_labs.grading import reporting

    return reporting.wanted(tuple(words))


def _write(reports: dict[str, Path], what: Subject, found: Report) -> None:
    if not reports:
        return
    from roadmap_labs.grading import reporting
    from roadmap_labs.grading.exports import FORMATS
    from roadmap_labs.model import document

    book = reporting.of_one(what.lab, what.folder.resolve().name, document(found))
    for name, file in reports.items():
        reporting.write(file, FORMATS[name](book))


class _Live:
    """Prints each verdict as it falls, below the head of its task."""

    def __init__(self, lab: Lab, progress: screen.Progress, *, quiet: bool) -> None:
        self._lab, self._progress, self._quiet, self._task = lab, progress, quiet, ""

    def started(self, one: Check) -> None:
        if sys.stderr.isatty():
            self._progress.phase(one.title)

    def judged(self, result: CheckResult) -> None:
        if self._quiet:
            return
        from roadmap_labs.render import report as text

        self._progress.clear()
        if result.check.task != self._task:
            self._task = result.check.task
            screen.out(f"\n{text.task_head(self._lab, self._task)}")
        screen.out(text.check_line(result, screen.paint_for(sys.stdout)))


def _again(what: Subject, where: Path, *, solution: bool) -> str:
    """The command that judges the same files once more."""
    if what.space is not None:
        return "roadmap-labs check"
    return f"roadmap-labs check --lab {what.lab.slug} " + (
        "--solution" if solution else shlex.quote(screen.from_here(where))
    )


def _show(report: Report, lab: Lab, problem: Problem | None, *, as_json: bool, again: str) -> int:
    from roadmap_labs.model import document
    from roadmap_labs.render import report as text

    if as_json:
        screen.out_json(document(report))
    elif problem is not None:
        raise problem
    else:
        screen.out(
            text.summary(report, lab, width=screen.width(), paint=screen.paint_for(sys.stdout), again=again)
        )
    if problem is not None:
        return problem.exit_code
    if report.verdict == "infra":
        codes = {result.code for result in report.results if result.outcome == "infra"}
        return EngineRefused.exit_code if codes <= {"I-ENGINE", "I-CAPACITY"} else LabBroken.exit_code
    return 0 if report.verdict == "pass" else 1


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
    screen.out(f"{shown.task.upper()} {shown.title} · hint {shown.level} of {shown.levels}\n")
    screen.out(textwrap.fill(shown.text, min(screen.width() - 2, 100)) + "\n")
    if shown.level < shown.levels:
        screen.out(f"One more:  roadmap-labs hint {shown.task}")
    elif not shown.new:
        screen.out("That was the last one.")
    return 0
