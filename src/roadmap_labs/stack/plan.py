"""What a stack will consist of, worked out before anything exists: names, labels, accounts, addresses.

Pure but for the random passwords. Knows nothing of the engine's calls.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from roadmap_labs.content.manifest import Role, ScaffoldManifest, ServiceManifest
from roadmap_labs.content.rendering import render_text
from roadmap_labs.content.shelf import Lab
from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import Limits

MIB = 1024 * 1024
CHECKER = "checker"

StackKind = Literal["playground", "check"]


@dataclass(frozen=True)
class Seat:
    """Who a stack belongs to. Everything of it is found again by these labels, and by nothing else."""

    stack: str
    run: str
    kind: StackKind
    lab: str
    lab_version: str
    workspace: str
    folder: str
    owner: str
    expires: int  # Unix seconds; 0 for never

    def labels(self, part: str, service: str = "") -> dict[str, str]:
        """The labels of one object; `part` says what it is to the stack."""
        found = {
            labels.STACK: self.stack,
            labels.RUN: self.run,
            labels.KIND: self.kind,
            labels.PART: part,
            labels.LAB: self.lab,
            labels.LAB_VERSION: self.lab_version,
            labels.WORKSPACE: self.workspace,
            labels.FOLDER: self.folder,
            labels.OWNER: self.owner,
        }
        if self.expires:
            found[labels.EXPIRES] = str(self.expires)
        if service:
            found[labels.SERVICE] = service
        return found

    def name(self, part: str) -> str:
        """A name that people can read in `docker ps`; container and volume names are unique on an engine."""
        return f"rl-{self.lab}-{self.stack}-{part}"


def seat(
    kind: StackKind, lab: Lab, *, workspace: str, folder: Path, run: str, owner: str, seconds: int = 0
) -> Seat:
    """The seat of a new stack. A playground is named by its folder, so there is one a folder; a check at random."""
    stack = workspace if kind == "playground" else secrets.token_hex(5)
    expires = int(time.time()) + seconds if seconds else 0
    return Seat(stack, run, kind, lab.slug, lab.manifest.version, workspace, str(folder), owner, expires)


@dataclass(frozen=True)
class ServicePlan:
    """One service of one stack, with its own accounts. Passwords never go to a log or a message."""

    name: str
    manifest: ServiceManifest
    image: str
    settings: Mapping[str, str]
    sealed: bool
    password: str = field(repr=False)
    checker_password: str = field(repr=False)
    show: str = ""  # the lab's own line for a terminal, where it has one

    def facts(self, host: str, port: int, ports: Mapping[str, int] | None = None) -> dict[str, object]:
        """What its templates may name; `ports` are the further ones as they are reached from that host."""
        return {
            **self.settings,
            "host": host,
            "port": port,
            "ports": dict(ports if ports is not None else self.manifest.ports),
            "password": self.password,
            "sealed": self.sealed,
        }

    def environment(self) -> dict[str, str]:
        """What the service's own container is told."""
        facts = self.facts(self.name, self.manifest.port) | {"checker_password": self.checker_password}
        where = f"service {self.name}"
        return {key: render_text(text, facts, where) for key, text in self.manifest.environment.items()}

    def url(self, host: str, port: int, settings: Mapping[str, str] | None = None) -> str:
        """The address with the learner's account, as a client library takes it; `settings` may differ."""
        facts = self.facts(host, port) | dict(settings or {})
        return render_text(self.manifest.url, facts, f"service {self.name}: url")

    def talk(self, host: str, port: int, ports: Mapping[str, int]) -> str:
        """A line for a terminal on the host that talks to the service."""
        facts = self.facts(host, port, ports)
        facts["url"] = self.url(host, port)
        return render_text(self.show or self.manifest.talk, facts, f"service {self.name}: talk")

    def shell(self) -> tuple[str, ...]:
        """The command that `roadmap-labs shell` runs inside the container."""
        facts = self.facts("127.0.0.1", self.manifest.port)
        return tuple(render_text(part, facts, f"service {self.name}: shell") for part in self.manifest.shell)


def plan_services(lab: Lab, images: Mapping[str, str], *, sealed: bool) -> tuple[ServicePlan, ...]:
    """All services of a lab. In a playground the password is the user's name, in a check it is random."""
    plans = []
    for name, use in lab.manifest.services.items():
        manifest = lab.services[name].manifest
        unknown = sorted(set(use.settings) - set(manifest.settings))
        if unknown:
            raise ValueError(
                f"{lab.slug}: {name} has no setting {unknown[0]}"
            )  # lint finds it before a learner does
        settings = {**manifest.settings, **use.settings}
        user = settings.get("user", "")
        password = secrets.token_hex(12) if sealed else user
        checker = secrets.token_hex(12) if sealed else ""
        plans.append(ServicePlan(name, manifest, images[name], settings, sealed, password, checker, use.show))
    return tuple(plans)


