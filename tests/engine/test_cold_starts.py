"""Five cold starts of each server; `tests/endurance/cold_starts.py` makes two hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadmap_labs.engine.protocol import Engine
from tests.engine.cold import new_run, starts

pytestmark = pytest.mark.engine


def test_what_is_called_ready_answers_the_first_time(real_engine: Engine, tmp_path: Path) -> None:
    start = starts(real_engine, tmp_path, new_run())
    assert [start().too_early for _ in range(5)] == [{}] * 5
