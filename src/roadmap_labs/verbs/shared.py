"""Whether a host is fit to grade strangers' code: what only a host of many has to have. Changes nothing.

What the sealed profile closes is measured by `engine.isolation`, how the engine fares beside the worst by
`engine.crowding`; here is what lies outside of containers. A thing that could not be measured counts as open.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from roadmap_labs.engine.probing import Finding
from roadmap_labs.engine.protocol import EngineFacts

_CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
_GROUPS = Path("/etc/group")


def outside(facts: EngineFacts) -> tuple[Finding, ...]:
    """What was seen of this host; advice has `ok` None, a hole has False."""
    if not facts.endpoint.startswith("unix:"):
        return (
            Finding("host", None, f"the engine is elsewhere: {facts.endpoint}", "Run this on that host."),
        )
    looks: tuple[Callable[[EngineFacts], Finding], ...] = (_cores, _accounts, _disk, _namespaces, _kernel)
    return tuple(look(facts) for look in looks)


def _cores(facts: EngineFacts) -> Finding:
    """A pattern that begins with a bar starts a program of the host on bytes of a stranger (core(5))."""
    del facts
    try:
        pattern = _CORE_PATTERN.read_text().strip()
    except OSError as error:
        return Finding(
            "core dumps", False, f"can't be read: {error.strerror}", "Look at kernel.core_pattern."
        )
    cure = "sudo sysctl kernel.core_pattern=core"
    return Finding("core dumps", not pattern.startswith("|"), f"written by {pattern[:60]!r}", cure)


def _accounts(facts: EngineFacts) -> Finding:
    """Who may use the socket is root here, so nobody who hands in may be among them."""
    group = ""
    try:
        socket = Path(facts.endpoint.removeprefix("unix://"))
        gid, mode = socket.stat().st_gid, socket.stat().st_mode
        lines = [line.split(":") for line in _GROUPS.read_text().splitlines()]
        names = next((parts[3] for parts in lines if len(parts) > 3 and parts[2] == str(gid)), "")
        group = next((parts[0] for parts in lines if len(parts) > 3 and parts[2] == str(gid)), str(gid))
    except OSError as error:
        return Finding("engine socket", False, f"can't be looked at: {error.strerror}")
    if mode & 0o006:
        return Finding("engine socket", False, f"anybody may use {socket}", f"sudo chmod o= {socket}")
    return Finding(
        "engine socket", None if names else True, f"for root and the group {group}: {names or 'nobody'}",
        "Each of them is as good as root here: no learner may be among them.",
    )  # fmt: skip


def _disk(facts: EngineFacts) -> Finding:
    root = Path(facts.data_root)
    try:
        apart = os.stat(root).st_dev != os.stat("/").st_dev  # noqa: PTH116 (both alike)
    except OSError as error:
        return Finding("engine's disk", None, f"{root} can't be looked at: {error.strerror}")
    seen = f"{root} is {'a file system of its own' if apart else 'on the disk of the system'}"
    return Finding(
        "engine's disk", True if apart else None, seen, "A full one would stop the system, too: move it."
    )


def _namespaces(facts: EngineFacts) -> Finding:
    mapped = any(word in option for option in facts.security_options for word in ("userns", "rootless"))
    seen = (
        "root inside is nobody outside" if mapped else "root inside would be root outside; ours runs as 10001"
    )
    return Finding(
        "user namespaces", True if mapped else None, seen, "A second wall: userns-remap in daemon.json."
    )


def _kernel(facts: EngineFacts) -> Finding:
    there = "runsc" in facts.runtimes
    seen = "runsc is there" if there else "containers share this kernel"
    return Finding(
        "kernel of its own",
        True if there else None,
        seen,
        "A second wall: gVisor, or a machine for this alone.",
    )