def stack_memory(lab: Lab) -> int:
    """MiB that one stack of a lab may take at most."""
    servers = (*lab.services.values(), *lab.hosts.values())
    replicas = sum(role.replicas for role in lab.manifest.roles.values())
    return sum(server.manifest.memory for server in servers) + 256 * replicas + 256


def room_for(lab: Lab, *, at_most: int, memory_bytes: int) -> int:
    """How many stacks of a lab may stand side by side, `at_most` so many for the processors, the rest for memory."""
    return max(1, min(at_most, memory_bytes // MIB // (2 * stack_memory(lab))))


def draw_secrets(lab: Lab, *, sealed: bool) -> dict[str, str]:
    """The lab's passwords: random in a check; in a playground, whose data outlives it, a secret's own name."""
    return {name: secrets.token_hex(12) if sealed else name for name in lab.manifest.secrets}


def role_facts(services: Iterable[ServicePlan], passwords: Mapping[str, str]) -> dict[str, object]:
    """What the variables of a role may name: every service, with `_` for `-`, and the lab's secrets."""
    found: dict[str, object] = {"secrets": dict(passwords)}
    for plan in services:
        facts = plan.facts(plan.name, plan.manifest.port)
        found[plan.name.replace("-", "_")] = facts | {"url": plan.url(plan.name, plan.manifest.port)}
    return found


@dataclass(frozen=True)
class Mount:
    """A part of the learner's folder, and where a role finds it."""

    folder: str  # "." for all of it
    target: str


@dataclass(frozen=True)
class RolePlan:
    """How the learner's code is run in one role."""

    name: str
    role: Role
    image: str
    environment: Mapping[str, str]
    limits: Limits
    user: str | None = None  # None: the image's own
    command: tuple[str, ...] | None = None  # None: the image's own CMD
    mounts: tuple[Mount, ...] = ()  # none: the image holds it
    working_dir: str | None = None  # None: the image's own
    data: str | None = None  # a folder that outlives a stop of the container
    scratch: Mapping[str, str] = field(default_factory=dict)  # folder -> size, in memory


def show_line(role: Role, host: str, port: int, ports: Mapping[str, int]) -> str:
    """A line for a terminal on the host that reaches a role there."""
    if role.show.startswith("/"):
        return f"curl -i http://{host}:{port}{role.show}"
    return render_text(role.show, {"host": host, "port": port, "ports": dict(ports)}, "show")


@dataclass(frozen=True)
class Plans:
    """All that a stack will consist of, and the lab's secrets in it."""

    services: tuple[ServicePlan, ...]
    roles: Mapping[str, RolePlan]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def plan_role(
    lab: Lab,
    name: str,
    facts: Mapping[str, object],
    *,
    image: str,
    scaffold: ScaffoldManifest | None,
    live: bool,
) -> RolePlan:
    """One role: in the recipe that it names, in a scaffold's image, or (scaffold None) in one of the learner's own."""
    role, host = lab.manifest.roles[name], lab.hosts.get(name)
    templates = role.environment if live else {**role.environment, **role.check_environment}
    environment = {
        key: render_text(text, facts, f"{lab.slug}: role {name}: {key}") for key, text in templates.items()
    }
    environment |= {"PORT": str(role.port), "ROLE": name, "HOME": "/tmp"}  # noqa: S108 (the only place it may write)
    if host is not None:
        manifest = host.manifest
        own = ServicePlan(name, manifest, image, manifest.settings, not live, "", "").environment()
        return RolePlan(
            name,
            role,
            image,
            own | environment,
            service_limits(manifest),
            user=manifest.user,
            mounts=tuple(Mount(folder, target) for folder, target in role.mounts.items()),
            data=manifest.data,
            scratch={"/tmp": "64m", **manifest.scratch},  # noqa: S108
        )
    plan = RolePlan(name, role, image, environment, Limits(256 * MIB, 128), scratch={"/tmp": "64m"})  # noqa: S108
    if scaffold is None:
        return plan
    return replace(
        plan,
        limits=Limits(scaffold.memory * MIB, scaffold.processes),
        user=scaffold.user,
        command=(live and scaffold.live) or scaffold.run,
        mounts=(Mount(role.folder, scaffold.source),),
        working_dir=scaffold.source,
    )


def service_limits(manifest: ServiceManifest) -> Limits:
    """What one server may use."""
    return Limits(
        memory_bytes=manifest.memory * MIB,
        processes=manifest.processes,
        cpus=2.0,
        open_files=8192,
        file_bytes=1024 * MIB,
        log_bytes=4 * MIB,
        shm_bytes=64 * MIB,
    )
