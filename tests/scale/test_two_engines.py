"""Two workers on two engines: the short form of tests/endurance/two_engines.py."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.endurance.two_engines import TOYS, measured
from tests.scale.rabbit import Rabbit

pytestmark = pytest.mark.engine


@pytest.mark.skipif(os.geteuid() != 0, reason="a second engine needs root")
def test_two_engines_share_a_batch(broker: Rabbit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(TOYS))
    one, two = measured(broker, submissions=4, slots=1, seconds=4)
    assert one.verdicts == two.verdicts == Counter({"pass": 4})
    assert one.shares == (4,)
    assert sum(two.shares) == 4
    assert min(two.shares) >= 1, "a worker had no part in it"
