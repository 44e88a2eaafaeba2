"""Turns the plans of services and roles into containers to be created. Pure; creates nothing."""

from __future__ import annotations

from collections.abc import Mapping

from roadmap_labs.engine.protocol import (
    Attachment,
    ContainerSpec,
    FolderMount,
    VolumeMount,
)
from roadmap_labs.stack.plan import RolePlan, Seat, ServicePlan, service_limits

_SCRATCH = "size={size},nr_inodes=16k,mode=1777"


def service_spec(
    seat: Seat,
    plan: ServicePlan,
    leg: Attachment,
    *,
    data: str | None,
    shared: str | None,
    publish: Mapping[int, int | None],
) -> ContainerSpec:
    """One service. `data` and `shared` are volumes; without one for the data, it is kept in memory.

    `publish` are the ports on 127.0.0.1 that a playground would like to have again.
    """
    manifest = plan.manifest
    scratch = {target: _SCRATCH.format(size=size) for target, size in manifest.scratch.items()}
    if manifest.data and data is None:
        # Nothing of a check outlives its containers, and writing 1300 small files to a disk takes 0.7 s.
        uid, gid = manifest.user.split(":")
        scratch[manifest.data] = f"size={manifest.data_size},uid={uid},gid={gid},mode=0700"
    volumes = [
        VolumeMount(volume, target)
        for volume, target in ((data, manifest.data), (shared, manifest.shared))
        if volume and target
    ]
    return ContainerSpec(
        name=seat.name(plan.name),
        image=plan.image,
        labels=seat.labels("service", plan.name),
        attachment=leg,
        environment=plan.environment(),
        user=manifest.user,
        volumes=tuple(volumes),
        tmpfs=scratch,
        publish=publish,
        limits=service_limits(manifest),
    )


def role_spec(
    seat: Seat,
    plan: RolePlan,
    name: str,
    leg: Attachment,
    environment: Mapping[str, str],
    *,
    volumes: tuple[VolumeMount, ...] = (),
    folders: tuple[FolderMount, ...] = (),
    publish: Mapping[int, int | None] | None = None,
    command: tuple[str, ...] | None = None,
) -> ContainerSpec:
    """One replica of a role: the learner's files from volumes (a check) or from their own folder (a playground).

    `command` takes the place of the role's own.
    """
    return ContainerSpec(
        name=seat.name(name),
        image=plan.image,
        labels=seat.labels("role", name),
        attachment=leg,
        command=command or plan.command,
        environment=environment,
        user=plan.user,
        working_dir=plan.working_dir,
        volumes=volumes,
        folders=folders,
        tmpfs={target: _SCRATCH.format(size=size) for target, size in plan.scratch.items()},
        publish=publish or {},
        limits=plan.limits,
        outside_names=seat.kind == "playground",
    )


def loader_spec(seat: Seat, image: str, volume: str, target: str) -> ContainerSpec:
    """The container through which files get into a volume; it is never started."""
    return ContainerSpec(
        name=f"{volume}-loader",
        image=image,
        labels=seat.labels("loader"),
        command=("true",),
        volumes=(VolumeMount(volume, target),),
        loader=True,
    )
