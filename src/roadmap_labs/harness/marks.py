"""What a check author may write above a check. Knows nothing of how pytest runs it."""

from __future__ import annotations

import pytest


def needs(*checks: str) -> pytest.MarkDecorator:
    """The check says nothing new when one of these (ids without `test_`) was run before and did not pass."""
    return pytest.mark.needs(*checks)
