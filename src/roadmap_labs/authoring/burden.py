"""Keeps the machine's cores busy while something is proven. Knows nothing of what that is.

Each busy process looks at a pipe of ours many times a second, and ends when that pipe ends, however we do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_BUSY = """
import select, sys, time
while not select.select([sys.stdin], [], [], 0)[0]:
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        sum(range(200))
"""


@contextmanager
def busy(processes: int | None = None) -> Iterator[int]:
    """Keep so many cores busy (all of them by default) until the block ends; yields how many."""
    count = processes or os.cpu_count() or 1
    made: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            made.append(
                subprocess.Popen(
                    [sys.executable, "-I", "-c", _BUSY],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        yield count
    finally:
        for process in made:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
