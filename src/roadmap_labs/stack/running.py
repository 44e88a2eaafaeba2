"""Raises one running copy of a lab and answers for it until it is gone. Knows nothing of checks or people.

Services start side by side; a role starts when its services answer, because a program may rightly need them at its
first line. Everything carries the seat's labels from the call that creates it, so whatever happens to this process,
the copy can be found and removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from roadmap_labs.content.submission import Submission
from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import Attachment, Conflict, ContainerSpec, Engine
from roadmap_labs.engine.sweep import remove_stack
from roadmap_labs.files import pack
from roadmap_labs.stack import awaiting, ready, specs
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.network import (
    FIRST_PEER_INDEX,
    Door,
    Network,
    edge_network,
    lab_network,
    raise_relay,
)
from roadmap_labs.stack.plan import RolePlan, Seat, ServicePlan


@dataclass(frozen=True)
class Replica:
    """One running container of a role."""

    name: str
    container: str
    door: Door
    address: str  # on the lab network
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Images:
    """The images that every stack needs besides those of its services and roles."""

    base: str
    relay: str


class Stack:
    """One running copy. `up` raises the services, `role` the learner's code, `down` removes all of it."""

    def __init__(
        self,
        engine: Engine,
        seat: Seat,
        services: tuple[ServicePlan, ...],
        roles: Mapping[str, RolePlan],
        *,
        images: Images,
        sealed: bool,
        submission: Submission | None = None,
        folder: Path | None = None,
        ports: Mapping[str, int] | None = None,
        time_factor: float = 1.0,
    ) -> None:
        self.engine, self.seat, self.services, self.roles = engine, seat, services, dict(roles)
        self.images, self.sealed, self.time_factor = images, sealed, time_factor
        self._submission, self._folder = submission, folder
        self._ports = dict(ports or {})  # playground: the ports of last time, if they are still free
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="stack")
        self._indexes = self._number_peers()
        self._network: Network | None = None
        self._source: Future[str] | None = None
        self.containers: dict[str, str] = {}  # service or replica name -> container id
        self.doors: dict[str, Door] = {}
        self.replicas: dict[str, Replica] = {}

    def _number_peers(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self._peer_ports(), FIRST_PEER_INDEX)}

    def _peer_ports(self) -> dict[str, int]:
        """Every peer that there may be, in a fixed order, and the port that it listens on."""
        ports = {plan.name: plan.manifest.port for plan in self.services}
        for name, plan in self.roles.items():
            ports |= {f"{name}-{number}": plan.role.port for number in range(1, plan.role.replicas + 1)}
        return ports

    # -- services -----------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Raise networks, relay and services, and return when each service answers a login."""
        network = self._pool.submit(lab_network, self.engine, self.seat, sealed=self.sealed)
        edge = self._pool.submit(edge_network, self.engine, self.seat) if self.sealed else None
        if self._submission is not None and any(plan.source for plan in self.roles.values()):
            self._source = self._pool.submit(self._deliver, self._submission)
        self._pool.submit(ready.warm, self.services)
        self._network = network.result()
        relay = self._pool.submit(self._relay, self._network, edge.result()) if edge else None
        started = {plan.name: self._pool.submit(self._start_service, plan) for plan in self.services}
        for name, future in started.items():
            self.containers[name] = future.result()
        if relay is not None:
            self.doors = relay.result()
        waits = [self._pool.submit(self._await_service, plan) for plan in self.services]
        for wait in waits:
            wait.result()

    def _deliver(self, submission: Submission) -> str:
        """Put the learner's files into a volume of their own; returns its name."""
        volume, target = self.seat.name("source"), "/source"
        self.engine.create_volume(volume, self.seat.labels("source"))
        loader = self.engine.create_container(specs.loader_spec(self.seat, self.images.base, volume, target))
        try:
            self.engine.put_archive(loader, target, pack(submission.files))
        finally:
            self.engine.remove("container", loader)
        return volume

    def _relay(self, network: Network, edge: Network) -> dict[str, Door]:
        targets = {name: (self._indexes[name], port) for name, port in self._peer_ports().items()}
        return raise_relay(self.engine, self.seat, self.images.relay, network, edge, targets)

    def _leg(self, name: str) -> Attachment:
        if self._network is None:
            raise RuntimeError(f"{name} is asked for before the stack is up")
        return Attachment(self._network.id, self._network.address(self._indexes[name]), (name,))

    def _start_service(self, plan: ServicePlan) -> str:
        data = self._data_volume(plan.name) if plan.manifest.data and not self.sealed else None
        port = self._ports.get(plan.name)
        spec = specs.service_spec(self.seat, plan, self._leg(plan.name), data=data, port=port)
        container = self._create_and_start(spec)
        if not self.sealed:
            self.doors[plan.name] = self._published(container, plan.manifest.port)
        return container

    def _data_volume(self, service: str) -> str:
        """The volume of a service's data; a playground goes on with the one that it has."""
        marks = self.seat.labels("data", service)
        kept = self.engine.find(
            "volume", {key: marks[key] for key in (labels.STACK, labels.PART, labels.SERVICE)}
        )
        if kept:
            return kept[0].name
        # Named by the run: what still removes a dead run's volume must never mean this one.
        volume = self.seat.name(f"{service}-data-{self.seat.run}")
        self.engine.create_volume(volume, marks)
        return volume

    def _create_and_start(self, spec: ContainerSpec) -> str:
        container = self.engine.create_container(spec)
        try:
            self.engine.start(container)
        except Conflict:
            # The port of last time is taken by somebody else now: any port will do.
            self.engine.remove("container", container)
            if not any(spec.publish.values()):
                raise
            container = self.engine.create_container(replace(spec, publish=dict.fromkeys(spec.publish)))
            self.engine.start(container)
        return container

    def _published(self, container: str, port: int) -> Door:
        # One that has ended already publishes nothing. Port 0 answers nobody, and whoever waits there finds the end.
        return Door("127.0.0.1", self.engine.inspect(container).published.get(port, 0))

    def _await_service(self, plan: ServicePlan) -> None:
        seconds = awaiting.SERVICE_SECONDS * self.time_factor
        door, container = self.doors[plan.name], self.containers[plan.name]
        awaiting.await_service(self.engine, plan, door, container, seconds=seconds)

    # -- roles --------------------------------------------------------------------------------------------------

    def role(self, name: str, replicas: int, environment: Mapping[str, str]) -> tuple[Replica, ...]:
        """So many replicas of a role with these variables added, running and ready; what fits already is kept."""
        names = [f"{name}-{number}" for number in range(1, replicas + 1)]
        futures = [self._pool.submit(self._replica, name, replica, environment) for replica in names]
        return tuple(future.result() for future in futures)

    def _replica(self, role: str, name: str, extra: Mapping[str, str]) -> Replica:
        plan = self.roles[role]
        environment = {**plan.environment, **extra}
        known = self.replicas.get(name)
        if known is not None and known.environment == environment and self._runs(known):
            return known
        self.drop(name)
        leg = self._leg(name)
        spec = specs.role_spec(
            self.seat,
            plan,
            name,
            leg,
            environment,
            source=self._source.result() if self._source else None,
            folder=self._folder,
            publish={} if self.sealed else {plan.role.port: self._ports.get(name)},
        )
        container = self.containers[name] = self._create_and_start(spec)
        if not self.sealed:
            self.doors[name] = self._published(container, plan.role.port)
        self._await_role(plan, name, container)
        replica = self.replicas[name] = Replica(
            name, container, self.doors[name], leg.address or "", environment
        )
        return replica

    def _runs(self, replica: Replica) -> bool:
        return self.engine.inspect(replica.container).status == "running"

    def _await_role(self, plan: RolePlan, name: str, container: str) -> None:
        seconds = awaiting.ROLE_SECONDS * self.time_factor
        try:
            awaiting.await_role(self.engine, plan, name, self.doors[name], container, seconds=seconds)
        except TimeoutError:
            image = self.images.base
            raise awaiting.why_silent(self.engine, self.seat, plan, name, container, image=image) from None

    def drop(self, name: str) -> None:
        """Remove a replica, whether it ever was ready or not."""
        self.replicas.pop(name, None)
        container = self.containers.pop(name, None)
        if container is not None:
            self.engine.remove("container", container)

    def ended_roles(self) -> dict[str, RoleBroke]:
        """What every replica that should run and does not says of its end, by its name."""
        found = {}
        for name, replica in list(self.replicas.items()):
            try:
                plan = self.roles[name.rsplit("-", 1)[0]]
                awaiting.raise_if_ended(self.engine, plan, name, replica.container, "during this check")
            except RoleBroke as broke:
                found[name] = broke
        return found

    # -- disturbances: what stack/disturbing.py needs and only a stack can do -----------------------------------

    def start_again(self, name: str) -> None:
        """Start a service that has ended, and return when it answers a login."""
        plan = next(plan for plan in self.services if plan.name == name)
        self.engine.start(self.containers[name])
        self._await_service(plan)

    def cut(self, name: str) -> None:
        """Take a container off the lab's network."""
        self.engine.disconnect(self.containers[name], self._leg(name).network)

    def mend(self, name: str) -> None:
        """Put a container back on the lab's network, where it stood."""
        leg = self._leg(name)
        if leg.network not in self.engine.inspect(self.containers[name]).addresses:
            self.engine.connect(self.containers[name], leg)

    # -- the end ------------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Let go of it without removing anything; waits for calls that are under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def keep(self) -> None:
        """Let go of it as it is, marked so that no sweep takes it before its time."""
        self.abandon()
        self.engine.create_volume(self.seat.name("whole"), self.seat.labels("whole"))

    def down(self) -> None:
        """Remove all of it; what is gone already is fine."""
        self.abandon()
        remove_stack(self.engine, self.seat.stack, keep=())
