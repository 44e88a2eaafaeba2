"""Measures from the inside what the sealed profile really closes on this engine. Knows no lab and no stack.

Options of an engine fail open silently, so `doctor --isolation` believes nothing but the effect.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from roadmap_labs.engine import labels, subnets
from roadmap_labs.engine.owner import owner
from roadmap_labs.engine.protocol import Attachment, Conflict, ContainerSpec, Engine, Limits, NetworkSpec
from roadmap_labs.engine.sweep import remove_stack
from roadmap_labs.errors import EngineRefused, TryAgain

_SECONDS = 60
_LIMITS = Limits(memory_bytes=128 * 1024 * 1024, processes=64)
_PEER_PORT = 7000
_PEER = f"""
import socket, sys
with socket.create_server(("", {_PEER_PORT})) as server:
    while True:
        server.accept()[0].sendall(sys.argv[1].encode())
"""
_PROGRAMS = ("inside.py", "inside_kernel.py")
_UPGRADE = "Upgrade the engine:  roadmap-labs doctor"
_CURES: Mapping[str, str] = {
    "host": "Upgrade to Docker 28 or newer, or forbid it:  sudo iptables -I INPUT -i br-+ -j DROP",
    "swap": "Turn swap accounting on (kernel option swapaccount=1), or swap off:  sudo swapoff -a",
    "memory": "Turn the memory cgroup on (kernel options cgroup_enable=memory).",
    "processes": "Turn the pids cgroup on.",
    "seccomp": "Use a kernel and an engine with seccomp.",
    "proxies": "Remove the proxy from the engine's own settings for containers.",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: whether it is closed (None: not measured), what was seen, what helps."""

    name: str
    ok: bool | None
    seen: str
    cure: str = ""


def probe(engine: Engine, image: str, *, isolated_gateway: bool = True) -> tuple[Finding, ...]:
    """Start a container with exactly the sealed profile and report what it could do; needs python3 in `image`.

    `isolated_gateway=False` leaves the way to the host as the engine makes it: to see that this measure can fail.
    """
    stack = f"probe-{secrets.token_hex(4)}"
    nonce = secrets.token_hex(8)
    marks = _labels(stack)
    try:
        with _listening(nonce) as port:
            network, subnet = _network(engine, stack, marks, isolated_gateway=isolated_gateway)
            where = (network, subnet)
            peer = ("python3", "-I", "-c", _PEER, nonce)
            _start(engine, _spec(stack, "peer", image, marks, where, peer))
            texts = (Path(__file__).with_name(name).read_text() for name in _PROGRAMS)
            command = ("sh", "-c", 'python3 -I -c "$0"; python3 -I -c "$1"', *texts)
            environment = _environment(engine, subnet, port, nonce)
            inside = _start(engine, _spec(stack, "inside", image, marks, where, command, environment))
            return _findings(_result(engine, inside))
    finally:
        remove_stack(engine, stack, keep=())


def _labels(stack: str) -> dict[str, str]:
    return {
        labels.STACK: stack,
        labels.RUN: stack,
        labels.KIND: "probe",
        labels.OWNER: owner(),
        labels.EXPIRES: str(int(time.time()) + 10 * _SECONDS),
    }


def _network(engine: Engine, stack: str, marks: dict[str, str], *, isolated_gateway: bool) -> tuple[str, str]:
    for subnet in subnets.candidates((), start=secrets.randbelow(4096)):
        spec = NetworkSpec(stack, marks, subnet, internal=True, isolated_gateway=isolated_gateway)
        with suppress(Conflict):
            return engine.create_network(spec), subnet
    raise TryAgain(
        f"No subnet of {subnets.pool()} is free.",
        cure=f"Set {subnets.VARIABLE} to another range, then try again.",
    )


def _spec(
    stack: str,
    name: str,
    image: str,
    marks: dict[str, str],
    where: tuple[str, str],
    command: tuple[str, ...],
    environment: Mapping[str, str] | None = None,
) -> ContainerSpec:
    network, subnet = where
    address = subnets.address(subnet, 2 if name == "peer" else 3)
    return ContainerSpec(
        name=f"{stack}-{name}",
        image=image,
        labels=marks,
        attachment=Attachment(network, address, (name,)),
        command=command,
        environment=environment or {},
        user="10001:10001",
        tmpfs={"/tmp": "size=4m,nr_inodes=1k,mode=1777"},  # noqa: S108
        limits=_LIMITS,
    )


def _start(engine: Engine, spec: ContainerSpec) -> str:
    made = engine.create_container(spec)
    engine.start(made)
    return made


def _environment(engine: Engine, subnet: str, port: int, nonce: str) -> dict[str, str]:
    return {
        "PROBE_MEMORY": str(_LIMITS.memory_bytes),
        "PROBE_PROCESSES": str(_LIMITS.processes),
        "PROBE_NONCE": nonce,
        "PROBE_PEER": f"{_PEER_PORT} {nonce}",
        "PROBE_TARGETS": " ".join(f"{address}:{port}" for address in _host_addresses(engine, subnet)),
    }


def _host_addresses(engine: Engine, subnet: str) -> tuple[str, ...]:
    """The gateway's address and all IPv4 addresses of this host; nothing where the engine is elsewhere."""
    facts = engine.facts()
    if (
        not facts.endpoint.startswith("unix:")
        or sys.platform != "linux"
        or "Desktop" in facts.operating_system
    ):
        return ()
    own: list[str] = []
    lines = Path("/proc/net/fib_trie").read_text().splitlines()
    for above, line in pairwise(lines):
        if "host LOCAL" in line and not (address := above.split()[-1]).startswith("127."):
            own.append(address)
    gateway = str(ipaddress.ip_network(subnet)[1])
    return tuple(dict.fromkeys([gateway, *own]))


@contextmanager
def _listening(nonce: str) -> Iterator[int]:
    """A listener on all addresses of this host that names itself; yields its port."""
    with socket.create_server(("", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with suppress(OSError):
                    link, _ = server.accept()
                    with link:
                        link.sendall(nonce.encode())

        thread = threading.Thread(target=serve, name="probe-listener", daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            over.set()
            thread.join()


def _result(engine: Engine, container: str) -> Mapping[str, tuple[bool | None, str]]:
    deadline = time.monotonic() + _SECONDS
    while (state := engine.inspect(container)).status == "running":
        if time.monotonic() > deadline:
            raise EngineRefused(f"The probe did not end within {_SECONDS} s.", cure=_UPGRADE)
        time.sleep(0.05)
    text = engine.logs(container).decode(errors="replace").strip()
    try:
        found: dict[str, tuple[bool | None, str]] = {}
        for line in text.splitlines()[-len(_PROGRAMS) :]:
            found |= json.loads(line)
        if not {"capabilities", "kernel_calls"} <= found.keys():
            raise ValueError("half a result")
    except (ValueError, TypeError) as error:
        raise EngineRefused(
            f"The probe ended with exit code {state.exit_code} and without a result: {text[-300:]}",
            cure=_UPGRADE,
        ) from error
    return found


def _findings(result: Mapping[str, tuple[bool | None, str]]) -> tuple[Finding, ...]:
    return tuple(
        Finding(name.replace("_", " "), ok, seen, "" if ok else _CURES.get(name, _UPGRADE))
        for name, (ok, seen) in result.items()
    )
