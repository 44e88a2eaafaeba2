"""Turns the plans of services and roles into containers to be created. Pure; creates nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from roadmap_labs.engine.protocol import (
    Attachment,
    ContainerSpec,
    FolderMount,
    Limits,
    VolumeMount,
)
from roadmap_labs.stack.plan import MIB, RolePlan, Seat, ServicePlan

_SCRATCH = "size={size},nr_inodes=16k,mode=1777"


def service_spec(
    seat: Seat, plan: ServicePlan, leg: Attachment, *, data: str | None, port: int | None
) -> ContainerSpec:
    """One service. `data` is the volume of a playground's data; a check, which has none, keeps it in memory.

    `port` is the port on 127.0.0.1 that a playground would like to have again.
    """
    manifest = plan.manifest
    scratch = {target: _SCRATCH.format(size=size) for target, size in manifest.scratch.items()}
    if manifest.data and data is None:
        # Nothing of a check outlives its containers, and writing 1300 small files to a disk takes 0.7 s.
        uid, gid = manifest.user.split(":")
        scratch[manifest.data] = f"size={manifest.data_size},uid={uid},gid={gid},mode=0700"
    return ContainerSpec(
        name=seat.name(plan.name),
        image=plan.image,
        labels=seat.labels("service", plan.name),
        attachment=leg,
        environment=plan.environment(),
        user=manifest.user,
        volumes=(VolumeMount(data, manifest.data),) if manifest.data and data else (),
        tmpfs=scratch,
        publish={} if plan.sealed else {manifest.port: port},
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


def role_limits(plan: RolePlan) -> Limits:
    """What one replica of a role may use."""
    return Limits(memory_bytes=plan.memory_mib * MIB, processes=plan.processes)


def role_spec(
    seat: Seat,
    plan: RolePlan,
    name: str,
    leg: Attachment,
    environment: Mapping[str, str],
    *,
    source: str | None,
    folder: Path | None,
    publish: Mapping[int, int | None],
) -> ContainerSpec:
    """One replica of a role: the learner's files from a volume (a check) or from their own folder (a playground)."""
    return ContainerSpec(
        name=seat.name(name),
        image=plan.image,
        labels=seat.labels("role", name),
        attachment=leg,
        command=plan.command,
        environment=environment,
        user=plan.user,
        working_dir=plan.source,
        volumes=(VolumeMount(source, plan.source, read_only=True),) if plan.source and source else (),
        folders=(FolderMount(str(folder), plan.source),) if plan.source and folder and not source else (),
        tmpfs={"/tmp": _SCRATCH.format(size="64m")},  # noqa: S108
        publish=publish,
        limits=role_limits(plan),
        outside_names=seat.kind == "playground",
    )


def loader_spec(seat: Seat, image: str, volume: str, target: str) -> ContainerSpec:
    """The container through which files get into a volume; it is never started."""
    return ContainerSpec(
        name=seat.name("loader"),
        image=image,
        labels=seat.labels("loader"),
        command=("true",),
        volumes=(VolumeMount(volume, target),),
        loader=True,
    )
