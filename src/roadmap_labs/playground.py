"""The stack that `start` leaves up for a learner: raised, looked at, stopped, put back. Prints nothing.

There is one playground a folder; its stack's id is the folder's. Labels are the only record: a volume that is named
`whole` marks a playground that was up once, and tells the ports it had, so that they stay the same next time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roadmap_labs.content.shelf import Lab
from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import ContainerState, Engine, Found, Missing
from roadmap_labs.engine.sweep import remove_stack
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.network import Door
from roadmap_labs.stack.plan import RolePlan, Seat, ServicePlan
from roadmap_labs.stack.running import Images, Stack

PORTS = labels.PREFIX + "ports"


@dataclass(frozen=True)
class Part:
    """One service or role of a playground, as the engine has it now; `state` None where it is gone."""

    name: str
    kind: str  # "service" or "role"
    state: ContainerState | None
    door: Door | None

    @property
    def running(self) -> bool:
        return self.state is not None and self.state.status == "running"


@dataclass(frozen=True)
class View:
    """A playground as the engine has it now."""

    parts: tuple[Part, ...]
    data: tuple[Found, ...]  # volumes that are kept
    network: bool

    @property
    def exists(self) -> bool:
        return any(part.state is not None for part in self.parts)

    @property
    def whole(self) -> bool:
        return self.network and bool(self.parts) and all(part.running for part in self.parts)

    def door(self, name: str) -> Door | None:
        return next((part.door for part in self.parts if part.name == name), None)


def expected(lab: Lab) -> tuple[tuple[str, str, int], ...]:
    """Name, kind and port of each part that a lab's playground has."""
    services = [(name, "service", service.manifest.port) for name, service in lab.services.items()]
    roles = [(f"{name}-1", "role", role.port) for name, role in lab.manifest.roles.items()]
    return (*services, *roles)


def look(engine: Engine, lab: Lab, stack: str) -> View:
    """What the engine has of a playground; never an error because something is missing."""
    found = {
        item.labels.get(labels.SERVICE, ""): item for item in engine.find("container", {labels.STACK: stack})
    }
    parts = []
    for name, kind, port in expected(lab):
        state = _inspect(engine, found[name].id) if name in found else None
        published = state.published.get(port) if state else None
        parts.append(Part(name, kind, state, Door("127.0.0.1", published) if published else None))
    data = engine.find("volume", {labels.STACK: stack, labels.PART: "data"})
    return View(tuple(parts), data, bool(engine.find("network", {labels.STACK: stack})))


def _inspect(engine: Engine, container: str) -> ContainerState | None:
    try:
        return engine.inspect(container)
    except Missing:
        return None


def raise_playground(
    engine: Engine,
    seat: Seat,
    services: tuple[ServicePlan, ...],
    roles: Mapping[str, RolePlan],
    images: Images,
    folder: Path,
) -> RoleBroke | None:
    """Raise all parts and mark the playground as whole. The caller holds the folder's lock.

    A learner's role that does not come up is told, not undone: the servers are up, and its log explains it.
    """
    before = engine.find("volume", {labels.STACK: seat.stack, labels.PART: "whole"})
    stack = Stack(
        engine, seat, services, roles, images=images, sealed=False, folder=folder, ports=_ports(before)
    )
    try:
        stack.up()
        trouble = _raise_roles(stack, roles)
    except BaseException:
        stack.abandon()
        remove_stack(engine, seat.stack, keep=("data", "whole") if before else ())
        raise
    ports = ",".join(f"{name}={door.port}" for name, door in stack.doors.items())
    engine.create_volume(seat.name(f"whole-{seat.run}"), {**seat.labels("whole"), PORTS: ports})
    for marker in before:
        engine.remove("volume", marker.id)
    stack.abandon()
    return trouble


def _raise_roles(stack: Stack, roles: Mapping[str, RolePlan]) -> RoleBroke | None:
    trouble = None
    for role in roles:
        try:
            stack.role(role, 1, {})
        except RoleBroke as broke:
            trouble = trouble or broke
    return trouble


def _ports(markers: tuple[Found, ...]) -> dict[str, int]:
    pairs = (
        pair.split("=") for marker in markers for pair in marker.labels.get(PORTS, "").split(",") if pair
    )
    return {name: int(port) for name, port in pairs}


def stop(engine: Engine, seat: Seat) -> tuple[Found, ...]:
    """Remove containers and network, keep the data. A marker lets the next command finish what a killed one began."""
    marker = seat.name(f"stopping-{seat.run}")
    engine.create_volume(marker, seat.labels("stopping"))
    removed = remove_stack(engine, seat.stack, keep=("data", "whole", "stopping"))
    engine.remove("volume", marker)
    return tuple(item for item in removed if item.kind == "container")


def forget(engine: Engine, stack: str) -> tuple[Found, ...]:
    """Remove all of a playground, its data too."""
    return remove_stack(engine, stack, keep=())
