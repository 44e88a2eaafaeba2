"""Containers of our own under exactly the sealed profile, for measuring what it does on this engine. Knows no lab."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from roadmap_labs.engine import labels, subnets
from roadmap_labs.engine.owner import owner
from roadmap_labs.engine.protocol import Attachment, Conflict, ContainerSpec, Engine, Limits, NetworkSpec
from roadmap_labs.engine.sweep import remove_stack
from roadmap_labs.errors import TryAgain

PROBE_SECONDS = 60
LIMITS = Limits(memory_bytes=128 * 1024 * 1024, processes=64)
_FIRST_INDEX = 2


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is well (None: not measured), what was seen, what helps."""

    name: str
    ok: bool | None
    seen: str
    cure: str = ""


@dataclass
class Bench:
    """A network of its own in which probes are started one after the other."""

    engine: Engine
    image: str
    stack: str
    network: str
    subnet: str
    started: int = 0

    def start(self, name: str, command: tuple[str, ...], environment: Mapping[str, str] | None = None) -> str:
        """Create and start one; returns its id."""
        address = subnets.address(self.subnet, _FIRST_INDEX + self.started)
        self.started += 1
        made = self.engine.create_container(
            ContainerSpec(
                name=f"{self.stack}-{name}",
                image=self.image,
                labels=_marks(self.stack),
                attachment=Attachment(self.network, address, (name,)),
                command=command,
                environment=environment or {},
                user="10001:10001",
                tmpfs={"/tmp": "size=4m,nr_inodes=1k,mode=1777"},  # noqa: S108
                limits=LIMITS,
            )
        )
        self.engine.start(made)
        return made


@contextmanager
def bench(engine: Engine, image: str, *, isolated_gateway: bool = True) -> Iterator[Bench]:
    """A place for probes; all of it is removed at the end of the block. `image` has python3."""
    stack = f"probe-{secrets.token_hex(4)}"
    try:
        network, subnet = _network(engine, stack, isolated_gateway=isolated_gateway)
        yield Bench(engine, image, stack, network, subnet)
    finally:
        remove_stack(engine, stack, keep=())


def _marks(stack: str) -> dict[str, str]:
    return {
        labels.STACK: stack,
        labels.RUN: stack,
        labels.KIND: "probe",
        labels.OWNER: owner(),
        labels.EXPIRES: str(int(time.time()) + 10 * PROBE_SECONDS),
    }


def _network(engine: Engine, stack: str, *, isolated_gateway: bool) -> tuple[str, str]:
    for subnet in subnets.candidates((), start=secrets.randbelow(4096)):
        spec = NetworkSpec(stack, _marks(stack), subnet, internal=True, isolated_gateway=isolated_gateway)
        with suppress(Conflict):
            return engine.create_network(spec), subnet
    raise TryAgain(
        f"No subnet of {subnets.pool()} is free.",
        cure=f"Set {subnets.VARIABLE} to another range, then try again.",
    )
