"""Starts the pytest process that holds the checks, and speaks with it over one socket. Knows nothing of stacks.

The process gets an empty working directory and a cleaned environment; no file of a learner is on its path, and
nothing of the engine is within its reach. It asks, by JSON lines; only the orchestrator acts.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

CHANNEL = "ROADMAP_LABS_CHANNEL_FD"
_LONGEST_LINE = 1024 * 1024


class Checker:
    """A running pytest process. `messages` yields what it says until it ends; `reply` answers an ask."""

    def __init__(self, checks: Path, *, pycache: Path, desk: Path) -> None:
        ours, theirs = socket.socketpair()
        self._socket = ours
        self._writing = Lock()
        self.log = desk / "checker.log"
        with theirs, self.log.open("wb") as log:
            self._process = subprocess.Popen(
                _command(checks, pycache),
                cwd=_empty(desk),
                env=_environment(theirs.fileno(), desk),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def messages(self, deadline: float) -> Iterator[Mapping[str, Any]]:
        """Each line that is a JSON object, until the process closes its end; `TimeoutError` at the deadline.

        `deadline` is a moment of `time.monotonic()`.
        """
        rest = b""
        while True:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                piece = self._socket.recv(65_536)
            except ConnectionError:
                return
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                return
            for line in lines:
                with contextlib.suppress(ValueError):
                    message = json.loads(line)
                    if isinstance(message, dict):
                        yield message

    def reply(self, ask: object, *, ok: object = None, error: Mapping[str, str] | None = None) -> None:
        """Answer one ask; a process that is gone needs no answer."""
        answer: dict[str, object] = {"reply": ask}
        answer |= {"error": dict(error)} if error is not None else {"ok": ok}
        with self._writing, contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(answer).encode() + b"\n")

    def kill(self) -> None:
        """End the process and all that it started, whatever it is doing; any thread may, once or twice."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """End the process and let go of it."""
        self.kill()
        self._process.wait()
        self._socket.close()

    def said(self, lines: int = 15) -> str:
        """The last lines that it printed, for a log of ours."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])
        return ""


def _command(checks: Path, pycache: Path) -> list[str]:
    import roadmap_labs.harness as harness  # only for its place on disk; nothing of it runs here

    ini = Path(str(harness.__file__)).with_name("pytest.ini")
    return [
        sys.executable, "-I", "-X", f"pycache_prefix={pycache}", "-m", "pytest",
        "-p", "roadmap_labs.harness.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider",
        "-c", str(ini), "--rootdir", str(checks), "--confcutdir", str(checks),
        "--import-mode=importlib", "--strict-markers", "-q", str(checks),
    ]  # fmt: skip


def _environment(channel: int, desk: Path) -> dict[str, str]:
    kept = {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC", "HOME": str(_empty(desk))}
    return kept | {CHANNEL: str(channel), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _empty(desk: Path) -> Path:
    folder = desk / "empty"
    folder.mkdir(exist_ok=True)
    return folder
