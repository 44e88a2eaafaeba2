"""Gives each check of this lab the fixture `billing`. Knows nothing of single checks."""

from __future__ import annotations

import pytest
from billing import Billing, Rooms

from roadmap_labs.harness import Lab


@pytest.fixture(scope="session")
def rooms() -> Rooms:
    """The virtual hosts of this run; the last one stays until the next check begins."""
    return Rooms()


@pytest.fixture
def billing(lab: Lab, rooms: Rooms) -> Billing:
    """The way of an order, as one check sees it: an empty virtual host, an empty database, a healthy gateway."""
    return Billing(lab, rooms)
