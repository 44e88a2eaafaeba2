"""Row 51: a file that changes while it is taken in. What is judged is what was hashed, or nothing is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadmap_labs.content import submission
from roadmap_labs.errors import BadSubmission

REAL_WALK = submission._walk


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.py").write_text("first\n")
    (tmp_path / "secret").write_text("secret\n")
    return folder


def _changing(monkeypatch: pytest.MonkeyPatch, change: str, work: Path) -> None:
    """Between the look at a file and its opening somebody changes it."""

    def walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        for path, status in REAL_WALK(folder, prefix):
            (work / path).unlink()
            if change == "other bytes":
                (work / path).write_text("second\n")
            elif change == "a link":
                (work / path).symlink_to(work.parent / "secret")
            elif change == "a pipe":
                os.mkfifo(work / path)
            yield path, status

    monkeypatch.setattr(submission, "_walk", walk)


def test_the_digest_is_that_of_the_bytes_that_were_read(monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    before = submission.take_in(work).digest
    _changing(monkeypatch, "other bytes", work)
    taken = submission.take_in(work)
    assert [file.content for file in taken.files] == [b"second\n"]
    assert taken.digest == submission.submission_of(taken.files).digest != before


@pytest.mark.parametrize("change", ["a link", "a pipe", "nothing"])
def test_what_is_no_file_any_more_is_refused(
    monkeypatch: pytest.MonkeyPatch, work: Path, change: str
) -> None:
    _changing(monkeypatch, change, work)
    with pytest.raises(BadSubmission) as refusal:
        submission.take_in(work)
    assert "a.py" in refusal.value.message
    assert "secret" not in refusal.value.message
