"""Gives each check of this lab the fixture `shop`. Knows nothing of single checks."""

from __future__ import annotations

import pytest
from shop import Shelf, Shop

from roadmap_labs.harness import Lab
from roadmap_labs.harness.lab import Stage


@pytest.fixture(scope="session")
def shelf(stage: Stage) -> Shelf:
    """The products that no check of this run has touched yet; begins to record Redis' commands."""
    whole = Lab(stage, "shelf")
    whole.redis("redis").monitor.mark()
    return Shelf(whole)


@pytest.fixture
def shop(lab: Lab, shelf: Shelf) -> Shop:
    """The product pages, their database and their cache, as one check sees them."""
    return Shop(lab, shelf)
