"""The short form of tests/endurance/neighbours.py: two references alone, and two beside a flood of log lines."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.engine


def test_references_beside_a_flood_have_the_verdicts_of_one_alone() -> None:
    # A process of its own, because a judgement's watchdog is forked before there are threads.
    ended = subprocess.run(
        [sys.executable, "-m", "tests.endurance.neighbours", "--rounds", "2", "--only", "floods-its-log"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("2 of 2 the same") == 2
    assert "differing: 0; the reference passes: True; left on the engine: 0" in ended.stdout
