"""Finds the submissions in a teacher's folder: one entry each, or a bulk download of Moodle or Canvas. Reads none.

The names are hostile, too: an id is what a person reads in the gradebook, a stem is what a file may be called.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from roadmap_labs.content.archives import SUFFIXES
from roadmap_labs.errors import NotFound, WrongUse

# "Full Name_1234567_assignsubmission_file_": what Moodle's "download all submissions" makes of each participant.
_MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_(file|onlinetext)(_.*)?")
# "lastnamefirstname_LATE_12345_67890_work.zip": Canvas, with the user's and the upload's numbers.
_CANVAS = re.compile(r"(?P<name>[^_]+)_(?:LATE_)?(?P<number>\d+)_\d+_(?P<file>.+)")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Entry:
    """One submission: what it is called, where it lies, and the person, as far as the download tells."""

    id: str
    source: Path
    name: str = ""
    number: str = ""  # the person's (Canvas) or the participant's (Moodle) number

    @property
    def stem(self) -> str:
        """A file name for what belongs to it; another id gives another one."""
        if _PLAIN.fullmatch(self.id):
            return self.id
        mark = hashlib.sha256(self.id.encode("utf-8", "surrogateescape")).hexdigest()[:10]
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", self.id)[:60].strip("-.")
        return f"{plain or 'entry'}-{mark}"


def entries(folder: Path) -> tuple[Entry, ...]:
    """All submissions, in the order of their names; `WrongUse` where two would be called the same."""
    if not folder.is_dir():
        raise NotFound(
            f"There is no folder {folder}.", cure="Name the folder that holds one entry per submission."
        )
    found = [_entry(path) for path in sorted(folder.iterdir()) if _counts(path)]
    if not found:
        raise NotFound(
            f"{folder} holds no submission.",
            cure=f"One folder, or one file ({', '.join(SUFFIXES)}), for each.",
        )
    _refuse_twins(found)
    return tuple(found)


def _counts(path: Path) -> bool:
    return not path.name.startswith(".") and (
        path.is_symlink() or path.is_dir() or _suffix(path.name) is not None
    )


def _suffix(name: str) -> str | None:
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)


def _entry(path: Path) -> Entry:
    # A name that is no UTF-8 can't stand in a database or a document: what is wrong in it is shown as such.
    name = path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    suffix = None if path.is_dir() else _suffix(name)
    bare = name[: -len(suffix)] if suffix else name
    moodle = _MOODLE.fullmatch(bare)
    if moodle is not None:
        return Entry(f"{moodle['name']}-{moodle['number']}", path, moodle["name"], moodle["number"])
    canvas = _CANVAS.fullmatch(name) if suffix else None
    if canvas is not None:
        return Entry(f"{canvas['name']}-{canvas['number']}", path, canvas["name"], canvas["number"])
    return Entry(bare, path)


def _refuse_twins(found: Iterable[Entry]) -> None:
    seen: dict[str, Path] = {}
    for entry in found:
        before = seen.setdefault(entry.id.casefold(), entry.source)
        if before != entry.source:
            raise WrongUse(
                f"{before.name!r} and {entry.source.name!r} are both the submission {entry.id!r}.",
                cure="Keep one of them, then run the command again.",
            )
