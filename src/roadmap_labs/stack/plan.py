"""What a stack will consist of, worked out before anything exists: names, labels, accounts, addresses.

Pure but for the random passwords. Knows nothing of the engine's calls.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from roadmap_labs.content.manifest import Role, ScaffoldManifest, ServiceManifest
from roadmap_labs.content.rendering import render_text
from roadmap_labs.content.shelf import Lab
from roadmap_labs.engine import labels

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

    def _facts(self, host: str, port: int) -> dict[str, object]:
        return {
            **self.settings,
            "host": host,
            "port": port,
            "password": self.password,
            "checker_password": self.checker_password,
            "sealed": self.sealed,
        }

    def environment(self) -> dict[str, str]:
        """What the service's own container is told."""
        facts = self._facts(self.name, self.manifest.port)
        where = f"service {self.name}"
        return {key: render_text(text, facts, where) for key, text in self.manifest.environment.items()}

    def url(self, host: str, port: int) -> str:
        """The address with the learner's account, as a client library takes it."""
        return render_text(self.manifest.url, self._facts(host, port), f"service {self.name}: url")

    def talk(self, host: str, port: int) -> str:
        """A line for a terminal on the host that talks to the service."""
        facts = self._facts(host, port)
        facts["url"] = self.url(host, port)
        return render_text(self.manifest.talk, facts, f"service {self.name}: talk")

    def shell(self) -> tuple[str, ...]:
        """The command that `roadmap-labs shell` runs inside the container."""
        facts = self._facts("127.0.0.1", self.manifest.port)
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
        plans.append(ServicePlan(name, manifest, images[name], settings, sealed, password, checker))
    return tuple(plans)


def room_for(lab: Lab, *, cpus: int, memory_bytes: int) -> int:
    """How many stacks of a lab may stand side by side: checks wait much, but a stack's start does not."""
    replicas = sum(role.replicas for role in lab.manifest.roles.values())
    stack = sum(service.manifest.memory for service in lab.services.values()) + 256 * replicas + 256
    return max(1, min(cpus, memory_bytes // MIB // (2 * stack)))


@dataclass(frozen=True)
class RolePlan:
    """How the learner's code is run in one role."""

    name: str
    role: Role
    image: str
    user: str | None  # None: the image's own
    command: tuple[str, ...] | None  # None: the image's own CMD
    source: str | None  # where the learner's folder is mounted; None: the image holds it
    memory_mib: int
    processes: int
    environment: Mapping[str, str]


def plan_role(
    lab: Lab,
    name: str,
    services: tuple[ServicePlan, ...],
    *,
    image: str,
    scaffold: ScaffoldManifest | None,
    live: bool,
) -> RolePlan:
    """One role: in a scaffold's image with the folder mounted, or (scaffold None) in an image of the learner's own."""
    role = lab.manifest.roles[name]
    facts = {
        plan.name: {"url": plan.url(plan.name, plan.manifest.port), **plan.settings} for plan in services
    }
    templates = role.environment if live else {**role.environment, **role.check_environment}
    environment = {
        key: render_text(text, facts, f"{lab.slug}: role {name}: {key}") for key, text in templates.items()
    }
    environment |= {"PORT": str(role.port), "ROLE": name, "HOME": "/tmp"}  # noqa: S108 (the only place it may write)
    if scaffold is None:
        return RolePlan(name, role, image, None, None, None, 256, 128, environment)
    command = scaffold.live if live else scaffold.run
    return RolePlan(
        name,
        role,
        image,
        scaffold.user,
        command,
        scaffold.source,
        scaffold.memory,
        scaffold.processes,
        environment,
    )
