"""Raises one running copy of a lab and answers for it until it is gone. Knows nothing of checks or people.

Services start side by side; a role starts when its services answer, because a program may rightly need them at its
first line. Everything carries the seat's labels from the call that creates it, so whatever happens to this process,
the copy can be found and removed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from roadmap_labs.content.submission import Submission
from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import (
    Attachment,
    Conflict,
    ContainerSpec,
    Engine,
    FolderMount,
    Limits,
    VolumeMount,
)
from roadmap_labs.engine.sweep import remove_stack
from roadmap_labs.errors import LabBroken
from roadmap_labs.files import pack
from roadmap_labs.stack import evidence, ready
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.network import (
    FIRST_PEER_INDEX,
    Door,
    Network,
    edge_network,
    lab_network,
    raise_relay,
)
from roadmap_labs.stack.plan import MIB, RolePlan, Seat, ServicePlan

SERVICE_SECONDS = 60.0  # the reference needs 0.5 s; a loaded laptop may need twenty times that
ROLE_SECONDS = 30.0
_SCRATCH = "size={size},nr_inodes=16k,mode=1777"


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
        names = [plan.name for plan in self.services]
        names += [
            f"{role}-{n}" for role, plan in self.roles.items() for n in range(1, plan.role.replicas + 1)
        ]
        return {name: index for index, name in enumerate(names, FIRST_PEER_INDEX)}

    # -- services -----------------------------------------------------------------------------------------------

    def up(self, *, ready_seconds: float = SERVICE_SECONDS) -> None:
        """Raise networks, relay and services, and return when each service answers a login."""
        network = self._pool.submit(lab_network, self.engine, self.seat, sealed=self.sealed)
        edge = self._pool.submit(edge_network, self.engine, self.seat) if self.sealed else None
        if self._submission is not None and any(plan.source for plan in self.roles.values()):
            self._source = self._pool.submit(self._deliver, self._submission)
        self._network = network.result()
        relay = self._pool.submit(self._relay, self._network, edge.result()) if edge else None
        started = {
            plan.name: self._pool.submit(self._start_service, plan, self._network) for plan in self.services
        }
        for name, future in started.items():
            self.containers[name] = future.result()
        if relay is not None:
            self.doors = relay.result()
        deadline = time.monotonic() + ready_seconds * self.time_factor
        waits = [self._pool.submit(self._await_service, plan, deadline) for plan in self.services]
        for wait in waits:
            wait.result()

    def _relay(self, network: Network, edge: Network) -> dict[str, Door]:
        ports = {plan.name: plan.manifest.port for plan in self.services}
        for name, plan in self.roles.items():
            ports |= {f"{name}-{n}": plan.role.port for n in range(1, plan.role.replicas + 1)}
        targets = {name: (self._indexes[name], port) for name, port in ports.items()}
        return raise_relay(self.engine, self.seat, self.images.relay, network, edge, targets)

    def _start_service(self, plan: ServicePlan, network: Network) -> str:
        manifest = plan.manifest
        scratch = {target: _SCRATCH.format(size=size) for target, size in manifest.scratch.items()}
        volumes: tuple[VolumeMount, ...] = ()
        if manifest.data and self.sealed:
            # Nothing of a check outlives its containers, and writing 1300 small files to a disk takes 0.7 s.
            uid, gid = manifest.user.split(":")
            scratch[manifest.data] = f"size={manifest.data_size},uid={uid},gid={gid},mode=0700"
        elif manifest.data:
            volumes = (VolumeMount(self._data_volume(plan.name), manifest.data),)
        spec = ContainerSpec(
            name=self.seat.name(plan.name),
            image=plan.image,
            labels=self.seat.labels("service", plan.name),
            attachment=Attachment(network.id, network.address(self._indexes[plan.name]), (plan.name,)),
            environment=plan.environment(),
            user=manifest.user,
            volumes=volumes,
            tmpfs=scratch,
            publish={} if self.sealed else {manifest.port: self._ports.get(plan.name)},
            limits=Limits(
                memory_bytes=manifest.memory * MIB,
                processes=manifest.processes,
                cpus=2.0,
                open_files=8192,
                file_bytes=1024 * MIB,
                log_bytes=4 * MIB,
                shm_bytes=64 * MIB,
            ),
        )
        container = self._create_and_start(spec)
        if not self.sealed:
            self.doors[plan.name] = self._published(container, manifest.port)
        return container

    def _data_volume(self, service: str) -> str:
        """The volume of a service's data; a playground goes on with the one that it has."""
        volume, marks = self.seat.name(f"{service}-data"), self.seat.labels("data", service)
        kept = {key: marks[key] for key in (labels.STACK, labels.PART, labels.SERVICE)}
        if not self.engine.find("volume", kept):
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
        return Door("127.0.0.1", self.engine.inspect(container).published[port])

    def _await_service(self, plan: ServicePlan, deadline: float) -> None:
        door, container = self.doors[plan.name], self.containers[plan.name]
        next_look = time.monotonic() + 0.5
        while not ready.service_answers(plan, door.host, door.port):
            now = time.monotonic()
            if now > deadline or (now > next_look and self._has_ended(container)):
                lines = "\n  ".join(evidence.log_lines(self.engine, container))
                raise LabBroken(
                    f"Service {plan.name} of {self.seat.lab} did not become ready. Its last lines:\n  {lines}",
                    cure="Look at the engine's room:  roadmap-labs doctor",
                )
            if now > next_look:
                next_look = now + 0.5
            time.sleep(ready.POLL_SECONDS)  # between two attempts, not instead of one

    def _has_ended(self, container: str) -> bool:
        return self.engine.inspect(container).status in ("exited", "dead")

    # -- roles --------------------------------------------------------------------------------------------------

    def _deliver(self, submission: Submission) -> str:
        """Put the learner's files into a volume through a container that is never started."""
        volume = self.seat.name("source")
        self.engine.create_volume(volume, self.seat.labels("source"))
        loader = self.engine.create_container(
            ContainerSpec(
                name=self.seat.name("loader"),
                image=self.images.base,
                labels=self.seat.labels("loader"),
                command=("true",),
                volumes=(VolumeMount(volume, "/source"),),
                loader=True,
            )
        )
        try:
            self.engine.put_archive(loader, "/source", pack(submission.files))
        finally:
            self.engine.remove("container", loader)
        return volume

    def role(self, name: str, replicas: int, environment: Mapping[str, str]) -> tuple[Replica, ...]:
        """So many replicas of a role with these variables added, running and ready; what fits already is kept."""
        names = [f"{name}-{number}" for number in range(1, replicas + 1)]
        futures = [self._pool.submit(self._replica, name, replica, environment) for replica in names]
        return tuple(future.result() for future in futures)

    def _replica(self, role: str, name: str, extra: Mapping[str, str]) -> Replica:
        plan = self.roles[role]
        environment = {**plan.environment, **extra}
        known = self.replicas.get(name)
        if known is not None:
            if known.environment == environment and self.engine.inspect(known.container).status == "running":
                return known
            self._drop(name)
        spec = self._role_spec(plan, name, environment)
        container = self._create_and_start(spec)
        self.containers[name] = container
        if not self.sealed:
            self.doors[name] = self._published(container, plan.role.port)
        replica = Replica(name, container, self.doors[name], spec.attachment.address or "", environment)  # type: ignore[union-attr]
        self._await_role(plan, replica, spec.limits)
        self.replicas[name] = replica
        return replica

    def _drop(self, name: str) -> None:
        self.replicas.pop(name, None)
        self.doors = (
            self.doors if self.sealed else {key: door for key, door in self.doors.items() if key != name}
        )
        self.engine.remove("container", self.containers.pop(name))

    def _role_spec(self, plan: RolePlan, name: str, environment: Mapping[str, str]) -> ContainerSpec:
        network = self._network
        if network is None:
            raise RuntimeError("a role is asked for before the stack is up")
        volumes: tuple[VolumeMount, ...] = ()
        folders: tuple[FolderMount, ...] = ()
        if plan.source and self._source is not None:
            volumes = (VolumeMount(self._source.result(), plan.source, read_only=True),)
        elif plan.source and self._folder is not None:
            folders = (FolderMount(str(self._folder), plan.source),)
        return ContainerSpec(
            name=self.seat.name(name),
            image=plan.image,
            labels=self.seat.labels("role", name),
            attachment=Attachment(network.id, network.address(self._indexes[name]), (name,)),
            command=plan.command,
            environment=environment,
            user=plan.user,
            working_dir=plan.source,
            volumes=volumes,
            folders=folders,
            tmpfs={"/tmp": _SCRATCH.format(size="64m")},  # noqa: S108
            publish={} if self.sealed else {plan.role.port: self._ports.get(name)},
            limits=Limits(memory_bytes=plan.memory_mib * MIB, processes=plan.processes),
            outside_names=not self.sealed,
        )

    def _await_role(self, plan: RolePlan, replica: Replica, limits: Limits) -> None:
        deadline = time.monotonic() + ROLE_SECONDS * self.time_factor
        next_look = time.monotonic() + 0.1
        while ready.http_status(replica.door.host, replica.door.port, plan.role.ready) != 200:
            now = time.monotonic()
            if now > next_look:
                next_look = now + 0.1
                self._raise_if_ended(replica, limits, "before it was ready")
            if now > deadline:
                raise self._why_silent(plan, replica)
            time.sleep(ready.POLL_SECONDS)  # between two attempts, not instead of one

    def _raise_if_ended(self, replica: Replica, limits: Limits, moment: str) -> None:
        state = self.engine.inspect(replica.container)
        if state.status in ("exited", "dead"):
            lines = evidence.log_lines(self.engine, replica.container)
            broke = evidence.ended(replica.name, state, limits, lines, moment)
            if broke is not None:
                raise broke

    def _why_silent(self, plan: RolePlan, replica: Replica) -> RoleBroke:
        seen = evidence.look_at_sockets(self.engine, self.seat, replica.container, self.images.base)
        broke = evidence.nothing_listens(replica.name, plan.role.port, seen)
        if broke.code == "L-PORT":
            return broke
        lines = "\n".join(evidence.log_lines(self.engine, replica.container)) or "(it printed nothing)"
        seconds = ROLE_SECONDS * self.time_factor
        return RoleBroke(
            "L-TIME",
            f"{replica.name} did not answer GET {plan.role.ready} with 200 within {seconds:.0f} s.",
            expected=f"200 at {plan.role.ready} as soon as the first request may be sent",
            observed=lines,
        )

    def ended_roles(self) -> tuple[RoleBroke, ...]:
        """What every replica that should run and does not says of its end; such a replica is forgotten."""
        found = []
        for name, replica in list(self.replicas.items()):
            try:
                plan = self.roles[name.rsplit("-", 1)[0]]
                self._raise_if_ended(replica, Limits(memory_bytes=plan.memory_mib * MIB), "during this check")
            except RoleBroke as broke:
                found.append(broke)
                self._drop(name)
        return tuple(found)

    # -- the end ------------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Let go of it without removing anything; waits for calls that are under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def down(self) -> None:
        """Remove all of it; what is gone already is fine."""
        self.abandon()
        remove_stack(self.engine, self.seat.stack, keep=())
