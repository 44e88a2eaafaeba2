"""The folder of a judgement that was killed goes with the next one; that of a living one stays."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from roadmap_labs.checking import judge


def test_what_a_killed_judgement_left_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, alive, foreign = (
        tmp_path / f"roadmap-labs-desk-{who}" for who in (f"{ended.pid}-x", f"{os.getpid()}-x", "somebody-x")
    )
    for folder in (dead, alive, foreign):
        (folder / "empty").mkdir(parents=True)
    made = judge._desk_folder()
    assert sorted(tmp_path.iterdir()) == sorted([alive, foreign, made])
