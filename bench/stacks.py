"""Raising a lab's sealed stack, against the same engine calls made barely: networks, volumes, containers, readiness.

    python bench/stacks.py [--rounds N] [LAB...]

Each round raises the stack of the lab's solution as a check does and notes every call that creates or starts something;
then makes the same calls once more with nothing around them: all networks side by side, all volumes side by side, all
services side by side, then the roles; ready means the same. Must: ours at most 1.3 times theirs, by the medians.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from roadmap_labs.content import folders, shelf
from roadmap_labs.content.manifest import role_of
from roadmap_labs.content.rendering import solution_files
from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.submission import submission_of
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.owner import owner
from roadmap_labs.engine.protocol import Attachment, ContainerSpec, Engine, NetworkSpec
from roadmap_labs.engine.sweep import remove_all
from roadmap_labs.engine.watchdog import guard
from roadmap_labs.stack.assembly import Gathered, gather, plans
from roadmap_labs.stack.awaiting import await_role, await_service
from roadmap_labs.stack.network import Door, doors_of
from roadmap_labs.stack.plan import seat
from roadmap_labs.stack.running import Stack

MUST = 1.3


@dataclass
class Notes:
    """What one raising asked of the engine."""

    networks: dict[str, NetworkSpec] = field(default_factory=dict)  # by id
    volumes: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    containers: dict[str, ContainerSpec] = field(default_factory=dict)  # by id
    archives: list[tuple[str, str, bytes]] = field(default_factory=list)
    legs: list[tuple[str, Attachment]] = field(default_factory=list)


class Noting:
    """An engine that notes what is created through it."""

    def __init__(self, engine: Engine, notes: Notes) -> None:
        self._engine, self._notes = engine, notes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def create_network(self, spec: NetworkSpec) -> str:
        made = self._engine.create_network(spec)
        self._notes.networks[made] = spec
        return made

    def create_volume(self, name: str, labels: Any) -> None:
        self._engine.create_volume(name, labels)
        self._notes.volumes.append((name, dict(labels)))

    def create_container(self, spec: ContainerSpec) -> str:
        made = self._engine.create_container(spec)
        self._notes.containers[made] = spec
        return made

    def put_archive(self, container: str, path: str, archive: bytes) -> None:
        self._engine.put_archive(container, path, archive)
        self._notes.archives.append((container, path, archive))

    def connect(self, container: str, attachment: Attachment) -> None:
        self._engine.connect(container, attachment)
        self._notes.legs.append((container, attachment))


def ours(engine: Engine, lab: Lab, gathered: Gathered, run: str, notes: Notes) -> tuple[float, Stack]:
    """Seconds until everything that a check begins with is ready."""
    files = submission_of(solution_files(lab, shelf.load_scaffold(lab.manifest.scaffolds[0])))
    who = seat(
        "check",
        lab,
        workspace="bench",
        folder=Path(tempfile.gettempdir()),
        run=run,
        owner=owner(),
        seconds=600,
    )
    noting: Any = Noting(engine, notes)
    planned = plans(lab, gathered, sealed=True)
    stack = Stack(noting, who, planned, images=gathered.common, sealed=True, submission=files)
    began = time.monotonic()
    stack.up()
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: stack.role(name, 1, {}), early(lab)))
    return time.monotonic() - began, stack


def early(lab: Lab) -> list[str]:
    return [name for name, role in lab.manifest.roles.items() if role.prestart]


def bare(engine: Engine, notes: Notes, stack: Stack) -> float:
    """Seconds for the same calls, made again as soon as each may be made."""
    began = time.monotonic()
    new: dict[str, str] = {}

    def attached(spec: ContainerSpec) -> ContainerSpec:
        leg = spec.attachment
        return replace(spec, attachment=replace(leg, network=new[leg.network])) if leg else spec

    def raised(old: str) -> tuple[str, str]:
        made = engine.create_container(attached(notes.containers[old]))
        for container, leg in notes.legs:
            if container == old:
                engine.connect(made, replace(leg, network=new[leg.network]))
        engine.start(made)
        return notes.containers[old].name, made

    def filled(old: str) -> None:
        made = engine.create_container(notes.containers[old])
        for container, path, archive in notes.archives:
            if container == old:
                engine.put_archive(made, path, archive)
        engine.remove("container", made)

    with ThreadPoolExecutor() as pool:
        volumes = [pool.submit(engine.create_volume, name, marks) for name, marks in notes.volumes]
        made = {old: pool.submit(engine.create_network, spec) for old, spec in notes.networks.items()}
        each(volumes)
        loaders = [pool.submit(filled, old) for old, spec in notes.containers.items() if spec.loader]
        new |= {old: future.result() for old, future in made.items()}
        roles = {stack.containers[name] for name in stack.replicas}
        first = [old for old, spec in notes.containers.items() if not spec.loader and old not in roles]
        up = dict(pool.map(raised, first))
        doors = published(engine, stack, up)
        each(pool.submit(ready_service, engine, stack, plan, doors, up) for plan in stack.services)
        each(loaders)
        up |= dict(pool.map(raised, roles))
        each(pool.submit(ready_role, engine, stack, name, doors, up) for name in stack.replicas)
    return time.monotonic() - began


def each(futures: Iterable[Any]) -> None:
    for future in tuple(futures):
        future.result()


def published(engine: Engine, stack: Stack, up: dict[str, str]) -> dict[str, Door]:
    """The relay's doors: its routes stand in the order of the peers, as its environment says."""
    ports = engine.inspect(up[stack.seat.name("relay")]).published
    return {name: Door("127.0.0.1", ports[10_000 + number]) for number, name in enumerate(stack.doors)}


def ready_service(
    engine: Engine, stack: Stack, plan: Any, doors: dict[str, Door], up: dict[str, str]
) -> None:
    own = {name: doors[name] for name in doors_of(plan.name, plan.manifest)}
    await_service(engine, plan, own, up[stack.seat.name(plan.name)], seconds=60)


def ready_role(engine: Engine, stack: Stack, name: str, doors: dict[str, Door], up: dict[str, str]) -> None:
    plan = stack.roles[role_of(name)]
    await_role(engine, plan, name, doors[name], up[stack.seat.name(name)], seconds=60)


def measure(engine: Engine, slug: str, rounds: int, run: str) -> tuple[float, float]:
    """Medians in seconds: ours, theirs."""
    lab = shelf.load_lab(slug)
    gathered = gather(engine, lab, lab.manifest.scaffolds[0], submission_of(()), lambda phase, step: None)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        notes = Notes()
        seconds, stack = ours(engine, lab, gathered, run, notes)
        stack.down()
        times[0].append(seconds)
        try:
            times[1].append(bare(engine, notes, stack))
        finally:
            remove_all(engine, {"io.roadmap-labs.run": run})
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("labs", nargs="*", default=list(folders.slugs()))
    wish = parser.parse_args()
    run = secrets.token_hex(5)
    watchdog = guard(run)
    engine = open_engine()
    line: Callable[..., str] = "{:<24} {:>9} {:>9} {:>6}  {}".format
    print(line("raising the stack of", "ours", "bare", "ratio", f"at most {MUST}"))
    for slug in wish.labs:
        mine, theirs = measure(engine, slug, wish.rounds, run)
        reached = "reached" if mine / theirs <= MUST else "MISSED"
        print(line(slug, f"{mine:.2f} s", f"{theirs:.2f} s", f"{mine / theirs:.2f}", reached), flush=True)
    watchdog.done()


if __name__ == "__main__":
    main()
