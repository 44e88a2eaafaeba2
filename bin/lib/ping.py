"""Asks the engine behind a Unix socket whether it answers and has an image, if told so, until it does.

Knows nothing of roadmap-labs and of the engine's client: it runs before anything is installed.
"""

from __future__ import annotations

import _socket  # a fifth of the start-up time of socket, and this runs before every command
import os
import sys
import time

ANSWERS, SILENT, WITHOUT_IMAGE, REFUSED = 0, 1, 3, 4


def status_of(path: str, url: str) -> int:
    """The status of one GET, 0 where the answer is no HTTP."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.settimeout(5.0)
    try:
        connection.connect(path)
        connection.send(f"GET {url} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
        first = connection.recv(64).split(b" ")
    finally:
        connection.close()
    return int(first[1]) if len(first) > 1 and first[1].isdigit() else 0


def ask(path: str, image: str) -> int:
    """One look at the engine."""
    try:
        if status_of(path, "/_ping") != 200:
            return SILENT
        return ANSWERS if status_of(path, f"/images/{image}/json") == 200 else WITHOUT_IMAGE
    except PermissionError:
        return REFUSED
    except OSError:
        return SILENT


def main(path: str, image: str, seconds: str = "0", pid: str = "") -> int:
    """Looks until the engine answers, the seconds are over or, a moment ago, the daemon `pid` ended."""
    deadline = time.monotonic() + float(seconds)
    while (seen := ask(path, image)) == SILENT and time.monotonic() < deadline:
        if pid and not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110 (pathlib is slow to start)
            pid, deadline = "", time.monotonic() + 3  # it gives way where another one has just been started
        time.sleep(0.05)
    return seen


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
