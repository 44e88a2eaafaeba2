"""Gives each check of this lab the fixture `cluster`. Knows nothing of single checks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster import Cluster, Memory

from roadmap_labs.harness import Lab


@pytest.fixture(scope="session")
def memory() -> Memory:
    """What one check leaves behind for the next: the shape of the two hosts, and what an accident showed."""
    return Memory()


@pytest.fixture
def cluster(lab: Lab, memory: Memory) -> Iterator[Cluster]:
    """Both hosts and the order service, as one check sees them."""
    found = Cluster(lab, memory)
    try:
        yield found
    finally:
        found.leave()
