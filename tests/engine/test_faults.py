"""A short form of `tests/endurance/fault_loops.py`: start, check and stop with one engine call failed, or killed there.

Every call of each is met by one way to fail, neighbours by different ones; the long form plays all ways at each call.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from roadmap_labs.engine.protocol import Engine
from tests.engine.conftest import IMAGE
from tests.engine.faulty import KINDS, VARIANTS, Fault
from tests.engine.loops import OPERATIONS, FaultLoop, strangers
from tests.engine.stage import Stage

pytestmark = pytest.mark.engine

_WAYS = [(kind, variant) for kind in KINDS for variant in VARIANTS if (kind, variant) != ("gone", "lost")]
_STRIDE = 4  # coprime to the fifteen ways: each has its turn, and neighbours differ in kind
_FIRST = {"start": 0, "check": 5, "stop": 10}
_WORKERS = 2


@pytest.fixture(scope="module")
def loops(real_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[FaultLoop]]:
    places = [tmp_path_factory.mktemp(f"faults-{number}") for number in range(_WORKERS)]
    with strangers(secrets.token_hex(4), IMAGE) as others:
        stages = [Stage(place / "home").__enter__() for place in places]
        yield [FaultLoop(real_engine, *pair, others) for pair in zip(stages, places, strict=True)]
        for stage in stages:
            stage.__exit__()


def _way(operation: str, k: int) -> Fault:
    return Fault(k, *_WAYS[(_FIRST[operation] + k * _STRIDE) % len(_WAYS)])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_leaves_nothing_and_the_truth(loops: list[FaultLoop], operation: str) -> None:
    def every(first: int) -> int:
        """Calls `first`, `first` + 2, ... until the operation ends before it comes to one."""
        for k in itertools.count(first, _WORKERS):
            if not loops[first - 1].play(operation, _way(operation, k)).reached:
                return k
        raise AssertionError

    with ThreadPoolExecutor(_WORKERS) as pool:
        ends = list(pool.map(every, range(1, _WORKERS + 1)))
    assert min(ends) > 10, "every operation makes more calls than that: nothing was counted"


def test_a_transport_without_faults_changes_nothing(loops: list[FaultLoop]) -> None:
    for operation in OPERATIONS:
        played = loops[0].play(operation, Fault(1000))
        assert played.code == 0
        assert not played.reached
        assert played.calls > 10
