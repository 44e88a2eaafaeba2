"""Raises one running copy of a lab and answers for it until it is gone. Knows nothing of checks or people.

Services start side by side; a role starts when its services answer, because a program may rightly need them at its
first line. Everything carries the seat's labels from the call that creates it, so whatever happens to this process,
the copy can be found and removed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from roadmap_labs.content.manifest import role_of
from roadmap_labs.content.submission import Submission
from roadmap_labs.engine.protocol import Attachment, Conflict, ContainerSpec, Engine, FolderMount, VolumeMount
from roadmap_labs.engine.sweep import remove_stack
from roadmap_labs.stack import awaiting, evidence, ready, specs
from roadmap_labs.stack.delivery import LearnersFiles
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.network import (
    FIRST_PEER_INDEX,
    Door,
    Network,
    doors_of,
    edge_network,
    lab_network,
    raise_relay,
)
from roadmap_labs.stack.plan import Plans, RolePlan, Seat, ServicePlan
from roadmap_labs.stack.volumes import Volumes


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
        plans: Plans,
        *,
        images: Images,
        sealed: bool,
        submission: Submission | None = None,
        folder: Path | None = None,
        ports: Mapping[str, int] | None = None,
        time_factor: float = 1.0,
    ) -> None:
        self.engine, self.seat, self.plans = engine, seat, plans
        self.images, self.sealed, self.time_factor = images, sealed, time_factor
        self.submission = submission
        self._ports = dict(ports or {})  # playground: the ports of last time, if they are still free
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="stack")
        self._indexes = {name: index for index, name in enumerate(self._peers(), FIRST_PEER_INDEX)}
        self._network: Network | None = None
        self._once, self._numbers = Lock(), itertools.count(1)
        self._files = LearnersFiles(engine, seat, images.base, submission, folder)
        self._volumes = Volumes(engine, seat)
        self.containers: dict[str, str] = {}  # service or replica name -> container id
        self.doors: dict[str, Door] = {}  # by the name of a peer, or "peer:port name" for a further port
        self.replicas: dict[str, Replica] = {}

    @property
    def services(self) -> tuple[ServicePlan, ...]:
        return self.plans.services

    @property
    def roles(self) -> Mapping[str, RolePlan]:
        return self.plans.roles

    def _peers(self) -> Mapping[str, Mapping[str, int]]:
        """Every peer that there may be, in a fixed order, and the ports that it listens on, by door."""
        peers: dict[str, Mapping[str, int]] = {
            plan.name: doors_of(plan.name, plan.manifest) for plan in self.services
        }
        for name, plan in self.roles.items():
            replicas = [f"{name}-{number}" for number in range(1, plan.role.replicas + 1)]
            peers |= {replica: doors_of(replica, plan.role) for replica in replicas}
        return peers

    # -- services -----------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Raise networks, relay and services, and return when each service answers a login."""
        network = self._pool.submit(lab_network, self.engine, self.seat, sealed=self.sealed)
        edge = self._pool.submit(edge_network, self.engine, self.seat) if self.sealed else None
        folders = {mount.folder for plan in self.roles.values() for mount in plan.mounts}
        self._files.deliver(folders, self._pool)
        shared = self._pool.submit(self._volumes.share, self.services)
        self._pool.submit(ready.warm, self.services)
        self._network = network.result()
        relay = self._pool.submit(self._relay, self._network, edge.result()) if edge else None
        shared.result()
        started = {plan.name: self._pool.submit(self._start_service, plan) for plan in self.services}
        for name, future in started.items():
            self.containers[name] = future.result()
        if relay is not None:
            self.doors = relay.result()
        waits = [self._pool.submit(self._await_service, plan) for plan in self.services]
        for wait in waits:
            wait.result()

    def _relay(self, network: Network, edge: Network) -> dict[str, Door]:
        targets = {
            door: (self._indexes[name], port)
            for name, doors in self._peers().items()
            for door, port in doors.items()
        }
        return raise_relay(self.engine, self.seat, self.images.relay, network, edge, targets)

    def _leg(self, name: str) -> Attachment:
        if self._network is None:
            raise RuntimeError(f"{name} is asked for before the stack is up")
        plan = self.roles.get(role_of(name)) if name not in self._service_names() else None
        aliases = (name, plan.name) if plan is not None and plan.role.replicas == 1 else (name,)
        return Attachment(self._network.id, self._network.address(self._indexes[name]), aliases)

    def _service_names(self) -> frozenset[str]:
        return frozenset(plan.name for plan in self.services)

    def _start_service(self, plan: ServicePlan) -> str:
        keeps = plan.manifest.data and (not self.sealed or plan.manifest.keep_data)
        spec = specs.service_spec(
            self.seat,
            plan,
            self._leg(plan.name),
            data=self._volumes.kept(plan.name) if keeps else None,
            shared=self._volumes.shared(plan.name) if plan.manifest.shared else None,
            publish=self._publish(doors_of(plan.name, plan.manifest)),
        )
        container = self._create_and_start(spec)
        self._open(container, doors_of(plan.name, plan.manifest))
        return container

    def _publish(self, doors: Mapping[str, int]) -> dict[int, int | None]:
        return {} if self.sealed else {port: self._ports.get(door) for door, port in doors.items()}

    def _open(self, container: str, doors: Mapping[str, int]) -> None:
        """Find out where a playground's container is reached; a sealed stack is reached through the relay."""
        if not self.sealed:
            # One that has ended publishes nothing. Port 0 answers nobody, and whoever waits there finds the end.
            published = self.engine.inspect(container).published
            self.doors |= {door: Door("127.0.0.1", published.get(port, 0)) for door, port in doors.items()}

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

    def _await_service(self, plan: ServicePlan) -> None:
        seconds = awaiting.SERVICE_SECONDS * self.time_factor
        doors = {name: self.doors[name] for name in doors_of(plan.name, plan.manifest)}
        awaiting.await_service(self.engine, plan, doors, self.containers[plan.name], seconds=seconds)

    # -- roles --------------------------------------------------------------------------------------------------

    def role(
        self, name: str, replicas: int, environment: Mapping[str, str], *, fresh: bool = False
    ) -> tuple[Replica, ...]:
        """So many replicas of a role with these variables added, running and ready; what fits already is kept.

        With `fresh` none is kept: new containers, with empty data.
        """
        names = [f"{name}-{number}" for number in range(1, replicas + 1)]
        futures = [self._pool.submit(self._replica, name, replica, environment, fresh) for replica in names]
        return tuple(future.result() for future in futures)

    def _replica(self, role: str, name: str, extra: Mapping[str, str], fresh: bool) -> Replica:
        plan = self.roles[role]
        environment = {**plan.environment, **extra}
        known = self.replicas.get(name)
        if not fresh and known is not None and known.environment == environment and self._runs(known):
            return known
        self.drop(name)
        leg, doors = self._leg(name), doors_of(name, plan.role)
        volumes, folders = self._mounts(plan, name)
        spec = specs.role_spec(
            self.seat,
            plan,
            name,
            leg,
            environment,
            volumes=volumes,
            folders=folders,
            publish=self._publish(doors),
        )
        container = self.containers[name] = self._create_and_start(spec)
        self._open(container, doors)
        self._await_role(plan, name, container)
        replica = self.replicas[name] = Replica(
            name, container, self.doors[name], leg.address or "", environment
        )
        return replica

    def _mounts(
        self, plan: RolePlan, name: str | None
    ) -> tuple[tuple[VolumeMount, ...], tuple[FolderMount, ...]]:
        """Where a role finds the learner's files, what services share with it, and its own data (if it has a name)."""
        volumes, folders = self._files.mounts(plan)
        shares = [
            VolumeMount(self._volumes.shared(service), target, read_only=True)
            for service, target in plan.role.shares.items()
        ]
        if not plan.data or name is None:
            return (*volumes, *shares), folders
        data = self._volumes.fresh(name) if self.sealed else self._volumes.kept(name)
        return (*volumes, *shares, VolumeMount(data, plan.data)), folders

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
        """Remove a replica and its data, whether it ever was ready or not."""
        self.replicas.pop(name, None)
        container = self.containers.pop(name, None)
        if container is not None:
            self.engine.remove("container", container)
        self._volumes.drop(name)

    def once(
        self, role: str, command: tuple[str, ...], environment: Mapping[str, str], seconds: float
    ) -> tuple[int | None, bytes]:
        """Run a command in a container of a role's image and variables; exit code (None: too late) and its output."""
        plan = self.roles[role]
        if self._network is None:
            raise RuntimeError(f"{role} is asked for before the stack is up")
        number = next(self._numbers)
        address = self._network.address(
            FIRST_PEER_INDEX + len(self._indexes)
        )  # beside every peer that may come
        volumes, folders = self._mounts(plan, None)
        spec = specs.role_spec(
            self.seat,
            plan,
            f"{role}-once-{number}",
            Attachment(self._network.id, address),
            {**plan.environment, **environment},
            volumes=volumes,
            folders=folders,
            command=command,
        )
        with self._once:  # one at a time, because of the address
            container = self.engine.create_container(spec)
            try:
                self.engine.start(container)
                ended = awaiting.await_end(self.engine, container, seconds=seconds)
                return (self.engine.inspect(container).exit_code if ended else None), self.engine.logs(
                    container
                )
            finally:
                self.engine.remove("container", container)

    def ended_roles(self) -> dict[str, RoleBroke]:
        """What every replica that should run and does not says of its end, by its name."""
        found = {}
        for name, replica in list(self.replicas.items()):
            try:
                plan = self.roles[role_of(name)]
                awaiting.raise_if_ended(self.engine, plan, name, replica.container, "during this check")
            except RoleBroke as broke:
                found[name] = broke
        return found

    def crowded_roles(self) -> dict[str, RoleBroke]:
        """What every replica that runs as many processes as it may says of its failure, by its name."""
        found = {}
        for name, replica in list(self.replicas.items()):
            count = self.engine.processes(replica.container)
            crowd = evidence.crowded(name, count, self.roles[role_of(name)].limits)
            if crowd is not None:
                found[name] = crowd
        return found

    # -- disturbances: what stack/disturbing.py needs and only a stack can do -----------------------------------

    def start_again(self, name: str) -> None:
        """Start a service that has ended, and return when it answers a login; a replica is only started."""
        self.engine.start(self.containers[name])
        for plan in self.services:
            if plan.name == name:
                self._await_service(plan)

    def rewrite(self, path: str, content: bytes | None) -> None:
        """Replace a file of the learner's folder as every role sees it; None puts back what was handed in."""
        self._files.rewrite(path, content, self.roles.values())

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
