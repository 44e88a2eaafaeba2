"""Reports: verdicts, scores, and the published document."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import roadmap_labs
from roadmap_labs.model import Check, CheckResult, Outcome, Report, document, first_failure

SCHEMA = json.loads((Path(roadmap_labs.__file__).parent / "schemas" / "result-v1.schema.json").read_text())


def _report(*outcomes: Outcome) -> Report:
    results = tuple(
        CheckResult(Check(f"t1_{number}", "t1", "Title", 2.5), outcome, hint=1 if outcome == "fail" else None)
        for number, outcome in enumerate(outcomes)
    )
    return Report("toy-lab", "1.0", 42, 1.23456, results)


@pytest.mark.parametrize(
    ("outcomes", "verdict", "score"),
    [
        (("pass", "pass"), "pass", 5.0),
        (("pass", "fail"), "fail", 2.5),
        (("pass", "blocked"), "fail", 2.5),
        (("fail", "error"), "error", 0.0),
        (("error", "infra", "pass"), "infra", 2.5),
        ((), "infra", 0),
    ],
)
def test_the_verdict_puts_our_faults_first(outcomes: tuple[Outcome, ...], verdict: str, score: float) -> None:
    report = _report(*outcomes)
    assert report.verdict == verdict
    assert report.score == score
    assert report.max_score == 2.5 * len(outcomes)


def test_the_document_keeps_its_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    told = document(_report("pass", "fail", "error", "blocked", "infra"))
    jsonschema.validate(told, SCHEMA)
    assert told["seconds"] == 1.235
    assert told["checks"][1]["hint"] == "roadmap-labs hint t1"  # type: ignore[index]
    assert json.loads(json.dumps(told)) == told


def test_the_first_failure_is_neither_a_pass_nor_waiting() -> None:
    failure = first_failure(_report("pass", "blocked", "fail", "error").results)
    assert failure is not None
    assert failure.check.id == "t1_2"
    assert first_failure(_report("pass", "blocked").results) is None
