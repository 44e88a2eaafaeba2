"""Mutants: the solution with one misconception put in, as files. Knows nothing of how they are judged.

A mutant is its `mutant.yaml`, with edits to files of the solution, and any files beside it that replace or add to
the solution's. An edit names whole lines; it must fit in exactly one place, so that a solution that moves on
under it is noticed instead of silently proving something else.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadmap_labs.content.manifest import Edit, MutantManifest, load
from roadmap_labs.content.rendering import solution_files
from roadmap_labs.content.shelf import Lab, load_scaffold
from roadmap_labs.errors import InvalidManifest
from roadmap_labs.files import File, read_folder

MANIFEST = "mutant.yaml"


@dataclass(frozen=True)
class Mutant:
    """One mutant of a lab; its id is its folder's name."""

    id: str
    folder: Path
    manifest: MutantManifest

    def scaffold(self, lab: Lab) -> str:
        """The scaffold whose solution it changes."""
        return self.manifest.scaffold or lab.manifest.scaffolds[0]


def mutant_folders(lab_folder: Path) -> tuple[Path, ...]:
    """The folders that hold a mutant, sorted by name."""
    return tuple(sorted(file.parent for file in (lab_folder / "mutants").glob(f"*/{MANIFEST}")))


def load_mutants(lab: Lab) -> tuple[Mutant, ...]:
    """All mutants of a lab, sorted by id; `InvalidManifest` where one of them can't be read."""
    return tuple(load_mutant(folder) for folder in mutant_folders(lab.folder))


def load_mutant(folder: Path) -> Mutant:
    """One mutant."""
    return Mutant(folder.name, folder, load(MutantManifest, folder / MANIFEST))


def mutant_files(lab: Lab, mutant: Mutant, solution: Sequence[File] | None = None) -> tuple[File, ...]:
    """What is judged: the solution's files with the mutant's over them; `solution` saves rendering it again."""
    if solution is None:
        solution = solution_files(lab, load_scaffold(mutant.scaffold(lab)))
    files = {file.path: file for file in solution}
    for edit in mutant.manifest.edits:
        files[edit.file] = _edited(mutant, files.get(edit.file), edit)
    files |= {file.path: file for file in read_folder(mutant.folder) if file.path != MANIFEST}
    return tuple(files[path] for path in sorted(files))


def _edited(mutant: Mutant, file: File | None, edit: Edit) -> File:
    where = mutant.folder / MANIFEST
    first = edit.old.strip().splitlines()[0].strip() if edit.old.strip() else ""
    if file is None:
        raise InvalidManifest(
            f"{where}: the solution has no file {edit.file}.", cure="Name a file that it has."
        )
    lines, old = file.content.decode().splitlines(), _dedented(edit.old)
    places = [place for place in range(len(lines)) if _dedented_lines(lines[place : place + len(old)]) == old]
    if len(places) != 1:
        found = "nowhere" if not places else f"in {len(places)} places"
        raise InvalidManifest(
            f"{where}: the edit that begins with '{first}' fits {found} in the solution's {edit.file}.",
            cure="Copy the lines anew from the solution, as many as make them unique.",
        )
    start = places[0]
    margin = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
    new = [margin + line if line else "" for line in _dedented(edit.new)]
    changed = "\n".join([*lines[:start], *new, *lines[start + len(old) :]]) + "\n"
    return File(file.path, changed.encode(), file.executable)


def _dedented(text: str) -> list[str]:
    return _dedented_lines(text.strip("\n").splitlines())


def _dedented_lines(lines: Sequence[str]) -> list[str]:
    return [line.rstrip() for line in textwrap.dedent("\n".join(lines)).split("\n")] if lines else []
