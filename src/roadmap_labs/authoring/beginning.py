"""Writes the beginning of a new lab: a small one that runs, in which every file explains what goes where.

What the author still has to write is marked with WRITE; `lab lint` lists those lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import jinja2

from roadmap_labs.content import folders, shelf
from roadmap_labs.content.rendering import write_files
from roadmap_labs.errors import CannotWrite, NotFound, WrongUse
from roadmap_labs.files import File

_KIT = Path(__file__).with_name("kit")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# Other marks than the labs' own templates have, which stand in these files.
_JINJA = jinja2.Environment(
    undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False,  # noqa: S701
    variable_start_string="[[", variable_end_string="]]", block_start_string="[%", block_end_string="%]",
)  # fmt: skip


@dataclass(frozen=True)
class Beginning:
    """What the new lab is to be called and to stand on."""

    slug: str
    topic: str
    services: tuple[str, ...]
    scaffold: str


def begin(wanted: Beginning, place: Path | None) -> Path:
    """Write the lab below `place`/labs (our own shelf where none is named); returns its folder.

    `WrongUse` for a name that can't be, `NotFound` for a service or a scaffold that nobody has, `CannotWrite` where a
    lab of that name exists.
    """
    for name in (wanted.slug, wanted.topic):
        if not _SLUG.fullmatch(name):
            raise WrongUse(f"'{name}' is no slug.", cure="Small letters, digits and single hyphens.")
    for service in wanted.services:
        _known("services", service, "service.yaml")
    _known("scaffolds", wanted.scaffold, "scaffold.yaml")
    folder = folders.shelf_of_ours(place) / "labs" / wanted.slug
    if folder.exists():
        raise CannotWrite(f"{folder} exists already.", cure="Choose another name, or remove it.")
    write_files(_files(wanted), folder)
    shelf.load_lab.cache_clear()
    return folder


def _known(kind: str, name: str, file: str) -> None:
    if name not in folders.known(kind, file):
        raise NotFound(
            f"There is no '{name}' in {kind}.", cure=f"Known: {', '.join(folders.known(kind, file))}"
        )


def _files(wanted: Beginning) -> tuple[File, ...]:
    made = [
        File(path, _rendered(f"lab/{path}.j2", wanted))
        for path in ("lab.yaml", "README.md", "checks/test_t1.py")
    ]
    own = _KIT / wanted.scaffold
    if own.is_dir():
        for layer in ("starter", "solution"):
            for file in sorted((own / layer).rglob("*.j2")):
                path = file.relative_to(own / layer).as_posix().removesuffix(".j2")
                made.append(File(f"{layer}/{wanted.scaffold}/{path}", file.read_bytes()))
        mutant = _rendered("lab/mutants.j2", wanted) + (own / "mutant.j2").read_bytes()
        made.append(File("mutants/m1-the-first-belief/mutant.yaml", mutant))
    return tuple(made)


def _rendered(name: str, wanted: Beginning) -> bytes:
    template = _JINJA.from_string((_KIT / name).read_text(encoding="utf-8"))
    facts = {
        "slug": wanted.slug,
        "topic": wanted.topic,
        "services": wanted.services,
        "scaffold": wanted.scaffold,
    }
    return template.render(facts).encode()
