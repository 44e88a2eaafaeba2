"""Measures how this engine fares while containers do their worst inside the sealed profile's limits. Knows no lab."""

from __future__ import annotations

import time

from roadmap_labs.engine.probing import Finding, bench
from roadmap_labs.engine.protocol import Engine

_SECONDS = 3.0
_SLOWEST_ANSWER, _SLOWEST_REMOVAL = 1.0, 15.0
_WORST = {
    "flood": 'import os\nwhile True: os.write(1, b"x" * 65536)',
    "forks": "import os\nwhile True:\n try: os.fork()\n except OSError: pass",
    "spin": "while True: pass",
    "names": (
        "import socket\nwhile True:\n s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        ' s.sendto(b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4none\\4test\\0\\0\\1\\0\\1", ("127.0.0.11", 53))\n'
        " s.close()"
    ),
}


def measure(engine: Engine, image: str) -> tuple[Finding, ...]:
    """Start a flood of log lines, a fork bomb, a spin and a flood of DNS questions, and ask the engine meanwhile."""
    slowest = 0.0
    with bench(engine, image) as place:
        started = [place.start(name, ("python3", "-I", "-c", program)) for name, program in _WORST.items()]
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            asked = time.monotonic()
            for container in started:
                engine.inspect(container)
            slowest = max(slowest, (time.monotonic() - asked) / len(started))
        ending = time.monotonic()
    took = time.monotonic() - ending
    beside = f"beside {len(_WORST)} containers that do their worst"
    return (
        Finding(
            "answers", slowest < _SLOWEST_ANSWER, f"slowest {slowest * 1000:.0f} ms {beside}",
            "Give this machine more cores, or grade fewer at once:  --jobs",
        ),
        Finding(
            "removal", took < _SLOWEST_REMOVAL, f"all of it gone after {took:.1f} s",
            "Give this machine more cores, or a faster disk under the engine.",
        ),
    )  # fmt: skip
