"""One submission from a teacher's folder: whatever a person or a download wrapped around the work comes off."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from roadmap_labs.content import shelf
from roadmap_labs.content.submission import Submission
from roadmap_labs.errors import BadSubmission
from roadmap_labs.grading.entries import entries
from roadmap_labs.grading.intake import read

TOYS = Path(__file__).parent.parent / "toy"
WORK = {"app/__main__.py": b"print()\n", "NOTES": b"mine\n"}


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(TOYS))
    shelf.load_lab.cache_clear()


def _read(folder: Path) -> Submission | BadSubmission:
    (entry,) = entries(folder)
    return read(entry, shelf.load_lab("toy"), allow_dockerfile=False)


def _work(folder: Path) -> None:
    for name, content in WORK.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _zip(file: Path, under: str = "") -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in WORK.items():
            archive.writestr(under + name, content)


def _plain(folder: Path) -> None:
    _work(folder / "anna")


def _wrapped(folder: Path) -> None:
    _work(folder / "anna" / "redis-caching")


def _archive(folder: Path) -> None:
    _zip(folder / "anna.zip")


def _moodle(folder: Path) -> None:
    (folder / "Anna B_1234567_assignsubmission_file_").mkdir()
    _zip(folder / "Anna B_1234567_assignsubmission_file_" / "final (2).zip", under="my work/")


@pytest.mark.parametrize("hand_in", [_plain, _wrapped, _archive, _moodle])
def test_the_same_work_is_the_same_submission(tmp_path: Path, hand_in: object) -> None:
    assert callable(hand_in)
    hand_in(tmp_path)
    found = _read(tmp_path)
    assert isinstance(found, Submission), found
    assert {file.path: file.content for file in found.files} == WORK


def test_a_folder_of_the_works_own_stays(tmp_path: Path) -> None:
    (tmp_path / "anna" / "app").mkdir(parents=True)
    (tmp_path / "anna" / "app" / "__main__.py").write_bytes(b"")
    found = _read(tmp_path)
    assert isinstance(found, Submission)
    assert [file.path for file in found.files] == ["app/__main__.py"]


def test_two_archives_are_not_chosen_from(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    _zip(tmp_path / "anna" / "first.zip")
    _zip(tmp_path / "anna" / "second.zip")
    found = _read(tmp_path)
    assert isinstance(found, Submission)
    assert {file.path for file in found.files} == {"first.zip", "second.zip"}


def test_a_link_named_as_an_archive_is_not_followed(tmp_path: Path) -> None:
    _zip(tmp_path / ".secret.zip")
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "work.zip").symlink_to(tmp_path / ".secret.zip")
    found = _read(tmp_path)
    assert isinstance(found, BadSubmission)
    assert "symbolic link" in found.message
