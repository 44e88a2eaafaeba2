"""A small child that outlives a killed command and removes what that run made. Knows a run by its id.

The child holds the read end of a pipe. As long as the command lives nothing happens; at the end of the pipe
without the word "done" the child becomes a fresh interpreter that sweeps.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

_DONE = b"done"
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# Calls of the dead command may still be landing on the engine: go on until nothing came up for a while.
_QUIET, _MOST, _POLL = 5.0, 60.0, 0.25


class Guard:
    """The command's end of the pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe: int | None = pipe

    def done(self) -> None:
        """Nothing is left to be removed: the child goes away silently. May be called twice."""
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return
        with suppress(OSError):  # the child may have been killed
            os.write(pipe, _DONE)
        os.close(pipe)


def guard(run_id: str) -> Guard:
    """Start the child. To be called before any thread exists and before objects of this run are made."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _become_watchdog(run_id, reading)
    os.close(reading)
    os.waitpid(child, 0)
    return Guard(writing)


def _become_watchdog(run_id: str, reading: int) -> NoReturn:
    """Second fork, so that nobody has to wait for it. Must never come back into the caller's code."""
    try:
        os.setsid()
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        if os.fork() == 0:
            _leave_everything_but(reading)
            if not _heard_done():
                os.execv(sys.executable, [sys.executable, "-I", "-m", __name__, run_id])  # noqa: S606 - no shell is wanted
    finally:
        os._exit(0)


def _leave_everything_but(kept: int) -> None:
    """Keep nothing of the command open but the pipe, as number 3: a reader of its output must see its end."""
    if kept != 3:
        os.dup2(kept, 3, inheritable=False)
    os.closerange(4, max(4, _highest_open()) + 1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.chdir("/")


def _highest_open() -> int:
    try:
        return max(int(name) for name in os.listdir("/dev/fd"))  # noqa: PTH208 - no Path objects after a fork
    except (OSError, ValueError):
        return 4096


def _heard_done() -> bool:
    heard = b""
    while piece := os.read(3, 16):
        heard += piece
    return heard.startswith(_DONE)


def clear(run_id: str) -> None:
    """Sweep one run until nothing more of it comes up."""
    from roadmap_labs.engine.docker_engine import open_engine
    from roadmap_labs.engine.sweep import find_dead, sweep
    from roadmap_labs.errors import Problem

    began = last = time.monotonic()
    while (now := time.monotonic()) - last < _QUIET and now - began < _MOST:
        with suppress(Problem):
            engine = open_engine()
            try:
                if find_dead(engine, run=run_id):
                    sweep(engine, run=run_id)
                    last = time.monotonic()
            finally:
                engine.close()
        time.sleep(_POLL)


if __name__ == "__main__":
    clear(sys.argv[1])
