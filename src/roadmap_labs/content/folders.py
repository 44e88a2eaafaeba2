"""Where labs, services and scaffolds lie, by their folders' names. Opens no file, so that completion is quick.

The shelf is the checkout's own folders, or the copies that travel in the wheel; ROADMAP_LABS_PATH (like PATH) names
places that are searched before.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from roadmap_labs.errors import CannotWrite, NotFound

_VARIABLE = "ROADMAP_LABS_PATH"
_PACKAGE = Path(__file__).resolve().parent.parent


def _roots() -> tuple[Path, ...]:
    own = _PACKAGE / "shelf"
    ours = own if own.is_dir() else _PACKAGE.parent.parent
    extra = os.environ.get(_VARIABLE, "")
    return (*(Path(part) for part in extra.split(os.pathsep) if part), ours)


def search_first(place: Path) -> None:
    """Put a place before all others, for this process and those that it starts."""
    rest = os.environ.get(_VARIABLE, "")
    os.environ[_VARIABLE] = os.pathsep.join(part for part in (str(place.resolve()), rest) if part)


def shelf_of_ours(place: Path | None) -> Path:
    """Where a new lab belongs: the place that was named, else the checkout; `CannotWrite` where there is none."""
    if place is not None:
        return place
    ours = _roots()[-1]
    if not (ours / "pyproject.toml").is_file():
        raise CannotWrite(
            "The labs of an installed roadmap-labs are not to be written to.",
            cure="Name a folder:  --labs-path DIR",
        )
    return ours


def place_of(kind: str, name: str, file: str) -> Path | None:
    """The folder `kind`/`name` that has this file, in the first place that has one."""
    found = (root / kind / name for root in _roots())
    return next((folder for folder in found if (folder / file).is_file()), None)


def known(kind: str, file: str) -> tuple[str, ...]:
    """All names of a kind, sorted."""
    found = {path.parent.name for root in _roots() for path in (root / kind).glob(f"*/{file}")}
    return tuple(sorted(found))


def slugs() -> tuple[str, ...]:
    """All labs on the shelf."""
    return known("labs", "lab.yaml")


def lab_folder(slug: str) -> Path:
    """The folder of a lab; `NotFound` suggests near misses."""
    folder = place_of("labs", slug, "lab.yaml")
    if folder is None:
        close = difflib.get_close_matches(slug, slugs(), n=3, cutoff=0.6)
        meant = f" Did you mean {' or '.join(close)}?" if close else ""
        raise NotFound(f"There is no lab '{slug}'.{meant}", cure="All labs:  roadmap-labs list")
    return folder
