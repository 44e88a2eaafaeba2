"""The nouns of a judgement: outcomes, results, reports. Knows nothing of labs on disk, containers or pytest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "error", "blocked", "infra"]
Verdict = Literal["pass", "fail", "error", "infra"]

RESULT_SCHEMA = "roadmap-labs.result/v1"


@dataclass(frozen=True)
class Check:
    """One check as the lab's manifest promises it; `title` is the line that the learner reads."""

    id: str
    task: str
    title: str
    points: float


@dataclass(frozen=True)
class CheckResult:
    """What one check found. `points` are the points won, `seconds` what it took by the wall clock."""

    check: Check
    outcome: Outcome
    code: str = ""
    message: str = ""
    expected: str = ""
    observed: str = ""
    look: str = ""
    hint: int | None = None
    seconds: float = 0.0

    @property
    def points(self) -> float:
        return self.check.points if self.outcome == "pass" else 0.0


@dataclass(frozen=True)
class Report:
    """One whole judgement: exactly one result for each check that was asked for, in the manifest's order."""

    lab: str
    lab_version: str
    seed: int
    seconds: float
    results: tuple[CheckResult, ...]

    @property
    def verdict(self) -> Verdict:
        """Ours before theirs: a fault of ours makes the whole judgement void, it is never a zero."""
        outcomes = {result.outcome for result in self.results}
        if "infra" in outcomes or not outcomes:
            return "infra"
        if "error" in outcomes:
            return "error"
        return "fail" if outcomes - {"pass"} else "pass"

    @property
    def score(self) -> float:
        return sum(result.points for result in self.results)

    @property
    def max_score(self) -> float:
        return sum(result.check.points for result in self.results)


def document(report: Report) -> dict[str, object]:
    """The `roadmap-labs.result/v1` document of a report; its JSON Schema is schemas/result-v1.schema.json."""
    return {
        "schema": RESULT_SCHEMA,
        "lab": report.lab,
        "lab_version": report.lab_version,
        "verdict": report.verdict,
        "score": report.score,
        "max_score": report.max_score,
        "seconds": round(report.seconds, 3),
        "seed": report.seed,
        "checks": [_check_document(result) for result in report.results],
    }


def _check_document(result: CheckResult) -> dict[str, object]:
    return {
        "id": result.check.id,
        "task": result.check.task,
        "title": result.check.title,
        "outcome": result.outcome,
        "code": result.code,
        "message": result.message,
        "expected": result.expected,
        "observed": result.observed,
        "look": result.look,
        "hint": hint_command(result),
        "seconds": round(result.seconds, 3),
        "points": result.points,
        "max_points": result.check.points,
    }


def hint_command(result: CheckResult) -> str | None:
    """The command that shows the hint which helps here; None where the result needs none."""
    return f"roadmap-labs hint {result.check.task}" if result.hint is not None else None


def first_failure(results: Iterable[CheckResult]) -> CheckResult | None:
    """The result to show in full: the first that is neither a pass nor waiting for another."""
    return next((result for result in results if result.outcome not in ("pass", "blocked")), None)
