"""Gradebooks in every form: each is read by the reader that it is meant for, whatever strangers wrote into it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from roadmap_labs.errors import NotFound, WrongUse
from roadmap_labs.grading.book import Book, Person, Row, overview, read_roster
from roadmap_labs.grading.exports import FORMATS
from roadmap_labs.grading.reporting import wanted
from roadmap_labs.render import grading as text

EVIL = [
    '=HYPERLINK("http://x")', "<script>alert(1)</script>", "::error::x", "]]>", "\x1b[31mred\x07", "a\nb", "\u202egnp",
    "@everyone", "| cell |", "`code`", "%0A::add-mask::x", "\ud800", "x" * 100_000, "-1+1", "&amp;", "{}", "\x00",
]  # fmt: skip


def _check(id_: str, outcome: str, *, message: str = "", points: float = 0.0) -> dict[str, Any]:
    return {
        "id": id_, "task": id_[:2], "title": f"Does {id_}", "outcome": outcome,
        "code": "" if outcome == "pass" else "bad", "message": message, "expected": "1", "observed": "2",
        "look": "", "hint": None, "seconds": 0.5, "points": points, "max_points": 5.0,
    }  # fmt: skip


def _result(evil: str, *checks: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": "roadmap-labs.result/v1", "lab": "toy", "lab_version": "1", "verdict": "fail", "score": 5.0,
        "max_score": 10.0, "seconds": 1.5, "seed": 7, "checks": list(checks), "submission": evil,
        "submission_digest": "d", "lab_digest": "l", "attempt": 1, "started_at": "2026-01-02T03:04:05Z",
        "ended_at": "2026-01-02T03:04:06Z",
    }  # fmt: skip


def _book(*evils: str) -> Book:
    rows = [
        Row(
            evil,
            "graded",
            Person(evil, "42", f"{evil}@x"),
            _result(evil, _check("t1_a", "pass", points=5.0), _check("t1_b", "fail", message=evil)),
        )
        for evil in evils
    ]
    rows.append(Row("never", "ungraded", Person("N. N."), None))
    return Book("toy", "Toy & Sons", 10.0, {"t1_a": "Does t1_a", "t1_b": "Does t1_b"}, tuple(rows))


@pytest.mark.parametrize("name", FORMATS)
def test_no_control_character_gets_through(name: str) -> None:
    raw = FORMATS[name](_book(*EVIL))
    told = raw.decode("utf-8")
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", told)
    if name != "json":
        assert len(raw) < 200_000, "what strangers wrote is cut"


def _rows(name: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(FORMATS[name](_book(*EVIL)).decode("utf-8"), newline=""), strict=True))


@pytest.mark.parametrize("name", ["csv", "canvas", "moodle"])
def test_tables_are_square_and_compute_nothing(name: str) -> None:
    lines = _rows(name)
    assert {len(line) for line in lines} == {len(lines[0])}
    for line in lines[1:]:
        assert not [cell for cell in line if cell.startswith(("=", "+", "-", "@", "\t"))]
    assert len(lines) == len(EVIL) + 2 + (name == "canvas")


@pytest.mark.parametrize(
    ("name", "column"), [("csv", "score"), ("moodle", "Grade"), ("canvas", "Toy & Sons (toy)")]
)
def test_who_was_not_judged_has_no_zero(name: str, column: str) -> None:
    head, *lines = _rows(name)
    assert lines[-1][head.index(column)] == ""
    assert lines[-2][head.index(column)] == "5"


def test_junit_is_well_formed_and_counts(tmp_path: Path) -> None:
    root = ET.fromstring(FORMATS["junit"](_book(*EVIL)))
    suites = root.findall("testsuite")
    assert len(suites) == len(EVIL) + 1
    for suite in suites[:-1]:
        assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
            "2",
            "1",
            "0",
            "0",
        )
        assert len(suite.findall("testcase/failure")) == 1
        assert {case.get("classname") for case in suite.findall("testcase")} == {"toy"}


_CTRF = {
    "type": "object",
    "required": ["reportFormat", "specVersion", "results"],
    "additionalProperties": False,
    "properties": {
        "reportFormat": {"const": "CTRF"},
        "specVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "results": {
            "type": "object",
            "required": ["tool", "summary", "tests"],
            "properties": {
                "tool": {"type": "object", "required": ["name"]},
                "summary": {
                    "type": "object",
                    "required": ["tests", "passed", "failed", "skipped", "pending", "other", "start", "stop"],
                    "additionalProperties": {"type": "integer"},
                },
                "tests": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name", "status", "duration"],
                        "properties": {
                            "status": {"enum": ["passed", "failed", "skipped", "pending", "other"]},
                            "duration": {"type": "integer"},
                            "suite": {"type": "array", "items": {"type": "string"}},
                            "id": {"type": "string", "format": "uuid"},
                        },
                    },
                },
            },
        },
    },
}


def test_ctrf_keeps_its_schema_and_counts() -> None:
    document = json.loads(FORMATS["ctrf"](_book(*EVIL)))
    jsonschema.validate(document, _CTRF)
    summary = document["results"]["summary"]
    assert (summary["passed"], summary["failed"], summary["tests"]) == (len(EVIL), len(EVIL), 2 * len(EVIL))
    assert summary["stop"] - summary["start"] == 1000


def test_gradescope_of_one_submission_is_its_document() -> None:
    book = _book("anna")
    document = json.loads(FORMATS["gradescope"](Book(book.lab, book.title, 10.0, book.checks, book.rows[:1])))
    assert document["score"] == 5.0
    assert [test["status"] for test in document["tests"]] == ["passed", "failed"]
    assert [test["max_score"] for test in document["tests"]] == [5.0, 5.0]


def test_no_second_workflow_command_can_begin() -> None:
    lines = FORMATS["github"](_book(*EVIL)).decode().splitlines()
    assert 0 < len(lines) <= 10
    assert all(line.startswith("::error title=") for line in lines)
    assert all(line.count("::") == 2 or "%3A" in line for line in lines)


def test_an_annotation_says_nothing_of_what_nobody_expected() -> None:
    refused = {**_check("t1_a", "error", message="refused: a link"), "expected": "", "observed": ""}
    book = Book(
        "toy", "Toy", 5.0, {"t1_a": "Does t1_a"}, (Row("anna", "graded", Person(), _result("anna", refused)),)
    )
    assert FORMATS["github"](book).decode() == "::error title=anna%3A Does t1_a::refused: a link\n"


def test_markdown_is_one_table_in_which_nothing_is_marked_up() -> None:
    told = FORMATS["markdown"](_book(*EVIL)).decode()
    assert "<script" not in told
    table = [line for line in told.splitlines() if line.startswith("|")]
    assert len(table) == len(EVIL) + 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {4}


def test_the_overview_answers_what_a_teacher_asks_first() -> None:
    book = _book("anna", "ben")
    seen = overview(book)
    assert seen.verdicts == {"fail": 2, "ungraded": 1}
    assert seen.distribution[5] == ("50 to 60 %", 2)
    assert (seen.troubles[0].check, seen.troubles[0].count, seen.troubles[0].codes[0][:2]) == (
        "t1_b",
        2,
        ("bad", 2),
    )
    assert seen.twins == (("anna", "ben"),)
    page = text.overview(book, seen, {"anna": True, "ben": False})
    assert "3 submissions: 2 fail, 1 ungraded" in page
    assert "anna, ben" in page
    assert "ben: its grade is not to be trusted" in page


def test_a_roster(tmp_path: Path) -> None:
    file = tmp_path / "roster.csv"
    file.write_text("\ufeffid,name,email\nanna,Anna Weiß,a@x\nben,,\n", encoding="utf-8")
    assert read_roster(file) == {"anna": Person("Anna Weiß", "", "a@x"), "ben": Person()}
    file.write_text("name\nAnna\n")
    with pytest.raises(WrongUse, match="no column 'id'"):
        read_roster(file)
    with pytest.raises(NotFound):
        read_roster(tmp_path / "none.csv")


@pytest.mark.parametrize("word", ["junit", "junit=", "xls=a", "=a"])
def test_a_report_that_nobody_knows(word: str) -> None:
    with pytest.raises(WrongUse):
        wanted((word,))
