"""Takes a folder in as data: regular files only, with limits. Knows nothing of what the files mean, and opens no link.

Every byte of a learner's folder is hostile input. It is read once, hashed and packed again with plain owners, modes
and times; no tool (git, pip, pytest, compose) ever runs on it, and nothing of it becomes a working directory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from roadmap_labs.errors import BadSubmission, NotFound
from roadmap_labs.files import File, digest

MOST_FILES = 2_000
MOST_BYTES = 20 * 1024 * 1024
LONGEST_PATH = 200

# Made by tools on the learner's own machine, never part of the work.
LEFT_OUT = frozenset(
    {
        ".git", ".hg", ".roadmap", ".venv", "venv", "node_modules", "__pycache__", ".pytest_cache", ".mypy_cache",
        ".ruff_cache", ".idea", ".vscode", ".DS_Store", "target",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Submission:
    """A learner's folder as it was at one moment; `digest` names exactly these bytes (sha256, hex)."""

    files: tuple[File, ...]
    digest: str

    @property
    def own_image(self) -> bool:
        """True where the folder brings a Dockerfile of its own."""
        return self.file("Dockerfile") is not None

    def file(self, path: str) -> File | None:
        """One file by its path."""
        return next((file for file in self.files if file.path == path), None)

    def part(self, folder: str) -> Submission:
        """What lies in one of its folders, seen from there; `.` is all of it."""
        if folder == ".":
            return self
        inside = (file for file in self.files if file.path.startswith(f"{folder}/"))
        return submission_of(replace(file, path=file.path.removeprefix(f"{folder}/")) for file in inside)


def submission_of(files: Iterable[File]) -> Submission:
    """A submission of files that are known already."""
    ordered = tuple(sorted(files, key=lambda file: file.path))
    return Submission(ordered, digest(ordered))


def take_in(folder: Path) -> Submission:
    """Read a folder; raises `BadSubmission` (code L-SUBM) that names the first thing it refuses."""
    if not folder.is_dir():
        raise NotFound(
            f"There is no folder {folder}.", cure="Name the folder with your work:  roadmap-labs check DIR"
        )
    files: list[File] = []
    total = 0
    for path, status in _walk(folder, ""):
        if len(files) >= MOST_FILES:
            raise _refused(f"more than {MOST_FILES} files")
        total += status.st_size
        if total > MOST_BYTES:
            raise _refused(f"over {MOST_BYTES // 1024 // 1024} MiB in all, reached at {_shown(path)}")
        content = _read(folder / path, path)
        files.append(File(path, content, bool(status.st_mode & 0o100)))
    if not files:
        raise _refused("the folder is empty")
    return submission_of(files)


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise _refused(f"{_shown(prefix or '.')} can't be read: {error.strerror}") from error
    for entry in entries:
        if entry.name in LEFT_OUT:
            continue
        path = prefix + entry.name
        _refuse_name(path)
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(folder / entry.name, path + "/")
        elif stat.S_ISREG(status.st_mode):
            yield path, status
        else:
            what = "symbolic link" if stat.S_ISLNK(status.st_mode) else "special file"
            raise _refused(f"{what} {_shown(path)}")


def _refuse_name(path: str) -> None:
    try:
        size = len(path.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise _refused(f"the name {_shown(path)} is not UTF-8") from error
    if size > LONGEST_PATH:
        raise _refused(f"the path {_shown(path)} is longer than {LONGEST_PATH} bytes")
    if not path.isprintable():
        raise _refused(f"the name {_shown(path)} has a character that can't be printed")


def _read(file: Path, path: str) -> bytes:
    # Not followed and not waited for: between the look and this open somebody may have put a link or a pipe here.
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(f"{_shown(path)} can't be read: {error.strerror}") from error
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise _refused(f"special file {_shown(path)}")
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise _refused(f"{_shown(path)} is over {MOST_BYTES // 1024 // 1024} MiB")
    return content


def _shown(path: str) -> str:
    return path.encode("unicode_escape", "surrogateescape").decode("ascii", "replace")[:LONGEST_PATH]


def _refused(reason: str) -> BadSubmission:
    return BadSubmission(
        f"L-SUBM: refused: {reason}.",
        cure="Only regular files are taken; tools' folders (.git, node_modules, …) are left out by themselves.",
    )
