"""Finds labs, services and scaffolds on disk and reads them whole. Knows nothing of Docker or pytest.

The shelf is the checkout's own folders, or the copies that travel in the wheel. A lab is a folder of data: nothing
outside that folder names it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from roadmap_labs.content.folders import known, lab_folder, place_of
from roadmap_labs.content.manifest import LabManifest, ScaffoldManifest, ServiceManifest, load
from roadmap_labs.errors import InvalidManifest
from roadmap_labs.model import Check


@dataclass(frozen=True)
class Service:
    """A service of the shelf: its manifest, and the folder with the recipe of its image."""

    name: str
    folder: Path
    manifest: ServiceManifest

    @property
    def image_folder(self) -> Path:
        return self.folder / "image"


@dataclass(frozen=True)
class Scaffold:
    """A scaffold of the shelf: its manifest and its tree; the recipe of its image may be another's."""

    name: str
    folder: Path
    manifest: ScaffoldManifest

    @property
    def image_name(self) -> str:
        """The scaffold whose image runs this tree: mostly its own."""
        return self.manifest.image_of or self.name

    @property
    def tree(self) -> Path:
        return self.folder / "tree"


@dataclass(frozen=True)
class Lab:
    """One lab, read whole; `checks` are in the manifest's order with their titles."""

    slug: str
    folder: Path
    manifest: LabManifest
    services: dict[str, Service]  # by the name that the lab gives them
    hosts: dict[str, Service]  # by the name of the role that runs in one
    checks: tuple[Check, ...]

    @property
    def checks_folder(self) -> Path:
        return self.folder / "checks"

    @property
    def max_score(self) -> float:
        return sum(check.points for check in self.checks)


def load_manifest(slug: str) -> LabManifest:
    """lab.yaml alone: enough for `list`."""
    return load(LabManifest, lab_folder(slug) / "lab.yaml")


@cache
def load_lab(slug: str) -> Lab:
    """One lab whole, checked against its own checks folder; `InvalidManifest` names all that does not fit."""
    folder = lab_folder(slug)
    manifest = load(LabManifest, folder / "lab.yaml")
    services = {name: load_service(use.recipe) for name, use in manifest.services.items()}
    hosts = {name: load_service(role.runs_in) for name, role in manifest.roles.items() if role.runs_in}
    titles = check_titles(folder / "checks")
    promised = [
        (check, task, points)
        for task, body in manifest.tasks.items()
        for check, points in body.checks.items()
    ]
    problems = _mismatches(folder, titles, [check for check, _, _ in promised])
    if problems:
        raise InvalidManifest(
            "\n".join(problems), cure="Each check stands once in lab.yaml and once in checks/."
        )
    checks = tuple(Check(check, task, titles[check], float(points)) for check, task, points in promised)
    return Lab(slug, folder, manifest, services, hosts, checks)


def _mismatches(folder: Path, titles: Mapping[str, str], promised: Sequence[str]) -> list[str]:
    """What the manifest promises and the checks folder lacks, and the other way round."""
    manifest, checks = folder / "lab.yaml", folder / "checks"
    lacking = [
        f"{manifest}: no function test_{check} in checks/." for check in promised if check not in titles
    ]
    twice = [f"{manifest}: {check} is in two tasks." for check in set(promised) if promised.count(check) > 1]
    extra = [
        f"{checks}: test_{check} is in no task of lab.yaml." for check in titles if check not in promised
    ]
    mute = [f"{checks}: test_{check} has no docstring." for check in titles if not titles[check]]
    return [*lacking, *twice, *extra, *mute]


@cache
def load_service(name: str) -> Service:
    """A service by the name of its recipe."""
    folder = place_of("services", name, "service.yaml")
    if folder is None:
        raise InvalidManifest(
            f"There is no service '{name}'.", cure=f"Known: {', '.join(known('services', 'service.yaml'))}"
        )
    return Service(name, folder, load(ServiceManifest, folder / "service.yaml"))


def scaffold_image(scaffold: Scaffold) -> Path:
    """The folder with the recipe of the image that runs this scaffold's tree."""
    return load_scaffold(scaffold.image_name).folder / "image"


@cache
def load_scaffold(name: str) -> Scaffold:
    """A scaffold by name."""
    folder = place_of("scaffolds", name, "scaffold.yaml")
    if folder is None:
        names = ", ".join(known("scaffolds", "scaffold.yaml"))
        raise InvalidManifest(f"There is no scaffold '{name}'.", cure=f"Known: {names}")
    return Scaffold(name, folder, load(ScaffoldManifest, folder / "scaffold.yaml"))


def check_titles(folder: Path) -> dict[str, str]:
    """Check ids and the first line of their docstrings, read from the syntax tree; nothing is imported."""
    titles: dict[str, str] = {}
    for file in sorted(folder.glob("test_*.py")):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        except SyntaxError as error:
            raise InvalidManifest(f"{file}:{error.lineno}: this is not Python: {error.msg}.") from error
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                titles[node.name.removeprefix("test_")] = (ast.get_docstring(node) or "").split("\n")[0]
    return titles
