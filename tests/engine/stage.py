"""Runs commands as processes that are forked from a warm one, each with its fault, and says how they ended.

Started as a program it is that warm process: one JSON object a line in, one out. A command costs a fork this way and
not half a second of imports, so that every call of it can be failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from tests.engine.faulty import Fault, faulty  # noqa: E402

TOYS = ROOT / "tests" / "toy"


@dataclass(frozen=True)
class Ended:
    """How a command ended; a negative `code` is the signal that killed it. `calls` are its engine calls, in order."""

    code: int
    out: str
    err: str
    calls: tuple[str, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass
class Stage:
    """The warm process; `run` one command at a time."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Stage:
        self.home.mkdir(parents=True, exist_ok=True)
        kept = {
            key: value for key, value in os.environ.items() if key.startswith(("DOCKER_", "PATH", "LANG"))
        }
        ours = {"ROADMAP_LABS_HOME": str(self.home), "ROADMAP_LABS_PATH": str(TOYS), "NO_COLOR": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**kept, **ours, **self.environment},
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def run(self, *arguments: str, folder: Path, fault: Fault | None = None) -> Ended:
        """Run a command in `folder` to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        places = {name: str(self.home / f"{name}.txt") for name in ("out", "err", "calls")}
        job = {"argv": arguments, "folder": str(folder), "fault": asdict(fault or Fault()), **places}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        said = {name: Path(place).read_text() for name, place in places.items()}
        return Ended(code, said["out"], said["err"], tuple(said["calls"].splitlines()))


def _command(job: dict[str, Any]) -> None:
    """In the forked child: become the command, and never come back."""
    from roadmap_labs.cli import main

    code = 99
    try:
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(job[name], flags), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(job["folder"])
        sys.argv = ["roadmap-labs", *job["argv"]]
        with faulty(Fault(**job["fault"]), os.open(job["calls"], flags | os.O_CLOEXEC)):
            main.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - a traceback is what the tests look for
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    """The warm process: everything that commands import is imported once, and no thread exists when it forks."""
    import roadmap_labs.checking.judge
    import roadmap_labs.cli.main
    import roadmap_labs.engine.docker_engine
    import roadmap_labs.render.play
    import roadmap_labs.render.report
    import roadmap_labs.verbs.judge
    import roadmap_labs.verbs.play  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _command(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
