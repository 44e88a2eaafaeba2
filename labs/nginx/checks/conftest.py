"""Gives each check of this lab the fixture `door`. Knows nothing of single checks."""

from __future__ import annotations

import pytest
from door import Door, fresh_door

from roadmap_labs.harness import Lab


@pytest.fixture
def door(lab: Lab) -> Door:
    """The front door, started anew, and the applications behind it with nothing but an echo."""
    return fresh_door(lab)
