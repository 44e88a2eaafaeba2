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
from itertools import pairwise
from pathlib import Path

from roadmap_labs.engine.probing import LIMITS, PROBE_SECONDS, Finding, bench
from roadmap_labs.engine.protocol import Engine
from roadmap_labs.errors import EngineRefused

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


def probe(engine: Engine, image: str, *, isolated_gateway: bool = True) -> tuple[Finding, ...]:
    """Start a container with exactly the sealed profile and report what it could do; needs python3 in `image`.

    `isolated_gateway=False` leaves the way to the host as the engine makes it: to see that this measure can fail.
    """
    nonce = secrets.token_hex(8)
    with _listening(nonce) as port, bench(engine, image, isolated_gateway=isolated_gateway) as place:
        place.start("peer", ("python3", "-I", "-c", _PEER, nonce))
        texts = (Path(__file__).with_name(name).read_text() for name in _PROGRAMS)
        command = ("sh", "-c", 'python3 -I -c "$0"; python3 -I -c "$1"', *texts)
        inside = place.start("inside", command, _environment(engine, place.subnet, port, nonce))
        return _findings(_result(engine, inside))


def _environment(engine: Engine, subnet: str, port: int, nonce: str) -> dict[str, str]:
    return {
        "PROBE_MEMORY": str(LIMITS.memory_bytes),
        "PROBE_PROCESSES": str(LIMITS.processes),
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
    deadline = time.monotonic() + PROBE_SECONDS
    while (state := engine.inspect(container)).status == "running":
        if time.monotonic() > deadline:
            raise EngineRefused(f"The probe did not end within {PROBE_SECONDS} s.", cure=_UPGRADE)
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
