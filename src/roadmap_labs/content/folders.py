"""Where labs, services and scaffolds lie, by their folders' names. Opens no file, so that completion is quick.

The shelf is the checkout's own folders, or the copies that travel in the wheel; ROADMAP_LABS_PATH (like PATH) names
places that are searched before.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from roadmap_labs.errors import NotFound

_PACKAGE = Path(__file__).resolve().parent.parent


def _roots() -> tuple[Path, ...]:
    own = _PACKAGE / "shelf"
    ours = own if own.is_dir() else _PACKAGE.parent.parent
    extra = os.environ.get("ROADMAP_LABS_PATH", "")
    return (*(Path(part) for part in extra.split(os.pathsep) if part), ours)


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
        close = difflib.get_close_matches(slug, slugs(), n=3, cutoff=0.4)
        meant = f" Did you mean {' or '.join(close)}?" if close else ""
        raise NotFound(f"There is no lab '{slug}'.{meant}", cure="All labs:  roadmap-labs list")
    return folder
