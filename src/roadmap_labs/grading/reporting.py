"""From a ledger to a gradebook and to files in the forms that others read, without judging again. Prints nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadmap_labs.content import shelf
from roadmap_labs.content.workspace import write_text_whole
from roadmap_labs.engine.owner import is_dead
from roadmap_labs.errors import CannotWrite, NotFound, WrongUse
from roadmap_labs.grading.batch import LEDGER, Graded
from roadmap_labs.grading.book import Book, Person, rows
from roadmap_labs.grading.entries import Entry
from roadmap_labs.grading.exports import FORMATS
from roadmap_labs.grading.judging import utc
from roadmap_labs.grading.ledger import Job, Ledger, State

PEOPLE = "people.json"  # who handed in, as the download and the roster told when it was graded


def book_of(
    lab: shelf.Lab, jobs: tuple[Job, ...], entries: tuple[Entry, ...], roster: Mapping[str, Person]
) -> Book:
    """The gradebook of a batch."""
    titles = {check.id: check.title for check in lab.checks}
    return Book(lab.slug, lab.manifest.title, lab.max_score, titles, rows(jobs, entries, roster))


def keep_people(out: Path, graded: Graded, roster: Mapping[str, Person]) -> dict[str, Person]:
    """Remember who handed in what, for reports that are made later; an older roster's people stay."""
    people = read_people(out)
    people |= {entry.id: Person(entry.name, entry.number) for entry in graded.entries if entry.name}
    people |= roster
    write(out / PEOPLE, json.dumps({id_: vars(person) for id_, person in people.items()}, indent=1).encode())
    return people


def read_people(out: Path) -> dict[str, Person]:
    """The people that were kept; none where nothing was."""
    try:
        found = json.loads((out / PEOPLE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {id_: Person(**person) for id_, person in found.items()}


def stored(out: Path) -> tuple[Book, dict[str, bool]]:
    """The gradebook of a folder that was graded into, and the submissions that were judged twice."""
    file = out / LEDGER
    if not file.is_file():
        raise NotFound(
            f"{out} holds no ledger.", cure="Grade first:  roadmap-labs grade LAB SUBMISSIONS --out OUT"
        )
    ledger = Ledger(file, is_dead)
    try:
        batch = ledger.batch()
        lab = shelf.load_lab(batch.lab)
        return book_of(lab, ledger.jobs(), (), read_people(out)), ledger.rechecks()
    finally:
        ledger.close()


def of_one(lab: shelf.Lab, name: str, result: Mapping[str, Any]) -> Book:
    """The gradebook of a single judgement, for `check --report`."""
    state: State = "ungraded" if result["verdict"] == "infra" else "graded"
    ended = time.time()
    moments = {"started_at": utc(ended - float(result["seconds"])), "ended_at": utc(ended)}
    return book_of(lab, (Job(name, "", state, 1, {**result, **moments}),), (), {})


def wanted(words: tuple[str, ...]) -> dict[str, Path]:
    """`FORMAT=PATH` pairs; `WrongUse` for a format that nobody knows."""
    found: dict[str, Path] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or not path:
            raise WrongUse(f"'{word}' is no FORMAT=PATH.", cure="For instance:  --report junit=grades.xml")
        known(name)
        found[name] = Path(path)
    return found


def known(name: str) -> str:
    """The name of a format; `WrongUse` names all of them."""
    if name not in FORMATS:
        raise WrongUse(f"There is no format '{name}'.", cure=f"Known: {', '.join(FORMATS)}")
    return name


def write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        write_text_whole(file, content)
    except OSError as error:
        raise CannotWrite(f"{file} can't be written: {error.strerror}.", cure="Name another file.") from error
