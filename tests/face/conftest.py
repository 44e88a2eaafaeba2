"""The command line as a process, in a home and a folder of the test's own; nothing of it may be left on the engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from roadmap_labs.engine import labels
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.protocol import Engine, Found

COMMAND = [sys.executable, "-I", "-m", "roadmap_labs"]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Desk:
    """A scratch folder in which commands are run as a learner would."""

    folder: Path
    environment: dict[str, str]
    engine: Engine

    def run(self, *arguments: str | Path, seconds: float = 180, cwd: Path | None = None, **env: str) -> Ended:
        """Run a command to its end; a traceback on any stream is a failure of its own."""
        ended = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd or self.folder,
            env={**self.environment, **env},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert "Traceback" not in ended.stderr + ended.stdout, ended.stderr
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def begin(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Begin a command and leave it running."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def mine(self) -> tuple[Found, ...]:
        """Every object on the engine that belongs to a folder of this test."""
        kinds = ("container", "network", "volume")
        found = [item for kind in kinds for item in self.engine.find(kind, {labels.STACK: ""})]  # type: ignore[arg-type]
        return tuple(
            item for item in found if item.labels.get(labels.FOLDER, "").startswith(str(self.folder))
        )


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    opened = open_engine()
    yield opened
    opened.close()


@pytest.fixture
def desk(tmp_path: Path, engine: Engine) -> Iterator[Desk]:
    folder = tmp_path / "desk"
    folder.mkdir()
    kept = {
        key: value for key, value in os.environ.items() if key.startswith(("DOCKER_", "PATH", "SSL_", "LANG"))
    }
    made = Desk(folder, {**kept, "ROADMAP_LABS_HOME": str(tmp_path / "home"), "NO_COLOR": "1"}, engine)
    yield made
    for item in sorted(
        made.mine(), key=lambda item: ("container", "network", "volume", "image").index(item.kind)
    ):
        engine.remove(item.kind, item.id)


def until(condition: Callable[[], object], seconds: float, what: str) -> Any:
    """Poll an observable state; the test fails where it does not come."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)  # between two looks
    return value


def send(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal to a command, as a terminal or a kill does."""
    os.kill(process.pid, number)


def names(found: Sequence[Found]) -> list[str]:
    return sorted(f"{item.kind} {item.name}" for item in found)
