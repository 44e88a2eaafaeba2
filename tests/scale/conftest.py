"""One real broker for this folder's tests, and a queue of its own for each."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.scale.rabbit import Rabbit, rabbit


@pytest.fixture(scope="session")
def broker() -> Iterator[Rabbit]:
    with rabbit() as found:
        yield found


@pytest.fixture
def queue() -> str:
    return f"test.{secrets.token_hex(4)}"
