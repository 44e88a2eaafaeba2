"""Taking a folder in: regular files only, limits, the same bytes give the same archive."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from roadmap_labs.content import submission
from roadmap_labs.content.submission import take_in
from roadmap_labs.errors import BadSubmission, NotFound
from roadmap_labs.files import pack


def test_regular_files_are_taken_and_tools_folders_left_out(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text("print()\n")
    (tmp_path / "run").write_text("#!/bin/sh\n")
    (tmp_path / "run").chmod(0o755)
    for junk in (".git", "node_modules", ".roadmap", "__pycache__"):
        (tmp_path / junk).mkdir()
        (tmp_path / junk / "x").write_text("x")
    taken = take_in(tmp_path)
    assert [(file.path, file.executable) for file in taken.files] == [("app/main.py", False), ("run", True)]
    assert not taken.own_image


def test_a_dockerfile_is_seen(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    assert take_in(tmp_path).own_image


def test_links_are_refused_and_never_opened(tmp_path: Path) -> None:
    (tmp_path / "app.py").symlink_to("/etc/passwd")
    with pytest.raises(BadSubmission, match=r"L-SUBM: refused: symbolic link app\.py") as caught:
        take_in(tmp_path)
    assert caught.value.exit_code == 65


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "up").symlink_to("..", target_is_directory=True)
    with pytest.raises(BadSubmission, match="symbolic link up"):
        take_in(tmp_path)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadSubmission, match="special file pipe"):
        take_in(tmp_path)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "\u202egnp.exe", "x" * 201])
def test_names_that_could_fool_somebody_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path
    for part in [name[i : i + 100] for i in range(0, len(name), 100)][:-1]:
        folder = folder / part
        folder.mkdir()
    (folder / name[-100:]).write_text("x")
    with pytest.raises(BadSubmission) as caught:
        take_in(tmp_path)
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("x")
    with pytest.raises(BadSubmission, match="not UTF-8"):
        take_in(tmp_path)


def test_too_many_files_and_too_many_bytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "MOST_FILES", 3)
    for number in range(4):
        (tmp_path / str(number)).write_text("x")
    with pytest.raises(BadSubmission, match="more than 3 files"):
        take_in(tmp_path)


def test_a_sparse_giant_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadSubmission, match="over 20 MiB"):
        take_in(tmp_path)


def test_an_empty_and_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BadSubmission, match="empty"):
        take_in(tmp_path)
    with pytest.raises(NotFound):
        take_in(tmp_path / "nowhere")


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "app").mkdir(parents=True)
        (folder / "app" / "main.py").write_text("x")
        (folder / "b").write_text("y")
    os.utime(tmp_path / "two" / "b", (1, 1))
    one, two = take_in(tmp_path / "one"), take_in(tmp_path / "two")
    assert one.digest == two.digest
    assert pack(one.files) == pack(two.files)
    with tarfile.open(fileobj=io.BytesIO(pack(one.files))) as archive:
        assert [(entry.name, entry.mode, entry.uid) for entry in archive] == [
            ("app", 0o755, 0),
            ("app/main.py", 0o644, 0),
            ("b", 0o644, 0),
        ]


def test_moving_a_byte_between_two_files_changes_the_digest(tmp_path: Path) -> None:
    digests = set()
    for first, second in (("ab", "c"), ("a", "bc")):
        (tmp_path / "1").write_text(first)
        (tmp_path / "2").write_text(second)
        digests.add(take_in(tmp_path).digest)
    assert len(digests) == 2
