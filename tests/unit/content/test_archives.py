"""Archives as data: what a folder would be allowed, and not one byte more, whatever the archive says of itself."""

from __future__ import annotations

import gzip
import io
import resource
import stat
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from roadmap_labs.content.archives import take_in_archive
from roadmap_labs.errors import BadSubmission

MIB = 1024 * 1024


def _zip(path: Path, entries: dict[str, bytes], *, mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return path


def _tar(path: Path, entries: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in entries.items():
            entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            body = b"" if isinstance(content, tarfile.TarInfo) else content
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return path


MAKERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "work.zip": _zip,
    "work.tar": _tar,  # type: ignore[dict-item]
    "work.tar.gz": _tar,  # type: ignore[dict-item]
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_files_whatever_they_came_in(tmp_path: Path, name: str) -> None:
    taken = take_in_archive(
        MAKERS[name](tmp_path / name, {"app/main.py": b"print()", "Dockerfile": b"FROM x"})
    )
    assert {file.path: file.content for file in taken.files} == {
        "app/main.py": b"print()",
        "Dockerfile": b"FROM x",
    }
    assert taken.own_image


@pytest.mark.parametrize("name", MAKERS)
def test_one_folder_around_everything_is_taken_off(tmp_path: Path, name: str) -> None:
    file = MAKERS[name](tmp_path / name, {"shop/app/main.py": b"1", "shop/README.md": b"2"})
    assert [one.path for one in take_in_archive(file).files] == ["README.md", "app/main.py"]
    assert [one.path for one in take_in_archive(file, {"shop"}).files] == [
        "shop/README.md",
        "shop/app/main.py",
    ]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "a/../../x", "C:/x", "a\\..\\x", "a//x", "a\nb", "\u202egnp.exe"]
)
def test_paths_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, path: str) -> None:
    with pytest.raises(BadSubmission) as caught:
        take_in_archive(MAKERS[name](tmp_path / name, {path: b"x", "ok": b"y"}))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", MAKERS)
def test_twins_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSubmission, match="differ in case only"):
        take_in_archive(MAKERS[name](tmp_path / name, {"app/Main.py": b"x", "app/main.py": b"y"}))


@pytest.mark.parametrize("name", MAKERS)
def test_tools_folders_stay_out(tmp_path: Path, name: str) -> None:
    entries = {"app.py": b"x", ".git/config": b"y", "node_modules/z": b"z", "__MACOSX/._app.py": b"w"}
    assert [one.path for one in take_in_archive(MAKERS[name](tmp_path / name, entries)).files] == ["app.py"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("app.py")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with pytest.raises(BadSubmission, match=r"(link|file) app\.py"):
        take_in_archive(_tar(tmp_path / "work.tar", {"app.py": entry}))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    file = _zip(tmp_path / "work.zip", {"app.py": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777)
    with pytest.raises(BadSubmission, match=r"symbolic link app\.py"):
        take_in_archive(file)


def _bomb_zip(path: Path) -> Path:
    return _zip(path, {f"f{number}": bytes(4 * MIB) for number in range(10)})


def _lying_zip(path: Path) -> Path:
    """The directory says that the file is small."""
    _zip(path, {"f": bytes(30 * MIB)})
    raw = path.read_bytes()
    at = raw.rfind(b"PK\x01\x02")
    path.write_bytes(raw[: at + 24] + struct.pack("<L", 10) + raw[at + 28 :])
    return path


def _crowded_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(5_000):
            archive.writestr(str(number), b"")
    return path


def _hushed_zip(path: Path) -> Path:
    """The same crowd behind an end record that names three entries."""
    _crowded_zip(path)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<2H", raw, raw.rfind(b"PK\x05\x06") + 8, 3, 3)
    path.write_bytes(bytes(raw))
    return path


def _bomb_tar(path: Path) -> Path:
    with gzip.open(path, "wb") as packed:
        entry = tarfile.TarInfo("big")
        entry.size = 4096 * MIB
        packed.write(entry.tobuf())
        for _ in range(40):
            packed.write(bytes(MIB))
    return path


def _header_bomb_tar(path: Path) -> Path:
    """An extended header that would be read whole."""
    with gzip.open(path, "wb") as packed:
        entry = tarfile.TarInfo("pax")
        entry.type, entry.size = tarfile.XHDTYPE, 64 * MIB
        packed.write(entry.tobuf())
        for _ in range(64):
            packed.write(bytes(MIB))
    return path


def _crowded_tar(path: Path) -> Path:
    return _tar(path, {str(number): b"" for number in range(6_000)})


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("w.zip", _bomb_zip), ("w.zip", _lying_zip), ("w.zip", _crowded_zip), ("w.zip", _hushed_zip),
        ("w.tar.gz", _bomb_tar), ("w.tgz", _header_bomb_tar), ("w.tar", _crowded_tar),
    ],
)  # fmt: skip
def test_bombs_are_refused_in_seconds_and_cost_no_memory(
    tmp_path: Path, name: str, make: Callable[[Path], Path]
) -> None:
    file = make(tmp_path / name)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(BadSubmission, match="L-SUBM"):
        take_in_archive(file)
    assert time.monotonic() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


@pytest.mark.parametrize("name", ["w.zip", "w.tar", "w.tar.gz", "w.tgz"])
@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06", b"\x1f\x8b\x08garbage"])
def test_what_is_no_archive_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(BadSubmission):
        take_in_archive(file)


@pytest.mark.parametrize("name", MAKERS)
def test_half_an_upload_is_refused(tmp_path: Path, name: str) -> None:
    file = MAKERS[name](tmp_path / name, {"app.py": bytes(range(256)) * 500, "b.py": b"x" * 2000})
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(BadSubmission):
        take_in_archive(file)


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    file = _zip(tmp_path / "w.zip", {"app.py": b"secret"})
    raw = bytearray(file.read_bytes())
    raw[raw.rfind(b"PK\x01\x02") + 8] |= 1
    raw[6] |= 1
    file.write_bytes(bytes(raw))
    with pytest.raises(BadSubmission, match="encrypted"):
        take_in_archive(file)
