"""A lab's folder as its author left it, read for lint: whatever can be read is there, whatever can't is a flaw.

Knows no rule; a draft may be of a lab that no learner could start yet.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from roadmap_labs.authoring.flaws import Flaw
from roadmap_labs.content import folders, shelf
from roadmap_labs.content.manifest import LabManifest, load
from roadmap_labs.content.mutants import MANIFEST, Mutant, load_mutant
from roadmap_labs.content.rendering import starter_files
from roadmap_labs.content.shelf import Lab, Scaffold, Service
from roadmap_labs.content.strict_yaml import Document, read
from roadmap_labs.errors import InvalidManifest, Problem
from roadmap_labs.files import File

_PLACE = re.compile(r"^(?P<file>/.+?):(?P<line>\d+)(?::\d+)?: (?P<sentence>.+)$")


@dataclass(frozen=True)
class CheckFunction:
    """A check as it stands in the checks folder."""

    id: str
    file: Path
    line: int
    docstring: str


@dataclass
class Draft:
    """What lint knows of a lab. `flaws` are those that were met while reading."""

    slug: str
    folder: Path
    manifest: LabManifest | None = None
    document: Document | None = None
    services: dict[str, Service] = field(default_factory=dict)
    hosts: dict[str, Service] = field(default_factory=dict)
    scaffolds: dict[str, Scaffold] = field(default_factory=dict)
    checks: tuple[CheckFunction, ...] = ()
    mutants: tuple[Mutant, ...] = ()
    trees: dict[Path, ast.Module] = field(default_factory=dict)  # of every Python file that parses
    flaws: list[Flaw] = field(default_factory=list)

    @property
    def manifest_file(self) -> Path:
        return self.folder / "lab.yaml"

    @property
    def readme(self) -> Path:
        return self.folder / "README.md"

    def line(self, *path: str | int) -> int:
        """The line of lab.yaml in which a value stands."""
        return self.document.place(path).line if self.document else 1

    @cached_property
    def lab(self) -> Lab | None:
        """The lab as rendering takes it; None where its manifest is broken."""
        if self.manifest is None:
            return None
        return Lab(self.slug, self.folder, self.manifest, self.services, self.hosts, ())

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every file of the folder, without what tools leave behind."""
        found = sorted(path for path in self.folder.rglob("*") if not path.is_dir())
        return tuple(path for path in found if not any("cache__" in part for part in path.parts))

    @cached_property
    def starters(self) -> Mapping[str, Mapping[str, File]]:
        """The learner's files by scaffold and path, of every scaffold that renders."""
        found: dict[str, dict[str, File]] = {}
        for name, scaffold in self.scaffolds.items():
            if self.lab is not None and self.readme.is_file():
                try:
                    found[name] = {file.path: file for file in starter_files(self.lab, scaffold)}
                except (Problem, UnicodeDecodeError) as problem:
                    self.flaws.append(Flaw(self.folder / "starter" / name, 1, "render", str(problem)))
        return found

    def overlay(self, kind: str, scaffold: str) -> Iterator[tuple[str, Path]]:
        """The files of starter/<scaffold> or solution/<scaffold>: the path that they get, and where they lie."""
        layer = self.folder / kind / scaffold
        for file in self.files:
            if file.is_relative_to(layer):
                yield file.relative_to(layer).as_posix().removesuffix(".j2"), file


def read_draft(slug: str) -> Draft:
    """Read all of a lab that can be read; raises only where there is no such lab."""
    draft = Draft(slug, folders.lab_folder(slug).resolve())
    with _noted(draft, "manifest", draft.manifest_file):
        draft.manifest = load(LabManifest, draft.manifest_file)
    with _noted(draft, "manifest", draft.manifest_file):
        draft.document = read(draft.manifest_file)
    if draft.manifest is not None:
        for name, use in draft.manifest.services.items():
            with _noted(draft, "service", draft.manifest_file, draft.line("services", name)):
                draft.services[name] = shelf.load_service(use.recipe)
        for name, role in draft.manifest.roles.items():
            with _noted(draft, "service", draft.manifest_file, draft.line("roles", name)):
                if role.runs_in:
                    draft.hosts[name] = shelf.load_service(role.runs_in)
        for name in draft.manifest.scaffolds:
            with _noted(draft, "scaffold", draft.manifest_file, draft.line("scaffolds")):
                draft.scaffolds[name] = shelf.load_scaffold(name)
    _parse(draft)
    draft.checks = tuple(_checks(draft))
    mutants = []
    for file in draft.files:
        if file.name == MANIFEST and file.parent.parent == draft.folder / "mutants":
            with _noted(draft, "mutant-manifest", file):
                mutants.append(load_mutant(file.parent))
    draft.mutants = tuple(mutants)
    return draft


class _noted:  # noqa: N801 (a context, used as a word)
    """Turns a `Problem` inside the block into flaws, one for each line that names a place."""

    def __init__(self, draft: Draft, rule: str, file: Path, line: int = 1) -> None:
        self._draft, self._rule, self._file, self._line = draft, rule, file, line

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, UnicodeDecodeError):
            error = InvalidManifest(f"{self._file}: this is not UTF-8.")
        if not isinstance(error, Problem):
            return False
        for sentence in error.message.splitlines():
            found = _PLACE.match(sentence)
            if found:
                flaw = Flaw(
                    Path(found["file"]), int(found["line"]), self._rule, found["sentence"], error.cure
                )
            else:
                flaw = Flaw(self._file, self._line, self._rule, sentence, error.cure)
            self._draft.flaws.append(flaw)
        return True


def _parse(draft: Draft) -> None:
    for file in draft.files:
        if file.suffix == ".py":
            try:
                draft.trees[file] = ast.parse(file.read_bytes(), filename=str(file))
            except (SyntaxError, ValueError) as error:
                line = getattr(error, "lineno", None) or 1
                said = getattr(error, "msg", None) or str(error)
                draft.flaws.append(Flaw(file, line, "python", f"This is not Python: {said}."))


def _checks(draft: Draft) -> Iterator[CheckFunction]:
    for file, tree in draft.trees.items():
        if file.parent == draft.folder / "checks" and file.name.startswith("test_"):
            for node in tree.body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    name = node.name.removeprefix("test_")
                    yield CheckFunction(name, file, node.lineno, ast.get_docstring(node) or "")
