"""A real engine for this folder's tests, and a stack id of their own, of which nothing may be left."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterator, Mapping

import pytest

from roadmap_labs.engine import labels, subnets
from roadmap_labs.engine.debian import ensure_base
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.owner import owner
from roadmap_labs.engine.protocol import Conflict, Engine, NetworkSpec
from roadmap_labs.engine.sweep import remove_all

IMAGE = "roadmap-labs/debian:trixie"


@pytest.fixture(scope="session")
def real_engine() -> Iterator[Engine]:
    engine = open_engine()
    ensure_base(engine, print)
    yield engine
    engine.close()


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> Iterator[str]:
    """A stack id; what carries it is removed when the test is over."""
    name = f"test-{secrets.token_hex(4)}"
    yield name
    if "real_engine" in request.fixturenames:
        remove_all(request.getfixturevalue("real_engine"), {labels.STACK: name})


def marked(stack: str, **more: str) -> dict[str, str]:
    """The labels that every object of a test carries."""
    own = {
        labels.STACK: stack,
        labels.RUN: f"run-{os.getpid()}",
        labels.KIND: "probe",
        labels.OWNER: owner(),
        labels.EXPIRES: "4102444800",
    }
    return {**own, **{getattr(labels, key): value for key, value in more.items()}}


def any_network(
    engine: Engine, stack: str, name: str = "", marks: Mapping[str, str] | None = None, **options: bool
) -> tuple[str, str]:
    """A network with a subnet that was free: its id and the subnet."""
    for subnet in subnets.candidates((), start=random.randrange(4096)):
        spec = NetworkSpec(f"{stack}{name}", marks or marked(stack), subnet, **options)
        try:
            return engine.create_network(spec), subnet
        except Conflict as conflict:
            if "verlap" not in conflict.message:
                raise
    raise AssertionError("the whole pool is taken")
