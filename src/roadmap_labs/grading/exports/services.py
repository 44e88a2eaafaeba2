"""Results for programs: JSON lines, JUnit XML, Gradescope, CTRF. Knows nothing of ledgers."""

from __future__ import annotations

import json
import time
import uuid
from calendar import timegm
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from roadmap_labs import __version__
from roadmap_labs.grading.book import Book, Row
from roadmap_labs.grading.exports.escaping import for_xml, printable

_NAMESPACE = uuid.UUID(
    "5a1b8f52-7a3c-4c0e-9d0a-6f2f7d2c9b11"
)  # ours, so that a check keeps its id in every report
_CTRF_STATUS = {"pass": "passed", "fail": "failed", "error": "failed", "blocked": "skipped", "infra": "other"}


def json_lines(book: Book) -> bytes:
    """One document a line: the result as `check --json` has it, with the person; without one the state alone."""
    lines = [
        {
            "submission": row.id,
            "state": row.state,
            "verdict": row.verdict,
            "person": vars(row.person),
            **(row.result or {}),
        }
        for row in book.rows
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8", "replace")


def junit(book: Book) -> bytes:
    """JUnit XML (the xunit2 family): a suite for each submission, a case for each check."""
    root = ET.Element("testsuites", name=for_xml(book.title))
    for row in book.rows:
        checks = row.checks
        outcomes = [check["outcome"] for check in checks]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=for_xml(row.id),
            tests=str(len(checks)),
            failures=str(outcomes.count("fail")),
            errors=str(sum(outcome in ("error", "infra") for outcome in outcomes)),
            skipped=str(outcomes.count("blocked")),
            time=f"{_seconds(row):.3f}",
        )
        properties = ET.SubElement(suite, "properties")
        for name, value in (("verdict", row.verdict), ("score", "" if row.score is None else f"{row.score:g}"),
                            ("max_score", f"{book.max_score:g}")):  # fmt: skip
            ET.SubElement(properties, "property", name=name, value=value)
        for check in checks:
            _case(suite, book, check)
    ET.indent(root)
    raw: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return raw + b"\n"


def _case(suite: ET.Element, book: Book, check: Mapping[str, Any]) -> None:
    name = for_xml(f"{check['title']} [{check['id']}]")
    case = ET.SubElement(suite, "testcase", classname=book.lab, name=name, time=f"{check['seconds']:.3f}")
    told = for_xml(str(check["message"]))
    match check["outcome"]:
        case "fail":
            ET.SubElement(case, "failure", message=told, type=for_xml(check["code"])).text = for_xml(
                _story(check)
            )
        case "error" | "infra":
            ET.SubElement(case, "error", message=told, type=for_xml(check["code"])).text = for_xml(
                _story(check)
            )
        case "blocked":
            ET.SubElement(case, "skipped", message=told)


def gradescope(book: Book) -> bytes:
    """Gradescope's results.json for one submission; for more than one, an object of them by id."""
    documents = {row.id: _gradescope(book, row) for row in book.rows}
    whole: object = next(iter(documents.values())) if len(documents) == 1 else documents
    return _json(whole)


def _gradescope(book: Book, row: Row) -> dict[str, Any]:
    if row.score is None:
        return {"output": "Not judged: roadmap-labs or the machine failed. This is no zero.", "tests": [], "score": 0,
                "extra_data": {"verdict": row.verdict, "gradable": False}}  # fmt: skip
    return {
        "score": row.score,
        "execution_time": round(_seconds(row), 3),
        "output_format": "text",
        "test_output_format": "text",
        "visibility": "visible",
        "tests": [
            {
                "name": printable(check["title"]),
                "number": check["id"],
                "score": check["points"],
                "max_score": check["max_points"],
                "status": "passed" if check["outcome"] == "pass" else "failed",
                "output": printable(_story(check)),
                "tags": [check["task"]],
            }
            for check in row.checks
        ],
        "extra_data": {"lab": book.lab, "verdict": row.verdict, "max_score": book.max_score},
    }


def ctrf(book: Book) -> bytes:
    """One CTRF report of all submissions; points and codes stand in `extra`, the submission is the suite."""
    tests = [_ctrf_test(row, check) for row in book.rows for check in row.checks]
    counts = {state: sum(test["status"] == state for test in tests)
              for state in ("passed", "failed", "skipped", "pending", "other")}  # fmt: skip
    moments = [_moment(row, name) for row in book.rows for name in ("started_at", "ended_at") if row.result]
    summary = {
        "tests": len(tests),
        **counts,
        "start": min(moments, default=0),
        "stop": max(moments, default=0),
    }
    tool = {"name": "roadmap-labs", "version": __version__}
    results = {"tool": tool, "summary": summary, "tests": tests}
    return _json({"reportFormat": "CTRF", "specVersion": "0.0.0", "results": results})


def _ctrf_test(row: Row, check: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(_NAMESPACE, printable(f"{row.id} {check['id']}"))),
        "name": printable(f"{check['title']} [{check['id']}]"),
        "status": _CTRF_STATUS[check["outcome"]],
        "rawStatus": check["outcome"],
        "duration": round(check["seconds"] * 1000),
        "suite": [printable(row.id), check["task"]],
        "message": printable(_story(check)),
        "extra": {
            "points": check["points"],
            "max_points": check["max_points"],
            "code": printable(check["code"]),
        },
    }


def _story(check: Mapping[str, Any]) -> str:
    parts = [
        check["message"],
        *(
            f"{label}: {check[key]}"
            for label, key in (("expected", "expected"), ("saw", "observed"))
            if check[key]
        ),
    ]
    return "\n".join(str(part) for part in parts if part)


def _seconds(row: Row) -> float:
    return float((row.result or {}).get("seconds", 0.0))


def _moment(row: Row, name: str) -> int:
    """Milliseconds since 1970 of a UTC time in a result."""
    return timegm(time.strptime(str((row.result or {})[name]), "%Y-%m-%dT%H:%M:%SZ")) * 1000


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")
