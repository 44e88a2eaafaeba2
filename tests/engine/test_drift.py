"""Ten short walks of commands and hands; `tests/endurance/drift.py` goes on five hundred."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.drift import Walk
from tests.engine.stage import Stage

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("drift") / "home") as opened:
        yield opened


@pytest.mark.parametrize("seed", range(1001, 1011))
def test_status_says_what_the_engine_has(stage: Stage, tmp_path: Path, seed: int) -> None:
    Walk(stage, tmp_path, seed).run(steps=3)


def test_each_hand_is_mended_by_a_start(stage: Stage, tmp_path: Path) -> None:
    """Every step once, in one order that makes each of them possible."""
    walk = Walk(stage, tmp_path, 1)
    hands = (walk.remove, walk.rename, walk.pause, walk.end, walk.disconnect, walk.remove_network)
    order = [step for hand in hands for step in (hand, walk.start)]
    order += [walk.pause, walk.unpause, walk.restart, walk.pause, walk.stop, walk.remove_volume]
    assert walk.follow([*order, walk.start, walk.stop, walk.stop, walk.check]) == len(order) + 4
