"""Gradebooks as CSV: our own, Canvas's, Moodle's. Knows nothing of ledgers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from roadmap_labs.grading.book import Book, Row
from roadmap_labs.grading.exports.escaping import for_cell


def gradebook(book: Book) -> bytes:
    """One line a submission: person, verdict, points, the outcome of each check, the first message."""
    head = ["id", "name", "number", "email", "verdict", "score", "max_score", *book.checks, "message"]
    return _csv([head, *(_line(book, row) for row in book.rows)])


def _line(book: Book, row: Row) -> list[str]:
    outcomes = {check["id"]: check["outcome"] for check in row.checks}
    return [
        *(for_cell(text) for text in (row.id, row.person.name, row.person.number, row.person.email)),
        row.verdict,
        _points(row.score),
        _points(book.max_score),
        *(str(outcomes.get(check, "")) if row.score is not None else "" for check in book.checks),
        for_cell(_first_message(row)),
    ]


def canvas(book: Book) -> bytes:
    """What Canvas imports: its five columns, the line of possible points, then a line for each student."""
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", f"{book.title} ({book.lab})"]
    possible = ["    Points Possible", "", "", "", "", _points(book.max_score)]
    lines = [
        [for_cell(row.person.name or row.id), for_cell(row.person.number), "", for_cell(row.person.email), "",
         _points(row.score)]
        for row in book.rows
    ]  # fmt: skip
    return _csv([head, possible, *lines])


def moodle(book: Book) -> bytes:
    """What Moodle's grade import maps: identifier, e-mail, points and a feedback. Who was not judged has no points."""
    head = ["Identifier", "Full name", "Email address", "Grade", "Maximum grade", "Feedback comments"]
    lines = [
        [for_cell(f"Participant {row.person.number}" if row.person.number else row.id), for_cell(row.person.name),
         for_cell(row.person.email), _points(row.score), _points(book.max_score), for_cell(_first_message(row))]
        for row in book.rows
    ]  # fmt: skip
    return _csv([head, *lines])


def _first_message(row: Row) -> str:
    if row.verdict == "ungraded":
        return "Not judged: roadmap-labs or the machine failed three times. This is no zero."
    for check in row.checks:
        if check["outcome"] in ("fail", "error", "infra"):
            return f"{check['title']}: {check['message']}"
    return ""


def _points(points: float | None) -> str:
    return "" if points is None else f"{points:g}"


def _csv(lines: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)  # RFC 4180
    return text.getvalue().encode("utf-8")
