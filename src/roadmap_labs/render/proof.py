"""Turns lint's flaws, runs of a proof and the standing of labs into text. Knows nothing of how they came about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from roadmap_labs.authoring.flaws import Flaw
from roadmap_labs.authoring.proof import Standing
from roadmap_labs.authoring.prove import Proving
from roadmap_labs.authoring.verdicts import Done, Run, longest
from roadmap_labs.content.shelf import Lab
from roadmap_labs.render.report import Paint, check_line, failure, plain, task_head

_SIGNS = {"proven": "✓", "stale": "✗", "never": "·", "broken": "!"}


def run_name(run: Run) -> str:
    """A run as people speak of it."""
    turn = f" #{run.turn}" if run.turn > 1 else ""
    return f"{run.kind} {run.name}{turn}"


def run_line(done: Done, paint: Paint = plain) -> str:
    """One run that has ended."""
    sign = paint("✗ refuted", "red") if done.wrong else paint("✓ proven ", "green")
    last = done.report.results[-1]
    told = (
        f"{last.check.id}: {last.code}" if done.run.kind == "mutant" else f"{len(done.report.results)} checks"
    )
    said = "; ".join(done.wrong) if done.wrong else told
    return f"  {sign}  {run_name(done.run):<38} {done.report.seconds:6.1f} s  {said}"


def transcript(done: Done, lab: Lab, *, width: int = 80, paint: Paint = plain) -> str:
    """What a learner would have seen of a run: every verdict, then each failure in full."""
    report = done.report
    lines = [f"── {run_name(done.run)} · seed {report.seed} " + "─" * 20]
    task = ""
    shown = [one for one in report.results if one.outcome != "blocked" or done.run.kind != "mutant"]
    for result in shown:
        if result.check.task != task:
            task = result.check.task
            lines += ["", task_head(lab, task)]
        lines.append(check_line(result, paint))
    for result in report.results:
        if result.outcome not in ("pass", "blocked"):
            lines += ["", failure(result, lab, width=width, paint=paint)]
    lines += ["", *(f"  refuted: {sentence}" for sentence in done.wrong)]
    return "\n".join(lines)


def summary(proving: Proving, file: Path | None, paint: Paint = plain) -> str:
    """What stands below the runs: the slowest checks, what is wrong with the whole, the verdict."""
    lines = [""]
    solutions, starters, mutants = (_count(proving.done, kind) for kind in ("solution", "starter", "mutant"))
    lines += [f"  {name:<10} {text}" for name, text in _counts(solutions, starters, mutants)]
    slowest = _slowest(proving)
    if slowest:
        lines.append(f"  slowest    {', '.join(slowest)}")
    lines += [paint(f"  refuted    {problem}", "red") for problem in proving.problems]
    lines += [f"  note       {note}" for note in proving.notes]
    load = f", {proving.busy} busy processes" if proving.busy else ""
    how = f"{proving.seconds:.0f} s, {proving.jobs} side by side{load}"
    slug = proving.lab.slug
    if not proving.proven:
        word = paint(f"✗ {slug} is not proven", "red")
    elif proving.partial:
        word = paint(f"✓ {slug}: these mutants are caught", "green")
    else:
        word = paint(f"✓ {slug} is proven", "green")
    lines += ["", f"{word} · {how}" + (f" · {file}" if file else "")]
    return "\n".join(lines)


def _count(done: Iterable[Done], kind: str) -> tuple[int, int]:
    chosen = [one for one in done if one.run.kind == kind]
    return sum(not one.wrong for one in chosen), len(chosen)


def _counts(
    solutions: tuple[int, int], starters: tuple[int, int], mutants: tuple[int, int]
) -> list[tuple[str, str]]:
    rows = []
    if starters[1]:
        rows.append(("starter", f"{starters[0]} of {starters[1]} runs fail exactly where they must"))
    if solutions[1]:
        rows.append(("solution", f"{solutions[0]} of {solutions[1]} runs pass every check"))
    if mutants[1]:
        rows.append(("mutants", f"{mutants[0]} of {mutants[1]} runs are caught where they must be"))
    return rows


def _slowest(proving: Proving) -> list[str]:
    times = sorted(longest(proving.solutions()).items(), key=lambda pair: -pair[1])
    return [f"{check} {seconds:.1f} s" for check, seconds in times[:3]]


def lint_page(slug: str, flaws: Sequence[Flaw], paint: Paint = plain) -> str:
    """All flaws, one below the other, then their number."""
    if not flaws:
        return paint(f"✓ {slug}: nothing to mend", "green")
    lines = []
    for flaw in flaws:
        lines.append(f"{flaw.file}:{flaw.line}: {paint(flaw.rule, 'red')}: {flaw.sentence}")
        if flaw.cure:
            lines.append(f"    {flaw.cure}")
    number = "1 problem" if len(flaws) == 1 else f"{len(flaws)} problems"
    return "\n".join([*lines, "", f"✗ {slug}: {number}"])


def standings_table(rows: Sequence[Standing], paint: Paint = plain) -> str:
    """Every lab and whether it is proven."""
    width = max([len(row.slug) for row in rows], default=0)
    lines = []
    for row in rows:
        sign = f"{_SIGNS[row.state]} {row.state:<7}"
        colour = "green" if row.state == "proven" else "red"
        runs = f"{row.date}  {row.solution_runs} solution runs, {row.mutants} mutants" if row.date else ""
        text = "  ".join(part for part in (runs, row.why) if part)
        lines.append(f"  {paint(sign, colour)}  {row.slug:<{width}}  {text}")
    return "\n".join(lines)
