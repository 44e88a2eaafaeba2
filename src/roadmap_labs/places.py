"""Where roadmap-labs keeps its own files on this machine. Knows nothing of what is in them.

Follows the XDG folders; ROADMAP_LABS_HOME puts all of it below one folder (tests, classrooms).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from roadmap_labs.errors import CannotWrite

_NAME = "roadmap-labs"


def _folder(kind: str) -> Path:
    home = os.environ.get("ROADMAP_LABS_HOME")
    if home:
        folder = Path(home) / kind
    elif kind == "cache":
        folder = Path(platformdirs.user_cache_dir(_NAME))
    else:
        folder = Path(platformdirs.user_state_dir(_NAME))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(
            f"{folder} can't be made: {error.strerror}.",
            cure="Give a folder that can be written in ROADMAP_LABS_HOME.",
        ) from error
    return folder


def cache() -> Path:
    """Files that may be deleted at any time."""
    return _folder("cache")


def state() -> Path:
    """Locks and logs."""
    return _folder("state")


@contextmanager
def locked(name: str, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of this name; other processes wait. `waiting` is called once where somebody else holds it.

    The lock is the kernel's and ends with the process, however it ends.
    """
    folder = state() / "locks"
    safe = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(
            f"{folder} can't be written: {error.strerror}.", cure="Free space there."
        ) from error
    with lock_file(folder / f"{safe}.lock", waiting=waiting):
        yield


@contextmanager
def lock_file(file: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock on a file of ours. `waiting` is called once where somebody else has it, and may raise instead."""
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotWrite(f"{file} can't be written: {error.strerror}.", cure="Free space there.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
