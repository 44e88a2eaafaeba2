"""What the engine itself takes of the processors for the containers of one judgement, with nothing running in them.

    python bench/engine_floor.py [--containers 12] [--rounds 5] [LAB]

Raises the lab's stack once, to learn how its role's container is made; then creates, starts and removes that many of
them, each only asleep, on networks of their own that are made and removed as well. Counts the time that the machine's
processors were busy meanwhile, so nothing else may run. No orchestrator on the same engine can be cheaper than this:
what a submission costs above it is the lab's servers, the learner's program and ours.
"""

from __future__ import annotations

import argparse
import os
import secrets
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import stacks

from roadmap_labs.content import shelf
from roadmap_labs.content.submission import submission_of
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.protocol import ContainerSpec, Engine, NetworkSpec
from roadmap_labs.engine.sweep import remove_all
from roadmap_labs.engine.watchdog import guard
from roadmap_labs.stack.assembly import gather

_SIDE_BY_SIDE = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--containers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("lab", nargs="?", default="redis-caching")
    wish = parser.parse_args()
    run = secrets.token_hex(5)
    watchdog = guard(run)
    engine = open_engine()
    spec, networks = sleeping_role(engine, wish.lab, run)
    try:
        took = [one_round(engine, spec, networks, wish.containers) for _ in range(wish.rounds)]
    finally:
        remove_all(engine, {"io.roadmap-labs.run": run})
    busy, seconds = (statistics.median(part) for part in zip(*took, strict=True))
    many = f"{wish.containers} empty containers and {len(networks)} networks"
    print(f"{many}, {_SIDE_BY_SIDE} side by side, median of {wish.rounds}:")
    print(f"  processors   {busy:6.2f} s")
    print(f"  time         {seconds:6.2f} s")
    watchdog.done()


def sleeping_role(engine: Engine, slug: str, run: str) -> tuple[ContainerSpec, dict[str, NetworkSpec]]:
    """How the container of a lab's first role is made, but asleep; and its stack's networks, by what their ids were."""
    lab = shelf.load_lab(slug)
    gathered = gather(engine, lab, lab.manifest.scaffolds[0], submission_of(()), lambda phase, step: None)
    notes = stacks.Notes()
    _, stack = stacks.ours(engine, lab, gathered, run, notes)
    role = stack.containers[next(iter(stack.replicas))]
    stack.down()
    return replace(notes.containers[role], command=("sleep", "600"), volumes=()), notes.networks


def one_round(
    engine: Engine, spec: ContainerSpec, networks: dict[str, NetworkSpec], count: int
) -> tuple[float, float]:
    """Seconds of processor and of time for so many containers, from the first call to the last."""
    began, busy = time.monotonic(), busy_seconds()
    made = {old: engine.create_network(one) for old, one in networks.items()}

    def cycle(number: int) -> None:
        leg = spec.attachment
        own = replace(leg, network=made[leg.network], address=None) if leg else None
        container = engine.create_container(replace(spec, name=f"{spec.name}-{number}", attachment=own))
        engine.start(container)
        engine.remove("container", container)

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        list(pool.map(cycle, range(count)))
    for network in made.values():
        engine.remove("network", network)
    return busy_seconds() - busy, time.monotonic() - began


def busy_seconds() -> float:
    """Seconds that all processors together were not idle since the machine started (proc(5), /proc/stat)."""
    total = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    user, nice, system, _idle, _waiting, *rest = (int(word) for word in total.split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
