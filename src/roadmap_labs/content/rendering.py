"""Turns a scaffold and a lab's overlays into the files of a project. Pure: no clock, no host, no engine.

A later layer replaces a file of an earlier one; a file that ends in `.j2` is rendered and loses the suffix, every
other file is copied byte for byte. The same lab gives the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import jinja2

from roadmap_labs.content.shelf import Lab, Scaffold
from roadmap_labs.errors import CannotWrite, InvalidManifest, NotFound
from roadmap_labs.files import File

_JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701
_LEFT_OUT = ("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")


def render_text(template: str, facts: Mapping[str, object], where: str) -> str:
    """Render one string of a manifest; an unknown name is an `InvalidManifest` that says where."""
    try:
        return _JINJA.from_string(template).render(facts)
    except jinja2.TemplateError as error:
        raise InvalidManifest(
            f"{where}: {error}.", cure=f"Known names: {', '.join(sorted(facts))}"
        ) from error


def starter_files(lab: Lab, scaffold: Scaffold) -> tuple[File, ...]:
    """What the learner gets: the scaffold, the lab's starter over it, and the assignment as README.md."""
    layers = [scaffold.tree, lab.folder / "starter" / scaffold.name]
    files = _layered(layers, lab)
    readme = lab.folder / "README.md"
    files["README.md"] = File("README.md", readme.read_bytes())
    return tuple(files[path] for path in sorted(files))


def solution_files(lab: Lab, scaffold: Scaffold) -> tuple[File, ...]:
    """The reference solution: the starter with the lab's solution over it."""
    overlay = lab.folder / "solution" / scaffold.name
    if not overlay.is_dir():
        raise NotFound(
            f"{lab.slug} has no solution for {scaffold.name}.",
            cure="See its solution/ folder.",
            fault="this lab",
        )
    files = {file.path: file for file in starter_files(lab, scaffold)} | _layered([overlay], lab)
    return tuple(files[path] for path in sorted(files))


def _layered(layers: Iterable[Path], lab: Lab) -> dict[str, File]:
    facts = {"lab": lab.slug, "slug": lab.slug, "title": lab.manifest.title}
    files: dict[str, File] = {}
    for layer in layers:
        for file in sorted(layer.rglob("*")) if layer.is_dir() else ():
            if file.is_dir() or any(part in _LEFT_OUT for part in file.parts):
                continue
            path, content = file.relative_to(layer).as_posix(), file.read_bytes()
            if path.endswith(".j2"):
                path = path.removesuffix(".j2")
                content = render_text(content.decode(), facts, str(file)).encode()
            files[path] = File(path, content, bool(file.stat().st_mode & 0o100))
    return files


def write_files(files: Iterable[File], folder: Path) -> None:
    """Write a project's files below a folder that nobody else writes to."""
    try:
        for file in files:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content)
            target.chmod(0o755 if file.executable else 0o644)
    except OSError as error:
        raise CannotWrite(
            f"{folder} can't be written: {error.strerror}.", cure="Choose another folder."
        ) from error
