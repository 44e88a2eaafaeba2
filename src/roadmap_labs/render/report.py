"""Turns reports and problems into text. Knows nothing of where they come from.

A state is always a sign and a word, so that it survives a terminal without colour and a screen reader.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

from roadmap_labs.content.shelf import Lab
from roadmap_labs.errors import Problem
from roadmap_labs.model import Check, CheckResult, Outcome, Report, first_failure

Paint = Callable[[str, str], str]  # text, colour name -> text

SIGNS: Mapping[Outcome, str] = {"pass": "✓", "fail": "✗", "error": "!", "blocked": "·", "infra": "?"}
_COLOURS: Mapping[Outcome, str] = {
    "pass": "green", "fail": "red", "error": "red", "blocked": "dim", "infra": "yellow",
}  # fmt: skip
_BLAME: Mapping[str, str] = {
    "fail": "Your solution.",
    "error": "Your solution: it broke while it was being judged.",
    "infra": "Not your solution: roadmap-labs or this machine failed, so this check has no verdict.",
}
_TITLE_WIDTH = 54


def plain(text: str, colour: str) -> str:
    """Paint nothing."""
    del colour
    return text


def number(points: float) -> str:
    """A number of points without a needless fraction."""
    return f"{points:g}"


def check_head(lab: Lab, chosen: Sequence[Check], seed: int) -> str:
    """The first line of a judgement."""
    return f"{lab.slug} · {len(chosen)} of {len(lab.checks)} checks · seed {seed}"


def task_head(lab: Lab, task: str) -> str:
    """The line above a task's checks."""
    return f"  {task.upper()} {lab.manifest.tasks[task].title}"


def check_line(result: CheckResult, paint: Paint = plain) -> str:
    """One verdict as it falls."""
    sign = paint(f"{SIGNS[result.outcome]} {result.outcome:<7}", _COLOURS[result.outcome])
    title = result.check.title
    title = title if len(title) <= _TITLE_WIDTH else title[: _TITLE_WIDTH - 1] + "…"
    return f"    {sign}  {title:<{_TITLE_WIDTH}}  {result.seconds:5.1f} s"


def failure(result: CheckResult, lab: Lab, *, width: int = 80, paint: Paint = plain, again: str = "") -> str:
    """One result in full: what was done, expected, seen, where to look, whose fault, what to type next.

    `again` is the command that judges the same files once more, where there is one.
    """
    head = paint(f"{SIGNS[result.outcome]} {result.check.title}", _COLOURS[result.outcome])
    lines = [f"{head}  ({result.check.id})", ""]
    lines += _wrapped(result.message, "  ", width)
    for label, text in (("expected", result.expected), ("saw", result.observed), ("look", result.look)):
        if text:
            lines += _labelled(label, text)
    lines += [
        "",
        f"  {_BLAME.get(result.outcome, '')}".rstrip() + (f"  Code {result.code}." if result.code else ""),
    ]
    if result.hint is not None:
        task = result.check.task
        lines.append(
            f"  Hint {result.hint} of {len(lab.manifest.tasks[task].hints)}:  roadmap-labs hint {task}"
        )
    if again and result.outcome in ("fail", "error"):
        lines.append(f"  Once more, and left up for a look:  {again} --only {result.check.id} --keep")
    return "\n".join(lines)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(
            paragraph, max(width - 2, 40), initial_indent=indent, subsequent_indent=indent
        )
        or [""]
    ]


def _labelled(label: str, text: str) -> list[str]:
    first, *rest = text.splitlines() or [""]
    return [f"  {label:<9} {first}", *(f"  {'':<9} {line}" for line in rest)]


def summary(report: Report, lab: Lab, *, width: int = 80, paint: Paint = plain, again: str = "") -> str:
    """What stands below the verdicts: the first failure in full, then the numbers."""
    lines: list[str] = []
    shown = first_failure(report.results)
    if shown is not None:
        lines += ["", failure(shown, lab, width=width, paint=paint, again=again)]
    waiting = [result for result in report.results if result.outcome == "blocked"]
    if waiting and shown is not None:
        lines += [
            "",
            f"  {len(waiting)} more checks wait for it."
            if len(waiting) > 1
            else "  One more check waits for it.",
        ]
    passed = sum(result.outcome == "pass" for result in report.results)
    points = f"{number(report.score)} of {number(report.max_score)} points"
    lines += [
        "",
        f"{passed} of {len(report.results)} checks, {points} · {report.seconds:.1f} s · {_word(report)}",
    ]
    return "\n".join(lines)


def _word(report: Report) -> str:
    return {
        "pass": "✓ pass",
        "fail": "✗ fail",
        "error": "! error",
        "infra": "? infra: not judged, and that is not your fault",
    }[report.verdict]


def problem(error: Problem, paint: Paint = plain) -> str:
    """An error for a person: what happened, then whose fault and the cure."""
    lines = [paint(error.message, "red")]
    if error.cure:
        lines.append(error.cure)
    lines.append(f"({error.fault})")
    return "\n".join(lines)
