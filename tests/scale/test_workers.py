"""`grade --backend celery` and `worker` as processes: real submissions, a real engine, a real broker."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import Kind
from tests.endurance.grading import hand_in
from tests.face.conftest import COMMAND, Desk, desk, engine, until
from tests.scale.rabbit import Rabbit

__all__ = ["desk", "engine"]  # fixtures

pytestmark = pytest.mark.engine

TOYS = Path(__file__).parent.parent / "toy"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def school(desk: Desk, broker: Rabbit, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk with submissions, whose commands know the broker."""
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(TOYS))
    (desk.folder / "in").mkdir()
    desk.environment["ROADMAP_LABS_BROKER"] = broker.url
    yield desk
    assert desk.mine() == ()
    names = {path.name for path in (desk.folder / "in").iterdir()}
    kinds: tuple[Kind, ...] = ("container", "network", "volume")

    def left() -> bool:
        found = [item for kind in kinds for item in desk.engine.find(kind, {labels.LAB: "toy"})]
        return not any(item.labels.get(labels.FOLDER) in names for item in found)

    until(left, 60, "the watchdog removes what a killed worker left")


def _grade(school: Desk, port: int, out: str) -> tuple[str | Path, ...]:
    listen = f"127.0.0.1:{port}"
    return (
        "--labs-path",
        TOYS,
        "grade",
        "toy",
        "in",
        "--out",
        out,
        "--backend",
        "celery",
        "--listen",
        listen,
    )


def _worker(school: Desk, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *COMMAND, "--labs-path", str(TOYS), "worker", "--coordinator", f"http://127.0.0.1:{port}",
            "--token-file", "far/worker-token", "--slots", "2",
        ],
        cwd=school.folder, env=school.environment, start_new_session=True, text=True,
        stdout=(school.folder / "worker.out").open("a"), stderr=subprocess.STDOUT,
    )  # fmt: skip


def _results(out: Path) -> dict[str, Any]:
    found = {}
    for file in (out / "results").iterdir():
        result = json.loads(file.read_text())
        found[file.stem] = (result["verdict"], [(check["id"], check["code"]) for check in result["checks"]])
    return found


def test_workers_judge_as_this_machine_does_also_where_one_is_killed(school: Desk, port: int) -> None:
    hand_in(school.folder / "in", 6, seed=3)
    coordinating = school.begin(*_grade(school, port, "far"))
    until((school.folder / "far" / "worker-token").exists, 30, "the coordinator has a token for workers")
    first = _worker(school, port)
    try:
        until(lambda: "running" in _ledger(school.folder / "far"), 60, "a worker has a submission")
        os.killpg(first.pid, signal.SIGKILL)
        second = _worker(school, port)
        out, err = coordinating.communicate(timeout=180)
        assert coordinating.returncode == 0, out + err
        second.terminate()
        assert second.wait(60) == 0
    finally:
        for process in (first, coordinating):
            process.kill()
    assert "Traceback" not in (school.folder / "worker.out").read_text()
    token = school.folder / "far" / "worker-token"
    assert token.stat().st_mode & 0o077 == 0
    assert token.read_text().strip() not in out + err
    here = school.run("--labs-path", TOYS, "grade", "toy", "in", "--out", "near")
    assert here.code == 0
    assert _results(school.folder / "far") == _results(school.folder / "near")


def test_what_is_missing_is_said(school: Desk, port: int) -> None:
    hand_in(school.folder / "in", 1, seed=1)
    school.environment["ROADMAP_LABS_BROKER"] = "amqp://lab:very-secret@127.0.0.1:1/lab"
    ended = school.run(*_grade(school, port, "far"))
    assert ended.code == 75
    assert "The broker 127.0.0.1:1/lab does not answer" in ended.err
    assert "very-secret" not in ended.err + ended.out
    ended = school.run("worker", "--coordinator", "http://127.0.0.1:1")
    assert (ended.code, "--token-file" in ended.err) == (2, True)
    school.environment.pop("ROADMAP_LABS_BROKER")
    ended = school.run(*_grade(school, port, "far"))
    assert (ended.code, "No broker is named" in ended.err) == (2, True)


def _ledger(out: Path) -> set[str]:
    try:
        with sqlite3.connect(f"file:{out / 'ledger.sqlite'}?mode=ro", uri=True) as base:
            return {row[0] for row in base.execute("SELECT state FROM job")}
    except sqlite3.Error:
        return set()
