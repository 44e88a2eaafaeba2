"""The networks of a stack and the relay into it. Knows nothing of what runs there.

A sealed stack has two networks. The lab network is internal: no way out, no way to the host. The edge network only
holds the relay, a byte forwarder with a leg on each, whose ports are published on 127.0.0.1; it listens on its edge
address alone, so nothing inside the lab can reach it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from roadmap_labs.engine import subnets
from roadmap_labs.engine.protocol import (
    Attachment,
    Conflict,
    ContainerSpec,
    Engine,
    Limits,
    NetworkSpec,
)
from roadmap_labs.errors import TryAgain
from roadmap_labs.stack.plan import MIB, Seat

_FIRST_ROUTE = 10_000
RELAY_INDEX = 2  # index 1 is the gateway's
FIRST_PEER_INDEX = 3
_MOST_TRIES = 200


@dataclass(frozen=True)
class Network:
    """A network that exists, with the /28 that its addresses come from."""

    id: str
    subnet: str

    def address(self, index: int) -> str:
        """The address of the peer with this index, from 2 to 14."""
        return subnets.address(self.subnet, index)


@dataclass(frozen=True)
class Door:
    """Where a peer of the stack is reached from the host."""

    host: str
    port: int


class Listening(Protocol):
    """A service's or a role's manifest, as far as ports go."""

    @property
    def port(self) -> int: ...

    @property
    def ports(self) -> Mapping[str, int]: ...


def doors_of(name: str, manifest: Listening) -> dict[str, int]:
    """The ports of one peer by door: its own name for the first, `name:port name` for each further one."""
    return {name: manifest.port, **{f"{name}:{word}": port for word, port in manifest.ports.items()}}


def lab_network(engine: Engine, seat: Seat, *, sealed: bool) -> Network:
    """The network that services and roles share."""
    return _create(engine, seat, "network", internal=sealed, isolated_gateway=sealed, masquerade=not sealed)


def edge_network(engine: Engine, seat: Seat) -> Network:
    """The network between the host and the relay: no way out, and its members can't see each other."""
    return _create(engine, seat, "edge", masquerade=False, peers_may_talk=False)


def _create(
    engine: Engine,
    seat: Seat,
    part: str,
    *,
    internal: bool = False,
    isolated_gateway: bool = False,
    masquerade: bool = True,
    peers_may_talk: bool = True,
) -> Network:
    refused: Conflict | None = None
    start = random.randrange(65_536)  # noqa: S311 (any place will do, only not always the same)
    for subnet in itertools.islice(subnets.candidates((), start=start), _MOST_TRIES):
        spec = NetworkSpec(
            name=seat.name(part),
            labels=seat.labels(part),
            subnet=subnet,
            internal=internal,
            isolated_gateway=isolated_gateway,
            peers_may_talk=peers_may_talk,
            masquerade=masquerade,
        )
        try:
            return Network(engine.create_network(spec), subnet)
        except Conflict as error:
            refused = error
    raise TryAgain(
        f"I-CAPACITY: no free address range for a network: {refused}.",
        cure="See what is ours with  roadmap-labs status --all , or give another pool in ROADMAP_LABS_SUBNETS.",
    )


def raise_relay(
    engine: Engine,
    seat: Seat,
    image: str,
    lab: Network,
    edge: Network,
    targets: Mapping[str, tuple[int, int]],
) -> dict[str, Door]:
    """Start the relay; `targets` maps a peer's name to its index on the lab network and its port."""
    routes = {name: _FIRST_ROUTE + number for number, name in enumerate(targets)}
    forwarded = ",".join(
        f"{routes[name]}={lab.address(index)}:{port}" for name, (index, port) in targets.items()
    )
    listen = edge.address(RELAY_INDEX)
    spec = ContainerSpec(
        name=seat.name("relay"),
        image=image,
        labels=seat.labels("relay"),
        attachment=Attachment(edge.id, listen),
        environment={"RELAY_LISTEN": listen, "RELAY_ROUTES": forwarded},
        tmpfs={"/tmp": "size=1m,mode=1777"},  # noqa: S108
        publish=dict.fromkeys(routes.values()),
        limits=Limits(memory_bytes=128 * MIB, processes=32, open_files=8192),
    )
    container = engine.create_container(spec)
    engine.connect(container, Attachment(lab.id, lab.address(RELAY_INDEX)))
    engine.start(container)
    published = engine.inspect(container).published
    return {name: Door("127.0.0.1", published[route]) for name, route in routes.items()}
