"""Which submissions lie in a teacher's folder, and what they are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roadmap_labs.errors import NotFound, WrongUse
from roadmap_labs.grading.entries import Entry, entries


def _names(folder: Path) -> list[tuple[str, str, str]]:
    return [(entry.id, entry.name, entry.number) for entry in entries(folder)]


def test_folders_and_archives_are_submissions_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("ben.zip", "cleo.tar.gz", "dan.TAR", "emma.tgz", "grades.csv", ".DS_Store"):
        (tmp_path / name).write_text("")
    assert [name for name, _, _ in _names(tmp_path)] == ["anna", "ben", "cleo", "dan", "emma"]


def test_moodle(tmp_path: Path) -> None:
    (tmp_path / "Ada Lovelace_1234567_assignsubmission_file_").mkdir()
    (tmp_path / "Jöran_42_assignsubmission_file").mkdir()
    (tmp_path / "Anna_Maria Weiß_99_assignsubmission_file_work.zip").write_text("")
    assert _names(tmp_path) == [
        ("Ada Lovelace-1234567", "Ada Lovelace", "1234567"),
        ("Anna_Maria Weiß-99", "Anna_Maria Weiß", "99"),
        ("Jöran-42", "Jöran", "42"),
    ]


def test_canvas(tmp_path: Path) -> None:
    (tmp_path / "lovelaceada_12345_67890_shop.zip").write_text("")
    (tmp_path / "hopper_LATE_777_888_my_work-1.tar.gz").write_text("")
    assert _names(tmp_path) == [
        ("hopper-777", "hopper", "777"),
        ("lovelaceada-12345", "lovelaceada", "12345"),
    ]


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    (tmp_path / "Anna.zip").write_text("")
    with pytest.raises(WrongUse, match="both the submission"):
        entries(tmp_path)


def test_nothing_to_grade(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no submission"):
        entries(tmp_path)
    with pytest.raises(NotFound, match="no folder"):
        entries(tmp_path / "nowhere")


def test_a_link_is_an_entry_so_that_it_is_refused_and_not_overlooked(tmp_path: Path) -> None:
    (tmp_path / "sneaky").symlink_to("/etc")
    assert [entry.id for entry in entries(tmp_path)] == ["sneaky"]


@pytest.mark.parametrize(
    "name",
    [
        "=HYPERLINK(1)",
        "-rf",
        "a/../b",
        "Jöran",
        "x" * 200,
        "a b",
        "CON",
        "a\nb",
        "..",
        "\u202eevil",
        "a",
        "A-1.2",
    ],
)
def test_a_stem_is_a_plain_file_name_of_its_own(name: str) -> None:
    stem = Entry(name, Path()).stem
    assert stem
    assert len(stem) <= 100
    assert stem.isascii()
    assert "/" not in stem
    assert not stem.startswith((".", "-"))
    assert stem != Entry(name + "_", Path()).stem


def test_a_name_that_is_no_utf8_can_be_written_down(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/j\xf6ran.zip")).write_text("")
    (entry,) = entries(tmp_path)
    assert entry.id == "j\ufffdran"
    assert entry.source.exists()
