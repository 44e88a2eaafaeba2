"""Results for people in a pipeline: GitHub's annotations, a Markdown page. Knows nothing of ledgers."""

from __future__ import annotations

from collections.abc import Iterator

from roadmap_labs.grading.book import Book, Row
from roadmap_labs.grading.exports.escaping import for_markdown, for_workflow

_MOST_ANNOTATIONS = 10  # more of a step are dropped in silence
_LARGEST_SUMMARY = 1024 * 1024 - 4096
_SIGNS = {"pass": "✓", "fail": "✗", "error": "!", "blocked": "·", "infra": "?"}


def github(book: Book) -> bytes:
    """Workflow commands: an annotation for each of the first failures."""
    lines: list[str] = []
    for row in book.rows:
        for check in row.checks:
            if check["outcome"] in ("fail", "error") and len(lines) < _MOST_ANNOTATIONS:
                title = for_workflow(f"{row.id}: {check['title']}", is_property=True)
                seen = f" Expected {check['expected']}, saw {check['observed']}." if check["expected"] else ""
                told = for_workflow(f"{check['message']}{seen}")
                lines.append(f"::error title={title}::{told}")
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def markdown(book: Book) -> bytes:
    """A page: one table of all submissions, then what each check said where there is only one submission."""
    text = "\n".join(_page(book)) + "\n"
    raw = text.encode("utf-8", "replace")
    if len(raw) > _LARGEST_SUMMARY:
        raw = raw[:_LARGEST_SUMMARY].rpartition(b"\n")[0] + b"\n\ncut: the page would be too long\n"
    return raw


def _page(book: Book) -> Iterator[str]:
    yield f"## {for_markdown(book.title)} ({book.lab})"
    yield ""
    yield "| submission | verdict | points |"
    yield "| --- | --- | --- |"
    for row in book.rows:
        points = "" if row.score is None else f"{row.score:g} of {book.max_score:g}"
        yield f"| {for_markdown(row.person.name or row.id)} | {row.verdict} | {points} |"
    if len(book.rows) == 1:
        yield ""
        yield from _checks_of(book.rows[0])


def _checks_of(row: Row) -> Iterator[str]:
    yield "| | check | points | what was seen |"
    yield "| --- | --- | --- | --- |"
    for check in row.checks:
        told = "" if check["outcome"] == "pass" else for_markdown(str(check["message"]))
        sign = f"{_SIGNS[check['outcome']]} {check['outcome']}"
        points = f"{check['points']:g} of {check['max_points']:g}"
        yield f"| {sign} | {for_markdown(check['title'])} | {points} | {told} |"
