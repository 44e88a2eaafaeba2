"""Examines this machine: each finding says what was seen and what cures it. Changes nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from roadmap_labs import places
from roadmap_labs.content import folders, shelf
from roadmap_labs.engine import labels, subnets
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.probing import Finding
from roadmap_labs.engine.protocol import Engine, EngineFacts
from roadmap_labs.errors import EngineUnavailable, Problem
from roadmap_labs.stack import assembly
from roadmap_labs.stack.assembly import Tell
from roadmap_labs.verbs.shared import outside

__all__ = ["Finding", "examine", "exit_code"]

_GIB = 1024**3
_DISK_FLOOR = 5 * _GIB  # images of the first lab with their build: 1.5 GB, three times that for comfort
_MEMORY_FLOOR = 2 * _GIB
_CLOCK_SECONDS = 5.0


def examine(*, isolation: bool, shared: bool = False, tell: Tell) -> tuple[Finding, ...]:
    """All findings, those of the engine first. An engine that does not answer is a finding, not an error.

    `shared` asks whether strangers' code may be graded here: then what could not be measured is as bad as open.
    """
    tell("looking at the engine", "")
    try:
        engine = open_engine()
        facts = engine.facts()
    except EngineUnavailable as problem:
        return (Finding("engine", False, problem.message, problem.cure), _disk(Path.home(), "disk (home)"))
    found = [*_engine(facts), *_memory(facts), _disk(places.cache(), "disk (home)")]
    if Path(facts.data_root).is_dir():
        found.append(_disk(Path(facts.data_root), "disk (engine)"))
    found += [_clock(facts), _addresses(engine), *_images(engine), _tools()]
    if isolation or shared:
        found += _isolation(engine, tell, crowd=shared)
    if shared:
        found += [replace(one, name=f"shared: {one.name}") for one in outside(facts)]
    return tuple(found)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 where nothing is wrong, 69 without an engine, else 1."""
    bad = [finding.name for finding in findings if finding.ok is False]
    if "engine" in bad:
        return EngineUnavailable.exit_code
    return 1 if bad else 0


def _engine(facts: EngineFacts) -> list[Finding]:
    seen = f"{facts.version} (API {facts.api_version}) at {facts.endpoint}"
    system = f"{facts.operating_system}, {facts.architecture}, cgroup v{facts.cgroup_version}, {facts.storage_driver}"
    seccomp = any("seccomp" in option for option in facts.security_options)
    return [
        Finding("engine", True, seen),
        Finding("context", True, facts.context or "default"),
        Finding("system", True, f"{system}, {facts.cpus} processors"),
        Finding("seccomp", seccomp, "on" if seccomp else "off", "Use a kernel and an engine with seccomp."),
    ]


def _memory(facts: EngineFacts) -> list[Finding]:
    enough = facts.memory_bytes >= _MEMORY_FLOOR
    seen = f"{facts.memory_bytes / _GIB:.1f} GiB for containers; a lab needs about 1"
    return [Finding("memory", enough, seen, "Give the engine at least 2 GiB.")]


def _disk(place: Path, name: str) -> Finding:
    free = shutil.disk_usage(place).free
    return Finding(
        name,
        free >= _DISK_FLOOR,
        f"{free / _GIB:.1f} GiB free",
        "Free space:  roadmap-labs clean --all --dry-run",
    )


def _clock(facts: EngineFacts) -> Finding:
    try:
        there = datetime.fromisoformat(facts.server_time).timestamp()
    except ValueError:
        return Finding("clock", None, f"the engine says {facts.server_time!r}")
    apart = abs(there - time.time())
    return Finding(
        "clock",
        apart < _CLOCK_SECONDS,
        f"{apart:.1f} s apart from the engine's",
        "Set the clock of that machine.",
    )


def _addresses(engine: Engine) -> Finding:
    ours = len(engine.find("network", {labels.STACK: ""}))
    return Finding("addresses", True, f"{subnets.pool()}, {ours} networks of ours in use")


def _images(engine: Engine) -> list[Finding]:
    found = []
    for slug in folders.slugs():
        try:
            lab = shelf.load_lab(slug)
        except Problem as problem:
            found.append(Finding(f"lab {slug}", False, problem.message, problem.cure))
            continue
        lacking = [ref for name in lab.manifest.scaffolds for ref in assembly.missing(engine, lab, name)]
        seen = f"missing: {', '.join(dict.fromkeys(lacking))}" if lacking else "all present"
        # Missing images are built by the first start: worth a word, nothing wrong.
        found.append(
            Finding(f"images of {slug}", None if lacking else True, seen, f"roadmap-labs images build {slug}")
        )
    return found


def _tools() -> Finding:
    there = shutil.which("mmdebstrap") is not None
    needed = not os.environ.get("ROADMAP_LABS_BASE")
    return Finding(
        "mmdebstrap",
        True if there or not needed else None,
        "present" if there else "missing: the base image can't be built here",
        "sudo apt-get install mmdebstrap",
    )


def _isolation(engine: Engine, tell: Tell, *, crowd: bool) -> list[Finding]:
    from roadmap_labs.engine import crowding, isolation

    slug = next(iter(folders.slugs()))
    lab = shelf.load_lab(slug)
    scaffold = lab.manifest.scaffolds[0]
    if assembly.missing(engine, lab, scaffold):
        cure = f"roadmap-labs images build {slug}"
        return [Finding("isolation", False if crowd else None, "not measured, images are missing", cure)]
    tell("measuring the sealed profile", "")
    image = assembly.probe_image(lab, scaffold)
    found = [
        replace(one, name=f"sealed: {one.name}", ok=bool(one.ok) if crowd else one.ok)
        for one in isolation.probe(engine, image)
    ]
    if crowd:
        tell("measuring the engine beside the worst", "")
        found += [replace(one, name=f"crowded: {one.name}") for one in crowding.measure(engine, image)]
    return found
