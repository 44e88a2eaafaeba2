"""One batch of the whole corpus with references in between, graded once; tests look at what it has left."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.face.conftest import desk, engine  # noqa: F401 (fixtures)
from tests.hostile.corpus import CORPUS
from tests.hostile.submission import CANARY, TOYS, Ground, write_hostile, write_reference

NEIGHBOURS = 8
_EACH = len(CORPUS) // NEIGHBOURS


@dataclass(frozen=True)
class Batch:
    """What a batch was made of, and all that it has left."""

    folder: Path  # everything that belongs to it
    out: Path
    marks: Path
    before: Mapping[str, str]  # every file outside of OUT, and what names its content
    after: Mapping[str, str]
    measured: Mapping[str, Any]  # what tests/hostile/run.py prints
    said: str  # what the grading process wrote to its standard error
    results: Mapping[str, Mapping[str, Any]]  # by submission

    @property
    def handed_in(self) -> Path:
        return self.folder / "in"


@pytest.fixture(scope="session")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    folder = tmp_path_factory.mktemp("hostile")
    handed_in, out, marks, home = (folder / name for name in ("in", "out", "marks", "home"))
    for each in (handed_in, marks, home):
        each.mkdir()
    secret = folder / "secret"
    secret.write_text(f"{CANARY}on-the-host\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROADMAP_LABS_PATH", str(TOYS))
        for number, one in enumerate(CORPUS):
            write_hostile(one, Ground(handed_in, marks, secret))
            if number % _EACH == 0:  # beside this one: submissions are judged in the order of their names
                write_reference(handed_in / f"{one.id}-neighbour", f"{CANARY}of-a-neighbour")
    before = manifest(folder)
    kept = ("DOCKER_", "PATH", "LANG", "ROADMAP_LABS_SUBNETS", "ROADMAP_LABS_BASE")
    environment = {key: value for key, value in os.environ.items() if key.startswith(kept)}
    environment |= {
        "ROADMAP_LABS_PATH": str(TOYS),
        "ROADMAP_LABS_HOME": str(home),
        "GRADERS_TOKEN": f"{CANARY}in-the-environment",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tests.hostile.run", str(handed_in), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    results = {file.stem: json.loads(file.read_text()) for file in (out / "results").glob("*.json")}
    by_id = {result["submission"]: result for result in results.values()}
    return Batch(
        folder, out, marks, before, manifest(folder), json.loads(ended.stdout), ended.stderr, by_id
    )  # fmt: skip


def manifest(folder: Path) -> dict[str, str]:
    """Every file of a batch but what grading itself writes; links are named, not followed."""
    found = {}
    for top, folders, names in os.walk(folder):
        if Path(top) == folder:
            folders[:] = [name for name in folders if name not in ("out", "home")]
        for name in [*names, *folders]:
            path = Path(top) / name
            status = path.lstat()
            key = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
            found[key] = (
                f"{stat.filemode(status.st_mode)} {status.st_size} {status.st_mtime_ns} {_content(path, status)}"
            )
    return found


def _content(path: Path, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return str(path.readlink())
    if not stat.S_ISREG(status.st_mode) or status.st_size > 1 << 30:
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()
