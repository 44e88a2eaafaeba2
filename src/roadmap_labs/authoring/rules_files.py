"""Rules about the files of a lab: nothing astray, overlays that change something, markers for the learner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from roadmap_labs.authoring.draft import Draft
from roadmap_labs.authoring.flaws import Flaw
from roadmap_labs.content.rendering import solution_files
from roadmap_labs.errors import Problem

_ALONE = {"lab.yaml", "README.md", "proof.json"}
_UNWRITTEN = re.compile(r'\bWRITE: (?P<what>[^"]*[^" .])')
_TODO = re.compile(r"\bTODO\b")


def stray(draft: Draft) -> Iterator[Flaw]:
    """Every file belongs to something."""
    scaffolds = set(draft.manifest.scaffolds) if draft.manifest else set()
    services = set(draft.manifest.services) if draft.manifest else set()
    mutants = {path.parent.name for path in (draft.folder / "mutants").glob("*/mutant.yaml")}
    for file in draft.files:
        parts = file.relative_to(draft.folder).parts
        known = {"starter": scaffolds, "solution": scaffolds, "mutants": mutants, "services": services}
        fits = (
            (len(parts) == 1 and parts[0] in _ALONE)
            or (len(parts) > 2 and parts[1] in known.get(parts[0], ()))
            or (len(parts) == 2 and parts[0] == "checks" and file.suffix == ".py")
        )
        if not fits or file.is_symlink():
            yield Flaw(file, 1, "stray-file", f"{'/'.join(parts)} belongs to nothing.", _where(parts))


def _where(parts: tuple[str, ...]) -> str:
    match parts[0]:
        case "mutants":
            return "A mutant is a folder with a mutant.yaml."
        case "starter" | "solution":
            return f"{parts[0]}/ has one folder for each scaffold that lab.yaml names."
        case "services":
            return "services/ has one folder for each service that lab.yaml names."
    return "Remove it, or move it to the folder that it is for."


def overlays(draft: Draft) -> Iterator[Flaw]:
    """A file of the starter changes the scaffold, and one of the solution changes the starter."""
    for name, scaffold in draft.scaffolds.items():
        starter = draft.starters.get(name, {})
        solution = dict(draft.overlay("solution", name))
        if not solution:
            yield Flaw(draft.folder / "solution", 1, "no-solution", f"There is no solution for {name}.",
                       f"Write solution/{name}/, laid over the starter.")  # fmt: skip
        for path, file in solution.items():
            if path in starter and starter[path].content == file.read_bytes():
                yield Flaw(file, 1, "solution-same", f"{path} is the same in the starter.", "Remove it here.")
        for path, file in draft.overlay("starter", name):
            given = scaffold.tree / path
            if given.is_file() and given.read_bytes() == file.read_bytes():
                yield Flaw(file, 1, "starter-same", f"{path} is the same in the scaffold.", "Remove it here.")


def renders(draft: Draft) -> Iterator[Flaw]:
    """Starter and solution can be made from their layers, with nothing undefined."""
    for name, scaffold in draft.scaffolds.items():
        if draft.lab is not None and name in draft.starters and (draft.folder / "solution" / name).is_dir():
            try:
                solution_files(draft.lab, scaffold)
            except (Problem, UnicodeDecodeError) as problem:
                yield Flaw(draft.folder / "solution" / name, 1, "render", str(problem))


def todos(draft: Draft) -> Iterator[Flaw]:
    """The starter says where the work of each task begins; the solution leaves nothing to be done."""
    tasks = list(draft.manifest.tasks) if draft.manifest else []
    for name in draft.scaffolds:
        text = "\n".join(
            file.content.decode("utf-8", "replace")
            for path, file in draft.starters.get(name, {}).items()
            if path != "README.md"
        )
        for task in tasks:
            if not re.search(rf"TODO {task}\b", text, re.IGNORECASE):
                yield Flaw(
                    draft.folder / "starter" / name,
                    1,
                    "todo-missing",
                    f"No 'TODO {task.upper()}' in the starter.",
                    f"Mark where the work of {task.upper()} begins.",
                )
        for _, file in draft.overlay("solution", name):
            yield from _undone(file)


def _undone(file: Path) -> Iterator[Flaw]:
    for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
        if _TODO.search(line):
            yield Flaw(
                file, number, "todo-left", "The solution has a TODO.", "Do it, or take the marker away."
            )


def unwritten(draft: Draft) -> Iterator[Flaw]:
    """Nothing that `lab new` left for the author is still to be written."""
    for file in draft.files:
        for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
            found = _UNWRITTEN.search(line)
            if found:
                yield Flaw(file, number, "unwritten", f"Still to be written: {found['what']}",
                           "Write it where WRITE stands.")  # fmt: skip


RULES = (stray, overlays, renders, todos, unwritten)
