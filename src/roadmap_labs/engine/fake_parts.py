"""What a FakeEngine keeps of each object, and the pure arithmetic on it. Knows nothing of its calls."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from roadmap_labs.engine.protocol import (
    Attachment,
    Conflict,
    ContainerSpec,
    ContainerState,
    EngineFacts,
    Found,
    ImageState,
    NetworkSpec,
)

MOMENT = "2026-01-01T00:00:00.000000000Z"
FACTS = EngineFacts(
    version="0.0.0-fake",
    api_version="1.41",
    endpoint="fake://",
    context="",
    operating_system="none",
    architecture="x86_64",
    cpus=2,
    memory_bytes=8 * 1024**3,
    cgroup_version="2",
    data_root="/nowhere",
    storage_driver="dict",
    runtimes=("runc",),
    security_options=("name=seccomp,profile=default",),
    server_time=MOMENT,
)


@dataclass(frozen=True)
class Program:
    """What a container prints, and its exit code where it ends at once (None: it goes on running)."""

    output: bytes = b""
    exit_code: int | None = None
    out_of_memory: bool = False
    processes: int = 1  # while it runs


@dataclass
class FakeContainer:
    """One container: what it was made of and how it is."""

    spec: ContainerSpec
    state: ContainerState
    log: bytes = b""
    legs: dict[str, Attachment] = field(default_factory=dict)
    archives: list[tuple[str, bytes]] = field(default_factory=list)


def fresh_state(
    spec: ContainerSpec, identity: str, image: ImageState, host_config: Mapping[str, object]
) -> ContainerState:
    """A container that was created and never started."""
    return ContainerState(
        id=identity,
        name=spec.name,
        image=image.id,
        labels=dict(spec.labels),
        status="created",
        exit_code=0,
        out_of_memory=False,
        started_at="",
        finished_at="",
        pid=0,
        addresses={},
        published={},
        error="",
        host_config=host_config,
    )


def image_state(tag: str, labels: Mapping[str, str], content: bytes = b"") -> ImageState:
    """An image whose id follows from its tag and what it was built from."""
    identity = "sha256:" + hashlib.sha256(tag.encode() + content).hexdigest()
    return ImageState(identity, (tag,), dict(labels), 1_000_000, "", ())


def refuse_overlap(spec: NetworkSpec, others: Iterable[NetworkSpec]) -> None:
    """`Conflict` where a name or a range is taken, as the engine says it."""
    wanted = ipaddress.ip_network(spec.subnet)
    for other in others:
        if other.name == spec.name:
            raise Conflict(f"network with name {spec.name} already exists")
        if wanted.overlaps(ipaddress.ip_network(other.subnet)):
            raise Conflict(f"Pool overlaps with other one on this address space: {spec.subnet}")


def choose_addresses(
    legs: Mapping[str, Attachment], networks: Mapping[str, NetworkSpec], taken: Collection[str]
) -> dict[str, str]:
    """Network id -> address: the one asked for, or the first free one after the gateway."""
    addresses = {}
    for network, leg in legs.items():
        hosts = list(ipaddress.ip_network(networks[network].subnet).hosts())[1:]
        address = leg.address or next(str(host) for host in hosts if str(host) not in taken)
        if address in taken:
            raise Conflict(f"Address already in use: {address}")
        addresses[network] = address
    return addresses


def choose_ports(publish: Mapping[int, int | None], taken: Collection[int]) -> dict[int, int]:
    """Container port -> host port: the one asked for, or the next free one from 40001 on."""
    published: dict[int, int] = {}
    for inside, outside in publish.items():
        used = {*taken, *published.values()}
        if outside in used:
            raise Conflict(f"port is already allocated: {outside}")
        published[inside] = outside or next(port for port in range(40001, 60000) if port not in used)
    return published


def carries(row: Found, wanted: Mapping[str, str]) -> bool:
    """Whether an object has all these labels; an empty value asks for the key alone."""
    return all(key in row.labels and value in ("", row.labels[key]) for key, value in wanted.items())
