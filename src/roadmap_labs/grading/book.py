"""The gradebook as values: who handed in what, and what came out; the overview that a teacher asks for first. Pure."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roadmap_labs.errors import NotFound, WrongUse
from roadmap_labs.grading.entries import Entry
from roadmap_labs.grading.ledger import Job, State


@dataclass(frozen=True)
class Person:
    """Who a submission belongs to, as the roster or the download tells."""

    name: str = ""
    number: str = ""
    email: str = ""


@dataclass(frozen=True)
class Row:
    """One submission in the gradebook. Without a result it was not judged, which is no zero."""

    id: str
    state: State
    person: Person = field(default_factory=Person)
    result: Mapping[str, Any] | None = None

    @property
    def checks(self) -> tuple[Mapping[str, Any], ...]:
        """What each check said, as the result has it."""
        return tuple((self.result or {}).get("checks", ()))

    @property
    def score(self) -> float | None:
        """Points, None where it was not judged."""
        return float(self.result["score"]) if self.result is not None and self.state == "graded" else None

    @property
    def verdict(self) -> str:
        """The verdict, `waiting` before there is one, `ungraded` where the machine failed three times."""
        if self.state == "graded" and self.result is not None:
            return str(self.result["verdict"])
        return "ungraded" if self.state == "ungraded" else "waiting"


@dataclass(frozen=True)
class Book:
    """All of a batch, in the order of the ids."""

    lab: str
    title: str
    max_score: float
    checks: Mapping[str, str]  # id -> the line that the learner reads, in the lab's order
    rows: tuple[Row, ...]


def rows(jobs: Iterable[Job], entries: Iterable[Entry], roster: Mapping[str, Person]) -> tuple[Row, ...]:
    """The ledger's jobs with the persons that they belong to."""
    known = {entry.id: Person(entry.name, entry.number) for entry in entries}
    return tuple(
        Row(job.id, job.state, roster.get(job.id) or known.get(job.id, Person()), job.result) for job in jobs
    )


def read_roster(file: Path) -> dict[str, Person]:
    """A CSV with the columns `id` and any of `name`, `number`, `email`; by id."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if "id" not in (reader.fieldnames or ()):
                raise WrongUse(
                    f"{file} has no column 'id'.",
                    cure="Its first line names the columns: id,name,number,email",
                )
            return {
                line["id"]: Person(
                    *((line.get(column) or "").strip() for column in ("name", "number", "email"))
                )
                for line in reader
                if line["id"]
            }
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise NotFound(
            f"The roster {file} can't be read: {error}.", cure="Give a CSV file in UTF-8."
        ) from error


@dataclass(frozen=True)
class Trouble:
    """A check that failed, how often, and the messages that were given most, each with its count."""

    check: str
    title: str
    count: int
    codes: tuple[tuple[str, int, str], ...]  # code, how often, one message of it


@dataclass(frozen=True)
class Overview:
    """What a teacher asks first."""

    verdicts: dict[str, int]
    refused: tuple[tuple[str, int], ...]  # why submissions were refused at the door, and how often
    distribution: tuple[tuple[str, int], ...]  # a tenth of the points each
    troubles: tuple[Trouble, ...]  # the most frequent first
    twins: tuple[tuple[str, ...], ...]  # ids of submissions whose files are the same


def overview(book: Book) -> Overview:
    """Verdicts, distribution, the checks that failed most with their commonest messages, equal submissions."""
    graded = [row for row in book.rows if row.score is not None]
    tenths = (
        Counter(min(int((row.score or 0) / book.max_score * 10), 9) for row in graded)
        if book.max_score
        else Counter()
    )
    failed: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    by_digest: dict[str, list[str]] = defaultdict(list)
    refused: Counter[str] = Counter()
    for row in graded:
        result = row.result or {}
        if str(result.get("submission_digest")).startswith("refused"):
            refused[str(row.checks[0]["message"])] += 1
            continue
        by_digest[str(result.get("submission_digest"))].append(row.id)
        for check in row.checks:
            if check["outcome"] in ("fail", "error"):
                failed[check["id"]].append(check)
    troubles = [
        Trouble(id_, title, len(failed[id_]), _codes(failed[id_]))
        for id_, title in book.checks.items()
        if failed[id_]
    ]
    return Overview(
        dict(Counter(row.verdict for row in book.rows)),
        tuple(refused.most_common()),
        tuple((f"{tenth * 10} to {tenth * 10 + 10} %", tenths[tenth]) for tenth in range(10)),
        tuple(sorted(troubles, key=lambda trouble: -trouble.count)),
        tuple(tuple(ids) for ids in by_digest.values() if len(ids) > 1),
    )


def _codes(checks: list[Mapping[str, Any]]) -> tuple[tuple[str, int, str], ...]:
    counted = Counter(str(check["code"]) for check in checks)
    first = {str(check["code"]): str(check["message"]) for check in reversed(checks)}
    return tuple((code, count, first[code]) for code, count in counted.most_common(3))
