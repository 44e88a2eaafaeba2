"""Gives each check of this lab the fixture `flow`. Knows nothing of single checks."""

from __future__ import annotations

import pytest
from fareflow import Fareflow

from roadmap_labs.harness import Lab


@pytest.fixture
def flow(lab: Lab) -> Fareflow:
    """The service and its two partners, healthy, as one check sees them."""
    return Fareflow(lab)
