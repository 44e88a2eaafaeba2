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
DEEPEST = 20

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


class Intake:
    """Collects files one by one and refuses the first beyond a limit; knows nothing of where they come from."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        self._folded: dict[str, str] = {}
        self._bytes = 0

    def wants(self, path: str, size: int = 0) -> bool:
        """Whether this file is to be read at all; raises `BadSubmission` where it must not even be looked at."""
        parts = path.split("/")
        if any(part in LEFT_OUT for part in parts):
            return False
        refuse_name(path)
        if any(part in ("", ".", "..") for part in parts) or "\\" in path or ":" in parts[0]:
            raise refused(f"the path {shown(path)} leads out of the folder")
        if len(parts) > DEEPEST:
            raise refused(f"{shown(path)} lies more than {DEEPEST} folders deep")
        twin = self._folded.get(path.casefold())
        if twin is not None:
            raise refused(
                f"{shown(path)} is there twice"
                if twin == path
                else f"{shown(twin)} and {shown(path)} differ in case only"
            )
        if len(self._files) >= MOST_FILES:
            raise refused(f"more than {MOST_FILES} files")
        if self._bytes + size > MOST_BYTES:
            raise refused(f"over {MOST_BYTES // 1024 // 1024} MiB in all, reached at {shown(path)}")
        return True

    def add(self, path: str, content: bytes, *, executable: bool) -> None:
        """Keep a file that is wanted."""
        self._bytes += len(content)
        if self._bytes > MOST_BYTES:
            raise refused(f"over {MOST_BYTES // 1024 // 1024} MiB in all, reached at {shown(path)}")
        self._files[path] = File(path, content, executable)
        self._folded[path.casefold()] = path

    def whole(self) -> tuple[File, ...]:
        """All of them; an empty folder is refused."""
        if not self._files:
            raise refused("the folder is empty")
        return tuple(self._files.values())


def take_in(folder: Path) -> Submission:
    """Read a folder; raises `BadSubmission` (code L-SUBM) that names the first thing it refuses."""
    if not folder.is_dir():
        raise NotFound(
            f"There is no folder {folder}.", cure="Name the folder with your work:  roadmap-labs check DIR"
        )
    intake = Intake()
    for path, status in _walk(folder, ""):
        if intake.wants(path, status.st_size):
            content = _read(folder / path, path)
            intake.add(path, content, executable=bool(status.st_mode & 0o100))
    return submission_of(intake.whole())


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise refused(f"{shown(prefix or '.')} can't be read: {error.strerror}") from error
    for entry in entries:
        if entry.name in LEFT_OUT:
            continue
        path = prefix + entry.name
        refuse_name(path)
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(folder / entry.name, path + "/")
        elif stat.S_ISREG(status.st_mode):
            yield path, status
        else:
            what = "symbolic link" if stat.S_ISLNK(status.st_mode) else "special file"
            raise refused(f"{what} {shown(path)}")


def refuse_name(path: str) -> None:
    """Refuse a path that is too long or that can't be printed."""
    try:
        size = len(path.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise refused(f"the name {shown(path)} is not UTF-8") from error
    if size > LONGEST_PATH:
        raise refused(f"the path {shown(path)} is longer than {LONGEST_PATH} bytes")
    if not path.isprintable():
        raise refused(f"the name {shown(path)} has a character that can't be printed")


def _read(file: Path, path: str) -> bytes:
    # Not followed and not waited for: between the look and this open somebody may have put a link or a pipe here.
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise refused(f"{shown(path)} can't be read: {error.strerror}") from error
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise refused(f"special file {shown(path)}")
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise refused(f"{shown(path)} is over {MOST_BYTES // 1024 // 1024} MiB")
    return content


def shown(path: str) -> str:
    """A path that strangers made, fit for a message."""
    return path.encode("unicode_escape", "surrogateescape").decode("ascii", "replace")[:LONGEST_PATH]


def refused(reason: str) -> BadSubmission:
    """The refusal of a submission, with the cure that holds for all of them."""
    return BadSubmission(
        f"L-SUBM: refused: {reason}.",
        cure="Only regular files are taken; tools' folders (.git, node_modules, …) are left out by themselves.",
    )
