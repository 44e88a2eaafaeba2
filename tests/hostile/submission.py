"""What one hostile submission is, and how it gets into a folder. Nothing of it is ever run or imported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from roadmap_labs.content import shelf
from roadmap_labs.content.rendering import starter_files, write_files
from roadmap_labs.files import File

TOYS = Path(__file__).parent.parent / "toy"
LAB = "mirror"
MAIN = "app/__main__.py"
FIRST, STRANGER, KEPT = "t1_words", "t1_stranger", "t2_kept"
# Made of two pieces, so that a program that looks for it does not find itself.
CANARY = "CANARY" + "-"


@dataclass(frozen=True)
class Ground:
    """Places of one run that a submission may aim at: they are looked at afterwards."""

    folder: Path  # where the submission itself is to be written
    marks: Path  # anything that is here afterwards was written by a hostile file that was run on the host
    secret: Path  # a file of the host with a canary in it


@dataclass(frozen=True)
class Hostile:
    """One submission, and all that is expected of its judgement.

    `verdict` is that of the whole; `code` and `says` are of its first check that did not pass; `outcomes` of single
    checks. `build` makes it where files over the starter are not enough.
    """

    row: int
    name: str
    verdict: str = "pass"
    code: str = ""
    says: tuple[str, ...] = ()
    main: str | None = None  # instead of the starter's, after the imports that all of them need
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    build: Callable[[Path], Path] | None = None  # gets a name without suffix, gives what it made
    outcomes: Mapping[str, str] = field(default_factory=dict)
    known_gap: str = ""  # why what is expected is not what happens today
    entry: str = ""  # a name in the folder of submissions that is an attack itself

    @property
    def id(self) -> str:
        return self.entry or f"{self.row:02}-{self.name}"


@cache
def _good() -> tuple[File, ...]:
    lab = shelf.load_lab(LAB)
    return starter_files(lab, shelf.load_scaffold(lab.manifest.scaffolds[0]))


def write_reference(place: Path, notes: str = "") -> Path:
    """The lab's starter, which passes every check."""
    write_files(_good(), place)
    (place / "NOTES").write_text(f"{notes}\n")
    return place


def write_hostile(one: Hostile, ground: Ground) -> Path:
    """Put a hostile submission into its folder, as data."""
    place = ground.folder / one.id
    if one.build is not None:
        return one.build(place)
    write_reference(place)
    files: dict[str, str | bytes] = dict(one.files)
    if one.main is not None:
        files[MAIN] = f"import json, os, signal, socket, sys, threading, time\n{one.main}"
    for path, content in files.items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, bytes) else _aimed(content, ground).encode()
        target.write_bytes(text)
    return place


def _aimed(text: str, ground: Ground) -> str:
    return text.replace("@MARKS@", str(ground.marks)).replace("@SECRET@", str(ground.secret))
