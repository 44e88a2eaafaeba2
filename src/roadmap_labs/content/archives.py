"""Takes a .zip, .tar or .tar.gz in as data, with the limits of a folder. Unpacks nothing to a disk.

What an archive says about itself is not believed: a zip's central directory (APPNOTE 4.3.16) and the stream of a tar
are measured before and while they are read, so that a bomb costs no more than the limit.
"""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol, cast

from roadmap_labs.content.submission import (
    MOST_BYTES,
    MOST_FILES,
    Intake,
    Submission,
    refused,
    shown,
    submission_of,
)
from roadmap_labs.files import File

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_LARGEST = MOST_BYTES + 5 * 1024 * 1024  # of the archive itself
_DIRECTORY_ENTRY = 1024  # bytes of a zip's directory that one honest file may take
_END = struct.Struct("<4s4H2LH")  # end of central directory record
_PIECE = 64 * 1024
_LEFT_OUT = "__MACOSX"


class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


def take_in_archive(file: Path, own_folders: Collection[str] = ()) -> Submission:
    """Read an archive; `BadSubmission` names the first thing it refuses.

    One folder around everything is taken off, unless it is one of `own_folders`, which the work itself has.
    """
    if file.stat().st_size > _LARGEST:
        raise refused(f"the archive is larger than {_LARGEST // 1024 // 1024} MiB")
    intake = Intake()
    with file.open("rb") as stream:
        try:
            if file.name.lower().endswith(".zip"):
                _zip(stream, intake)
            elif file.name.lower().endswith(".tar"):
                _tar(stream, intake)
            else:
                with gzip.GzipFile(fileobj=stream) as unpacked:
                    _tar(unpacked, intake)
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, NotImplementedError,
                struct.error) as error:  # fmt: skip
            raise refused(f"the archive can't be read: {shown(str(error))}") from error
    return submission_of(unwrapped(intake.whole(), own_folders))


def take_in_tar(content: bytes) -> Submission:
    """Read a tar that `pack` has made, with the limits of any other; nothing is taken off its paths."""
    intake = Intake()
    try:
        _tar(io.BytesIO(content), intake)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise refused(f"the archive can't be read: {shown(str(error))}") from error
    return submission_of(intake.whole())


def _zip(stream: IO[bytes], intake: Intake) -> None:
    _measure_directory(stream)
    with zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            if entry.is_dir() or entry.filename.startswith(_LEFT_OUT):
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise refused(f"{_kind(mode)} {shown(entry.filename)}")
            if entry.flag_bits & 0x1:
                raise refused(f"{shown(entry.filename)} is encrypted")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise refused(f"{shown(entry.filename)} is packed in a way that is not taken")
            path = entry.filename.removeprefix("./")
            if intake.wants(path, entry.file_size):
                with archive.open(entry) as packed:
                    intake.add(path, _within(packed, path), executable=bool(mode & 0o100))


def _measure_directory(stream: IO[bytes]) -> None:
    """Refuse a directory that no honest archive has; `zipfile` would read all of it into objects."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - 65_536 - _END.size))
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise refused("the archive has no end: half an upload?")
    _, _, _, _, entries, directory, _, _ = _END.unpack_from(tail, at)
    # 0xFFFF and 0xFFFFFFFF point to a zip64 record, which only archives beyond our limits need.
    if entries > MOST_FILES * 2 or directory > MOST_FILES * _DIRECTORY_ENTRY:
        raise refused(f"more than {MOST_FILES} files")
    stream.seek(0)


def _tar(stream: _Reads, intake: Intake) -> None:
    with tarfile.open(fileobj=cast(IO[bytes], _Metered(stream)), mode="r|", bufsize=_PIECE) as archive:
        for count, entry in enumerate(archive, 1):
            if count > MOST_FILES * 2:
                raise refused(f"more than {MOST_FILES} files")
            if entry.isdir() or entry.name.startswith(_LEFT_OUT):
                continue
            if not entry.isreg() or entry.issparse():
                raise refused(f"{_kind_of(entry)} {shown(entry.name)}")
            path = entry.name.removeprefix("./")
            if intake.wants(path, entry.size):
                packed = archive.extractfile(entry)
                content = _within(packed, path) if packed is not None else b""
                intake.add(path, content, executable=bool(entry.mode & 0o100))


class _Metered:
    """A stream that ends with a refusal where more comes out of it than any folder may hold, headers included."""

    def __init__(self, stream: _Reads) -> None:
        self._stream = stream
        self._left = MOST_BYTES + MOST_FILES * 4 * tarfile.BLOCKSIZE + _PIECE

    def read(self, size: int) -> bytes:
        piece = self._stream.read(min(size, _PIECE))
        self._left -= len(piece)
        if self._left < 0:
            raise refused(f"over {MOST_BYTES // 1024 // 1024} MiB unpacked")
        return piece


def _within(packed: _Reads, path: str) -> bytes:
    content = packed.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise refused(f"{shown(path)} is over {MOST_BYTES // 1024 // 1024} MiB")
    return content


def _kind(mode: int) -> str:
    return "symbolic link" if stat.S_ISLNK(mode) else "special file"


def _kind_of(entry: tarfile.TarInfo) -> str:
    if entry.issym():
        return "symbolic link"
    return "hard link" if entry.islnk() else "special file"


def unwrapped(files: Iterable[File], own_folders: Collection[str]) -> tuple[File, ...]:
    """The same files without the one folder around all of them, if there is one that is not of the work itself."""
    files = tuple(files)
    tops = {file.path.partition("/")[0] for file in files}
    if len(tops) != 1 or tops & set(own_folders) or any("/" not in file.path for file in files):
        return files
    return tuple(replace(file, path=file.path.partition("/")[2]) for file in files)
