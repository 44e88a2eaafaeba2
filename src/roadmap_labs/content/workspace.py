"""The learner's folder: made from a starter, found again from inside, its files put back. Knows nothing of the engine.

`.roadmap/` in it holds what roadmap-labs remembers: which lab this is, the files as they were given (`base/`), what
was replaced (`backup/`), and the learner's progress. Whoever carries the folder elsewhere carries that along.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadmap_labs.content.rendering import write_files
from roadmap_labs.errors import CannotWrite, NotFound, WrongUse
from roadmap_labs.files import File

FOLDER = ".roadmap"


@dataclass(frozen=True)
class Workspace:
    """A learner's folder with the lab and the scaffold that it was made from."""

    folder: Path
    lab: str
    lab_version: str
    scaffold: str

    @property
    def id(self) -> str:
        """Names this folder on this machine: ten hex digits of its path's hash."""
        return workspace_id(self.folder)


def workspace_id(folder: Path) -> str:
    """Ten hex digits that name a folder on this machine."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:10]


def find(start: Path) -> Workspace | None:
    """The workspace that `start` lies in, if any."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FOLDER / "workspace.json").is_file():
            return _read(folder)
    return None


def require(start: Path) -> Workspace:
    """The workspace that `start` lies in; `NotFound` says how to make or name one."""
    found = find(start)
    if found is None:
        raise NotFound(
            f"{start} is not inside a workspace of roadmap-labs.",
            cure="Go into one, name it with -C DIR, or make one:  roadmap-labs start LAB",
        )
    return found


def _read(folder: Path) -> Workspace:
    file = folder / FOLDER / "workspace.json"
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        return Workspace(folder, str(facts["lab"]), str(facts["lab_version"]), str(facts["scaffold"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotFound(
            f"{file} can't be read: {error}.",
            cure=f"Move your work to a new folder and make the workspace again; the broken file is {file}.",
            fault="your machine",
        ) from error


def create(folder: Path, lab: str, lab_version: str, scaffold: str, files: tuple[File, ...]) -> Workspace:
    """Make a workspace in a folder that is missing or empty; a foreign folder is never touched."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotWrite(
            f"{folder} is not empty and no workspace of roadmap-labs; nothing was written.",
            cure=f"Name another folder:  roadmap-labs start {lab} DIR",
            fault="your command",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _cannot(folder, error) from error
    try:
        write_files(files, staging)
        write_files(files, staging / FOLDER / "base")
        facts = {"format": 1, "lab": lab, "lab_version": lab_version, "scaffold": scaffold}
        (staging / FOLDER / "workspace.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        (staging / FOLDER / ".gitignore").write_text("*\n", encoding="utf-8")
        staging.chmod(0o755)
        staging.replace(folder)  # replaces an empty folder too, and fails on one that has filled meanwhile
    except OSError as error:
        raise _cannot(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Workspace(folder.resolve(), lab, lab_version, scaffold)


def put_back(workspace: Workspace, path: str) -> Path:
    """Put one file back as it was given; the learner's version goes to `.roadmap/backup/` and its place is returned."""
    target = (workspace.folder / path).resolve()
    if not target.is_relative_to(workspace.folder):
        raise WrongUse(f"{path} is outside {workspace.folder}.", cure="Name a file of the workspace.")
    name = target.relative_to(workspace.folder)
    original = workspace.folder / FOLDER / "base" / name
    if not original.is_file():
        raise NotFound(
            f"{name} did not come with the starter.",
            cure=f"Given files:  ls {workspace.folder / FOLDER / 'base'}",
        )
    backup = workspace.folder / FOLDER / "backup" / time.strftime("%Y%m%d-%H%M%S") / name
    try:
        if target.exists():
            backup.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(target, backup)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text_whole(target, original.read_bytes())
    except OSError as error:
        raise _cannot(target, error) from error
    return backup


def write_text_whole(target: Path, content: bytes) -> None:
    """Replace a file in one step: a reader sees the old or the new bytes, never a part."""
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        staging.write_bytes(content)
        if target.exists():
            shutil.copymode(target, staging)
        staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)


def hints_taken(workspace: Workspace) -> Mapping[str, int]:
    """How many hints of each task were shown so far."""
    taken = _progress(workspace).get("hints", {})
    return {str(task): int(count) for task, count in taken.items()}


def remember_hint(workspace: Workspace, task: str, level: int) -> None:
    """Note that hints up to `level` of a task were shown."""
    progress = _progress(workspace)
    hints = progress.setdefault("hints", {})
    hints[task] = max(level, int(hints.get(task, 0)))
    _keep(workspace, progress)


def remember_check(workspace: Workspace, verdict: str, score: float, outcomes: Mapping[str, str]) -> None:
    """Note a judgement; the latest outcome of each check is kept, and how often the lab was judged."""
    progress = _progress(workspace)
    progress["checks"] = int(progress.get("checks", 0)) + 1
    progress["last"] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "verdict": verdict,
        "score": score,
    }
    progress.setdefault("outcomes", {}).update(outcomes)
    _keep(workspace, progress)


def outcomes(workspace: Workspace) -> Mapping[str, str]:
    """The latest outcome of each check that was ever judged here."""
    return {str(check): str(outcome) for check, outcome in _progress(workspace).get("outcomes", {}).items()}


def _progress(workspace: Workspace) -> dict[str, Any]:
    try:
        loaded = json.loads((workspace.folder / FOLDER / "progress.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _keep(workspace: Workspace, progress: Mapping[str, Any]) -> None:
    file = workspace.folder / FOLDER / "progress.json"
    try:
        write_text_whole(file, (json.dumps(progress, indent=2) + "\n").encode())
    except OSError as error:
        raise _cannot(file, error) from error


def _cannot(path: Path, error: OSError) -> CannotWrite:
    return CannotWrite(
        f"{path} can't be written: {error.strerror or error}.", cure="Free space or choose another folder."
    )
