"""start, status, logs, shell, reset and stop, as values. Prints nothing and judges nothing."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from roadmap_labs import places, playground
from roadmap_labs.content import shelf, workspace
from roadmap_labs.content.manifest import role_of
from roadmap_labs.content.rendering import starter_files
from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.submission import take_in
from roadmap_labs.content.workspace import Workspace
from roadmap_labs.engine import labels
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.owner import owner
from roadmap_labs.engine.protocol import ContainerState, Engine
from roadmap_labs.engine.sweep import sweep
from roadmap_labs.engine.watchdog import guard
from roadmap_labs.errors import NotFound, WrongUse
from roadmap_labs.stack.assembly import Gathered, Tell, gather, plans
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.plan import Seat, ServicePlan, plan_services, seat, show_line


@dataclass(frozen=True)
class Playing:
    """A workspace, its lab, and its playground as the engine has it."""

    workspace: Workspace
    lab: Lab
    view: playground.View
    talk: dict[str, str] = field(default_factory=dict)  # name of a part -> a line to paste
    made: bool = False  # the workspace is new
    raised: bool = False  # the playground is new
    seconds: float = 0.0  # to raise it
    images_seconds: float = 0.0  # to make sure of its images; long only where some were built
    trouble: str = ""  # the learner's own role did not come up


def target(here: Path, slug: str | None, folder: Path | None) -> tuple[str, Path]:
    """Lab and workspace that `start` means: what was named, else the workspace that `here` lies in."""
    if slug is None:
        space = workspace.require(here)
        return space.lab, space.folder
    around = workspace.find(here) if folder is None else None
    if around is not None and around.lab == slug:
        return slug, around.folder
    return slug, here / (folder or slug)


def start(slug: str, folder: Path, tell: Tell) -> Playing:
    """Make the workspace if it is missing and raise its playground if it is down; twice changes nothing."""
    lab = shelf.load_lab(slug)
    run = secrets.token_hex(5)
    watchdog = guard(run)
    busy = f"Another roadmap-labs is at work in {folder}; waiting for it"
    with places.locked(workspace.workspace_id(folder), waiting=lambda: tell(busy, "")):
        engine = open_engine()
        sweep(engine)
        space, made = _workspace(lab, folder)
        playing = _raised(engine, space, lab, run, tell, made=made)
    watchdog.done()
    return playing


def _workspace(lab: Lab, folder: Path) -> tuple[Workspace, bool]:
    found = workspace.find(folder) if folder.is_dir() else None
    if found is not None and found.folder == folder.resolve():
        if found.lab != lab.slug:
            raise WrongUse(
                f"{folder} is a workspace of {found.lab}, not of {lab.slug}.",
                cure=f"Name another folder:  roadmap-labs start {lab.slug} DIR",
            )
        return found, False
    scaffold = shelf.load_scaffold(lab.manifest.scaffolds[0])
    files = starter_files(lab, scaffold)
    return workspace.create(folder, lab.slug, lab.manifest.version, scaffold.name, files), True


def _raised(
    engine: Engine, space: Workspace, lab: Lab, run: str, tell: Tell, *, made: bool = False
) -> Playing:
    began = time.monotonic()
    gathered = gather(engine, lab, space.scaffold, take_in(space.folder), tell)
    images_seconds = time.monotonic() - began
    planned = plans(lab, gathered, sealed=False)
    view = playground.look(engine, lab, space.id)
    if view.whole and _same_images(engine, view, gathered):
        return Playing(
            space, lab, view, _talk(lab, planned.services, view), made=made, images_seconds=images_seconds
        )
    chair = _seat(lab, space, run)
    if view.exists or view.network or view.stopping:
        tell("playground: something of it is missing or changed, raising it anew", "")
        playground.stop(engine, chair)
    tell(f"playground: starting {len(planned.services) + len(planned.roles)} containers", "")
    began = time.monotonic()
    view, trouble = playground.raise_playground(engine, lab, chair, planned, gathered.common, space.folder)
    seconds = time.monotonic() - began
    return Playing(
        space,
        lab,
        view,
        _talk(lab, planned.services, view),
        made=made,
        raised=True,
        seconds=seconds,
        images_seconds=images_seconds,
        trouble=_sentence(trouble),
    )


def _sentence(broke: RoleBroke | None) -> str:
    return f"{broke.message}\n{broke.observed}" if broke else ""


def _same_images(engine: Engine, view: playground.View, gathered: Gathered) -> bool:
    """Whether every part runs the image that it should; a changed Dockerfile or recipe asks for a new start."""
    wanted = gathered.services | {f"{name}-1": ref for name, ref in gathered.roles.items()}
    for part in view.parts:
        image = engine.image(wanted[part.name])
        if part.state is None or image is None or part.state.image != image.id:
            return False
    return True


def _seat(lab: Lab, space: Workspace, run: str) -> Seat:
    return seat("playground", lab, workspace=space.id, folder=space.folder, run=run, owner=owner())


def _talk(lab: Lab, services: Sequence[ServicePlan], view: playground.View) -> dict[str, str]:
    """A line to paste for each part that is reached from here."""
    lines: dict[str, str] = {}
    plans_of = {plan.name: plan for plan in services}
    for part in view.parts:
        if part.door is None:
            continue
        host, port = part.door.host, part.door.port
        if part.kind == "role":
            role = lab.manifest.roles[role_of(part.name)]
            lines[part.name] = show_line(role, host, port, part.ports)
        else:
            lines[part.name] = plans_of[part.name].talk(host, port, part.ports)
    return lines


def status(folder: Path) -> Playing:
    """The playground of the workspace that `folder` lies in."""
    engine, space, lab = _opened(folder)
    view = playground.look(engine, lab, space.id)
    services = plan_services(lab, dict.fromkeys(lab.services, ""), sealed=False)
    return Playing(space, lab, view, _talk(lab, services, view))


def _opened(folder: Path) -> tuple[Engine, Workspace, Lab]:
    """The workspace and its lab; what a dead command left is removed on the way."""
    space = workspace.require(folder)
    lab = shelf.load_lab(space.lab)
    engine = open_engine()
    sweep(engine)
    return engine, space, lab


def document(playing: Playing) -> dict[str, object]:
    """`--json` of start and status."""
    return {
        "schema": "roadmap-labs.playground/v1",
        "lab": playing.lab.slug,
        "workspace": str(playing.workspace.folder),
        "running": playing.view.whole,
        "parts": [
            {
                "name": part.name,
                "kind": part.kind,
                "status": part.status,
                "started_at": part.state.started_at if part.state else "",
                "host": part.door.host if part.door else None,
                "port": part.door.port if part.door else None,
                "talk": playing.talk.get(part.name),
            }
            for part in playing.view.parts
        ],
        "data": [volume.name for volume in playing.view.data],
        "trouble": playing.trouble,
    }


def _container(folder: Path, service: str) -> tuple[Engine, Lab, ContainerState, bool]:
    engine, space, lab = _opened(folder)
    names = [name for name, _, _ in playground.expected(lab)]
    wanted = service if service in names else f"{service}-1"
    if wanted not in names:
        known = ", ".join(name.removesuffix("-1") for name in names)
        raise NotFound(f"{lab.slug} has no service or role '{service}'.", cure=f"It has: {known}")
    part = next(part for part in playground.look(engine, lab, space.id).parts if part.name == wanted)
    if part.state is None:
        raise NotFound(
            f"{service} is not there.", cure=f"Start it:  roadmap-labs start {lab.slug} {space.folder}"
        )
    return engine, lab, part.state, part.kind == "role"


def logs(folder: Path, service: str, *, follow: bool, tail: int, sink: Callable[[bytes], None]) -> None:
    """Hand the log of a service or role to `sink`."""
    engine, _, state, _ = _container(folder, service)
    if follow:
        engine.follow_logs(state.id, sink, tail=tail)
    else:
        sink(engine.logs(state.id, tail=tail))


def shell(folder: Path, service: str) -> tuple[str, tuple[str, ...]]:
    """The container of a service or role, and the command that talks to it from inside."""
    _, lab, state, is_role = _container(folder, service)
    if state.status != "running":
        raise NotFound(f"{service} is {state.status}.", cure="Start it:  roadmap-labs start")
    if is_role:
        return state.id, ("sh",)
    services = plan_services(lab, dict.fromkeys(lab.services, ""), sealed=False)
    return state.id, next(plan.shell() for plan in services if plan.name == service)


def stop(folder: Path) -> int:
    """End the playground, keep its data; returns how many containers were removed."""
    space = workspace.require(folder)
    lab = shelf.load_lab(space.lab)
    run = secrets.token_hex(5)
    watchdog = guard(run)
    with places.locked(space.id):
        engine = open_engine()
        sweep(engine)
        removed = playground.stop(engine, _seat(lab, space, run))
    watchdog.done()
    return len(removed)


def reset(folder: Path, tell: Tell) -> bool:
    """Put the playground's data back to the start; returns whether it was up, and is again."""
    space = workspace.require(folder)
    lab = shelf.load_lab(space.lab)
    run = secrets.token_hex(5)
    watchdog = guard(run)
    with places.locked(space.id):
        engine = open_engine()
        sweep(engine)
        was_up = playground.look(engine, lab, space.id).exists
        playground.stop(engine, _seat(lab, space, run))
        playground.forget(engine, space.id)
        if was_up:
            _raised(engine, space, lab, run, tell)
    watchdog.done()
    return was_up


def reset_file(folder: Path, file: Path) -> Path:
    """Put one file of a workspace back; returns where the learner's version is kept."""
    space = workspace.require(folder)
    path = (folder / file).resolve() if not file.is_absolute() else file
    if not path.is_relative_to(space.folder):
        path = space.folder / file
    return workspace.put_back(space, str(path.relative_to(space.folder)))


def all_stacks() -> list[dict[str, object]]:
    """Every stack of ours on this engine."""
    engine = open_engine()
    sweep(engine)
    stacks: dict[str, dict[str, object]] = {}
    for item in engine.find("container", {labels.STACK: ""}):
        row = stacks.setdefault(
            item.labels[labels.STACK],
            {
                "stack": item.labels[labels.STACK],
                "kind": item.labels.get(labels.KIND, ""),
                "lab": item.labels.get(labels.LAB, ""),
                "folder": item.labels.get(labels.FOLDER, ""),
                "containers": 0,
            },
        )
        row["containers"] = int(str(row["containers"])) + 1
    return list(stacks.values())
