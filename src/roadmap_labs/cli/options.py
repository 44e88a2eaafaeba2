"""Options that several commands share, and what they are resolved to. Knows no verb."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from roadmap_labs.cli import edge, screen
from roadmap_labs.errors import WrongUse

_elsewhere: list[Path] = []  # the root's -C, for the command that follows it

_labs_path: list[Path] = []  # the root's --labs-path


def remember_elsewhere(folder: Path | None) -> None:
    """Keep what `roadmap-labs -C DIR …` said."""
    _elsewhere[:] = [folder] if folder else []


def remember_labs(place: Path | None) -> None:
    """Keep what `roadmap-labs --labs-path DIR …` said."""
    if place is not None:
        from roadmap_labs.content import folders

        if not place.is_dir():
            raise WrongUse(f"There is no folder {place}.", cure="Make it, then run the command again.")
        folders.search_first(place)
        _labs_path[:] = [place]


def labs_path() -> Path | None:
    """The place that was named for labs, if any."""
    return _labs_path[0] if _labs_path else None


def here(own: Path | None = None) -> Path:
    """The folder that a command works in: its own argument, else -C, else the current one."""
    base_folder = _elsewhere[0] if _elsewhere else Path()
    folder = base_folder / own if own is not None else base_folder
    if not folder.is_dir():
        raise WrongUse(f"There is no folder {folder}.", cure="Name an existing folder.")
    return folder.resolve()


def complete_labs(incomplete: str) -> list[str]:
    """Lab slugs for the shell; reads folder names only."""
    from roadmap_labs.content import folders

    return [slug for slug in folders.slugs() if slug.startswith(incomplete)]


def complete_services(incomplete: str) -> list[str]:
    """Names of services and roles of the workspace that the shell stands in; asks no engine."""
    from roadmap_labs.content import shelf, workspace

    found = workspace.find(Path())
    if found is None:
        return []
    manifest = shelf.load_manifest(found.lab)
    return [name for name in (*manifest.services, *manifest.roles) if name.startswith(incomplete)]


def teller(progress: screen.Progress) -> Callable[[str, str], None]:
    """What verbs call with a phase, or with a step of it; the way to stop a long build, too."""

    def tell(phase: str, step: str) -> None:
        edge.stop_if_interrupted()
        if step:
            progress.step(step)
        else:
            progress.phase(phase)

    return tell


def time_factor() -> float:
    """LAB_TIME_FACTOR stretches our own waiting on a slow machine, never a limit of the learner's."""
    try:
        return min(max(float(os.environ.get("LAB_TIME_FACTOR", "1")), 1.0), 20.0)
    except ValueError:
        return 1.0


Elsewhere = Annotated[
    Path | None, typer.Option("-C", metavar="DIR", help="Work as if started in DIR.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
LabName = Annotated[
    str,
    typer.Argument(
        metavar="LAB", help="A lab's name, see `roadmap-labs list`.", autocompletion=complete_labs
    ),
]
ServiceName = Annotated[
    str,
    typer.Argument(metavar="SERVICE", help="A service or role of the lab.", autocompletion=complete_services),
]
