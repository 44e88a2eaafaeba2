"""What a proof expects of one run's report, and what it says where that is not what came. Pure.

Each function returns the sentences that stand between the run and its proof; none means that it proves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from roadmap_labs.content.manifest import MutantManifest
from roadmap_labs.content.shelf import Lab
from roadmap_labs.model import CheckResult, Report

Kind = Literal["solution", "starter", "mutant"]

# A check that needs more than this part of its time limit will one day be refused for slowness alone.
LONGEST_SHARE = 0.5


@dataclass(frozen=True)
class Run:
    """One judgement that a proof asks for; `turn` counts the repeats of the same one from 1."""

    kind: Kind
    name: str  # the mutant's id; else the scaffold
    turn: int
    seed: int


@dataclass(frozen=True)
class Done:
    """A run, its report, and what is wrong with it."""

    run: Run
    report: Report
    wrong: tuple[str, ...]


def starter_wrong(report: Report, lab: Lab) -> tuple[str, ...]:
    """The starter fails, or waits for a failure, exactly where the lab says; it breaks nowhere."""
    promised = set(lab.manifest.starter_passes)
    wrong = []
    for result in report.results:
        if result.outcome in ("error", "infra"):
            wrong.append(_broke("the starter", result))
        elif result.outcome == "pass" and result.check.id not in promised:
            wrong.append(f"the starter passes {result.check.id}, which starter_passes does not name")
        elif result.outcome != "pass" and result.check.id in promised:
            wrong.append(f"the starter does not pass {result.check.id}, which starter_passes names")
    return tuple(wrong)


def solution_wrong(report: Report) -> tuple[str, ...]:
    """The solution passes everything."""
    return tuple(_broke("the solution", result) for result in report.results if result.outcome != "pass")


def mutant_wrong(report: Report, mutant: MutantManifest) -> tuple[str, ...]:
    """A mutant passes every check before its own, and fails its own with the promised code and words."""
    for result in report.results:
        if result.outcome == "infra":
            return (_broke("the mutant", result),)
        if result.check.id == mutant.caught_by:
            return _caught(result, mutant)
        if result.outcome != "pass":
            return (f"{_broke('the mutant', result)}, before {mutant.caught_by} was reached",)
    return (f"{mutant.caught_by} was not judged",)


def _caught(result: CheckResult, mutant: MutantManifest) -> tuple[str, ...]:
    check = result.check.id
    if result.outcome == "pass":
        return (f"{check} does not see it: the mutant passes",)
    if result.outcome == "blocked":
        return (f"{check} was not run: {result.message}",)
    wrong = []
    if result.code != mutant.code:
        wrong.append(f"{check} gives the code {result.code or 'none'}, not {mutant.code}")
    said = plain(f"{result.message} {result.expected} {result.observed}")
    if plain(mutant.says) not in said:
        wrong.append(f"the message of {check} does not say “{mutant.says}”")
    return tuple(wrong)


def surprises(result: CheckResult, run: Run, lab: Lab, mutant: MutantManifest | None) -> bool:
    """Whether this one result is not what the run's proof expects of it."""
    if mutant is not None:
        caught_here = result.check.id == mutant.caught_by
        return bool(_caught(result, mutant)) if caught_here else result.outcome != "pass"
    if run.kind == "solution":
        return result.outcome != "pass"
    broke = result.outcome in ("error", "infra")
    return broke or (result.outcome == "pass") != (result.check.id in lab.manifest.starter_passes)


def plain(text: str) -> str:
    """A text for comparing: small letters, single spaces."""
    return " ".join(text.split()).casefold()


def _broke(who: str, result: CheckResult) -> str:
    code = f" ({result.code})" if result.code else ""
    return f"{who} gets {result.outcome}{code} from {result.check.id}"


def longest(reports: Iterable[Report]) -> dict[str, float]:
    """The longest time that each check took, in seconds."""
    found: dict[str, float] = {}
    for report in reports:
        for result in report.results:
            found[result.check.id] = max(found.get(result.check.id, 0.0), result.seconds)
    return found


def slow(seconds: Mapping[str, float], limit: float) -> tuple[str, ...]:
    """Checks that come too near to their own limit."""
    return tuple(
        f"{check} took {taken:.1f} s of the {limit:.0f} s that a check may take; more than half is a defect"
        for check, taken in seconds.items()
        if taken > limit * LONGEST_SHARE
    )


def unkilled(lab: Lab, caught: Iterable[str]) -> tuple[str, ...]:
    """Checks that no mutant is caught by: nobody knows whether they can fail."""
    found = set(caught)
    return tuple(check.id for check in lab.checks if check.id not in found)


def asked_of(lab: Lab, check_id: str, turn: int) -> Sequence[str]:
    """The ids of the checks that a mutant meets: its first run all up to its own, to show that it is near enough.

    Every further run shows that its own check sees it each time, and meets that one alone.
    """
    ids = [check.id for check in lab.checks]
    return ids[: ids.index(check_id) + 1] if turn == 1 else (check_id,)
