"""Files as values: one noun, one archive, one digest, all the same on every machine. Knows no engine and no lab."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from roadmap_labs.errors import LabBroken

_TIME = 1_700_000_000  # of every entry, so that the same files give the same bytes


@dataclass(frozen=True)
class File:
    """One file: its path with forward slashes, its bytes, and whether it can be executed."""

    path: str
    content: bytes
    executable: bool = False


def read_folder(folder: Path, *, under: str = "") -> tuple[File, ...]:
    """All files of a folder of the shelf, in the order of their names; anything but files and folders is refused."""
    return tuple(_read(folder, under))


def _read(folder: Path, under: str) -> Iterator[File]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise LabBroken(f"{path} is neither a file nor a folder.", cure="Replace it by a plain file.")
        if path.is_file() and not any(
            part.endswith("cache__") or part.endswith("_cache") for part in path.relative_to(folder).parts
        ):
            name = under + path.relative_to(folder).as_posix()
            yield File(name, path.read_bytes(), bool(path.stat().st_mode & 0o100))


def pack(files: Iterable[File]) -> bytes:
    """An uncompressed tar: owner root, one fixed time, modes 755 and 644, each folder before its files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        folders: set[str] = set()
        for file in files:
            for parent in reversed(PurePosixPath(file.path).parents[:-1]):
                if str(parent) not in folders:
                    folders.add(str(parent))
                    archive.addfile(_entry(str(parent), tarfile.DIRTYPE, 0, executable=True))
            entry = _entry(file.path, tarfile.REGTYPE, len(file.content), executable=file.executable)
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()


def _entry(path: str, kind: bytes, size: int, *, executable: bool) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.size, entry.mtime = kind, size, _TIME
    entry.mode = 0o755 if executable else 0o644
    return entry


def digest(files: Iterable[File], *parents: str) -> str:
    """SHA-256 (hex) over paths, executable bits and bytes, and over what the files are put on."""
    whole = hashlib.sha256()
    for word in parents:
        whole.update(_measured(word.encode()))
    for file in files:
        whole.update(
            _measured(file.path.encode()) + (b"x" if file.executable else b"-") + _measured(file.content)
        )
    return whole.hexdigest()


def _measured(content: bytes) -> bytes:
    return len(content).to_bytes(8, "big") + content
