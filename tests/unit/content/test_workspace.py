"""The learner's folder: made whole or not at all, found from inside, files put back with a copy of the learner's."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadmap_labs.content import workspace
from roadmap_labs.errors import CannotWrite, NotFound, WrongUse
from roadmap_labs.files import File

FILES = (
    File("README.md", b"read me\n"),
    File("app/main.py", b"todo\n"),
    File("go", b"", True),
)


def _made(folder: Path) -> workspace.Workspace:
    return workspace.create(folder, "toy", "1.0", "python-http", FILES)


def test_it_is_made_and_found_from_inside(tmp_path: Path) -> None:
    made = _made(tmp_path / "shop")
    assert (made.folder / "app" / "main.py").read_text() == "todo\n"
    assert (made.folder / "go").stat().st_mode & 0o111
    assert workspace.find(made.folder / "app") == made
    assert workspace.find(tmp_path) is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["shop"]


def test_an_empty_folder_is_used_a_foreign_one_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _made(tmp_path / "empty")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(CannotWrite, match="not empty"):
        _made(foreign)
    assert [entry.name for entry in foreign.iterdir()] == ["thesis.txt"]


def test_outside_a_workspace_the_cure_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        workspace.require(tmp_path)
    assert "roadmap-labs start" in caught.value.cure


def test_a_broken_record_is_told_not_guessed(tmp_path: Path) -> None:
    made = _made(tmp_path / "shop")
    (made.folder / ".roadmap" / "workspace.json").write_text("{")
    with pytest.raises(NotFound, match="can't be read"):
        workspace.find(made.folder)


def test_a_file_is_put_back_and_the_learners_is_kept(tmp_path: Path) -> None:
    made = _made(tmp_path / "shop")
    (made.folder / "app" / "main.py").write_text("my work\n")
    backup = workspace.put_back(made, "app/main.py")
    assert (made.folder / "app" / "main.py").read_text() == "todo\n"
    assert backup.read_text() == "my work\n"


def test_only_given_files_inside_can_be_put_back(tmp_path: Path) -> None:
    made = _made(tmp_path / "shop")
    with pytest.raises(WrongUse):
        workspace.put_back(made, "../other")
    with pytest.raises(NotFound):
        workspace.put_back(made, "app/new.py")


def test_progress_is_remembered(tmp_path: Path) -> None:
    made = _made(tmp_path / "shop")
    assert workspace.hints_taken(made) == {}
    workspace.remember_hint(made, "t1", 1)
    workspace.remember_hint(made, "t1", 2)
    workspace.remember_check(made, "fail", 3.0, {"t1_a": "pass"})
    workspace.remember_check(made, "fail", 3.0, {"t1_b": "fail"})
    assert workspace.hints_taken(made) == {"t1": 2}
    assert workspace.outcomes(made) == {"t1_a": "pass", "t1_b": "fail"}


def test_torn_progress_is_forgotten_not_fatal(tmp_path: Path) -> None:
    made = _made(tmp_path / "shop")
    (made.folder / ".roadmap" / "progress.json").write_text('{"hints": {"t1"')
    assert workspace.hints_taken(made) == {}
