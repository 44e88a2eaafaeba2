"""The stack that `start` leaves up for a learner: raised, looked at, stopped, put back. Prints nothing.

There is one playground a folder; its stack's id is the folder's. Labels are the only record: a volume that is named
`whole` marks a playground that was up once, and tells the ports it had, so that they stay the same next time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from roadmap_labs.content.shelf import Lab
from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import ContainerState, Engine, Found, Missing
from roadmap_labs.engine.sweep import KEPT_BY_STOP, remove_stack
from roadmap_labs.errors import EngineRefused, EngineUnavailable
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.network import Door, Listening
from roadmap_labs.stack.plan import Plans, RolePlan, Seat
from roadmap_labs.stack.running import Images, Stack

PORTS = labels.PREFIX + "ports"


@dataclass(frozen=True)
class Part:
    """One service or role of a playground, as the engine has it now; `state` None where it is gone."""

    name: str
    kind: str  # "service" or "role"
    state: ContainerState | None
    door: Door | None
    ports: Mapping[str, int]  # further ports by name, as published
    attached: bool = True  # to the playground's network

    @property
    def status(self) -> str:
        """The engine's word for it, or `missing`, or `disconnected` where it runs and nobody reaches it."""
        if self.state is None:
            return "missing"
        return self.state.status if self.attached or self.state.status != "running" else "disconnected"

    @property
    def running(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True)
class View:
    """A playground as the engine has it now."""

    parts: tuple[Part, ...]
    data: tuple[Found, ...]  # volumes that are kept
    network: bool
    stopping: bool = False  # a stop began and is not over

    @property
    def exists(self) -> bool:
        return any(part.state is not None for part in self.parts)

    @property
    def whole(self) -> bool:
        every = bool(self.parts) and all(part.running for part in self.parts)
        return self.network and every and not self.stopping


def expected(lab: Lab) -> tuple[tuple[str, str, Listening], ...]:
    """Name, kind and manifest of each part that a lab's playground has."""
    services = [(name, "service", service.manifest) for name, service in lab.services.items()]
    roles = [(f"{name}-1", "role", role) for name, role in lab.manifest.roles.items()]
    return (*services, *roles)


def look(engine: Engine, lab: Lab, stack: str) -> View:
    """What the engine has of a playground; never an error because something is missing."""
    found = {
        item.labels.get(labels.SERVICE, ""): item for item in engine.find("container", {labels.STACK: stack})
    }
    networks = {network.id for network in engine.find("network", {labels.STACK: stack})}
    parts = []
    for name, kind, manifest in expected(lab):
        state = _inspect(engine, found[name].id) if name in found else None
        published = state.published if state else {}
        door = Door("127.0.0.1", published[manifest.port]) if manifest.port in published else None
        ports = {word: published[port] for word, port in manifest.ports.items() if port in published}
        parts.append(Part(name, kind, state, door, ports, bool(state and networks & set(state.addresses))))
    volumes = engine.find("volume", {labels.STACK: stack})
    return View(
        tuple(parts),
        data=tuple(volume for volume in volumes if volume.labels.get(labels.PART) == "data"),
        network=bool(networks),
        stopping=any(volume.labels.get(labels.PART) == "stopping" for volume in volumes),
    )


def _inspect(engine: Engine, container: str) -> ContainerState | None:
    try:
        return engine.inspect(container)
    except Missing:
        return None


def raise_playground(
    engine: Engine,
    lab: Lab,
    seat: Seat,
    plans: Plans,
    images: Images,
    folder: Path,
) -> tuple[View, RoleBroke | None]:
    """Raise all parts and mark the playground as whole. The caller holds the folder's lock.

    A learner's role that does not come up is told, not undone: the servers are up, and its log explains it.
    """
    before = engine.find("volume", {labels.STACK: seat.stack, labels.PART: "whole"})
    if not before:
        remove_stack(engine, seat.stack, keep=())  # data of a start that never came to its end
    stack = Stack(engine, seat, plans, images=images, sealed=False, folder=folder, ports=_ports(before))
    try:
        stack.up()
        trouble = _raise_roles(stack, plans.roles)
        view = look(engine, lab, seat.stack)
        ports = ",".join(f"{name}={door.port}" for name, door in stack.doors.items() if door.port)
        # The last call that may fail: whoever is told that it did finds nothing of this playground.
        engine.create_volume(seat.name(f"whole-{seat.run}"), {**seat.labels("whole"), PORTS: ports})
    except BaseException:
        stack.abandon()
        remove_stack(engine, seat.stack, keep=("data", "whole") if before else ())
        raise
    stack.abandon()
    for marker in before:
        with suppress(EngineRefused, EngineUnavailable):  # one marker too many says nothing wrong
            engine.remove("volume", marker.id)
    return view, trouble


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
    """Remove containers and network, keep the data. A marker lets the next command finish what a killed one began.

    The caller holds the folder's lock, so a marker of somebody else is of a stop that failed: it goes, too. Left
    behind, it would be obeyed when its owner is gone, and take away the playground that was raised meanwhile.
    """
    engine.create_volume(seat.name(f"stopping-{seat.run}"), seat.labels("stopping"))
    removed = remove_stack(engine, seat.stack, keep=KEPT_BY_STOP)
    return tuple(item for item in removed if item.kind == "container")


def forget(engine: Engine, stack: str) -> tuple[Found, ...]:
    """Remove all of a playground, its data too."""
    return remove_stack(engine, stack, keep=())
