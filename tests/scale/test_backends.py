"""What a batch expects of whoever judges for it, the same for this machine and for workers behind a real broker."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from roadmap_labs.content import shelf
from roadmap_labs.grading import batch, local
from roadmap_labs.grading.batch import Graded, Told, Wish, grade
from roadmap_labs.grading.local import LocalBackend
from roadmap_labs.grading.remote.backend import CeleryBackend
from roadmap_labs.grading.remote.broker import Letters
from roadmap_labs.grading.work import JobBackend
from roadmap_labs.harness import waiting
from tests.scale.paper import SECONDS, paper_bench, paper_judged
from tests.scale.rabbit import Rabbit

pytestmark = pytest.mark.engine

TOYS = Path(__file__).parent.parent / "toy"
TOKEN = "not-a-secret-at-all-in-a-test"
LOST_SECONDS = 4.0


@dataclass
class Room:
    """A batch's folders, a back end, and the workers that serve it, if it has any."""

    folder: Path
    kind: str
    broker: Rabbit | None
    queue: str
    port: int = 0
    workers: list[subprocess.Popen[str]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def wish(self) -> Wish:
        return Wish("toy", self.folder / "in", self.folder / "out", jobs=2)

    def hand_in(self, **words: str) -> None:
        for name, word in words.items():
            (self.folder / "in" / name).mkdir(parents=True)
            (self.folder / "in" / name / "verdict").write_text(word)

    def backend(self) -> JobBackend:
        if self.broker is None:
            lab = shelf.load_lab("toy")
            return LocalBackend(paper_bench(lab, batch.footing(lab), "run", 1.0, None), 2)
        return CeleryBackend(
            Letters(self.broker.url, self.queue), TOKEN, "127.0.0.1", self.port, LOST_SECONDS
        )

    def grade(self, told: Told | None = None) -> Graded:
        told = told or Told(tell=lambda phase, step: self.told.append(phase))
        return grade(self.wish, told, self.backend())

    def begin_worker(self, slots: int = 2) -> subprocess.Popen[str] | None:
        if self.broker is None:
            return None
        words = [self.broker.url, f"http://127.0.0.1:{self.port}", TOKEN, self.queue, str(slots)]
        made = subprocess.Popen(
            [sys.executable, "-m", "tests.scale.paper", *words], text=True, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=(self.folder / "worker.err").open("a"),
        )  # fmt: skip
        self.workers.append(made)
        return made

    def judged(self) -> list[tuple[str, int]]:
        file = Path(os.environ["JUDGED"])
        return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []

    def close(self) -> None:
        for worker in self.workers:
            _kill(worker)


def _kill(worker: subprocess.Popen[str]) -> None:
    """The whole process group at once, as a power cut would."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


@pytest.fixture(params=["local", "celery"])
def room(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queue: str
) -> Iterator[Room]:
    monkeypatch.setenv("ROADMAP_LABS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(TOYS))
    monkeypatch.setenv("JUDGED", str(tmp_path / "judged"))
    shelf.load_lab.cache_clear()
    monkeypatch.setattr(local, "judged", paper_judged)
    far = request.param == "celery"
    with ExitStack() as stack:
        made = Room(tmp_path, request.param, request.getfixturevalue("broker") if far else None, queue)
        stack.callback(made.close)
        if far:
            with socket.create_server(("127.0.0.1", 0)) as free:
                made.port = free.getsockname()[1]
        yield made
    shelf.load_lab.cache_clear()


def _states(graded: Graded) -> dict[str, tuple[str, str, int]]:
    return {job.id: (job.state, str((job.result or {}).get("verdict")), job.attempts) for job in graded.jobs}


def test_each_is_judged_once_and_committed(room: Room) -> None:
    room.hand_in(anna="pass", ben="fail", cleo="error", dora="pass")
    room.begin_worker()
    assert _states(room.grade()) == {
        "anna": ("graded", "pass", 1), "ben": ("graded", "fail", 1),
        "cleo": ("graded", "error", 1), "dora": ("graded", "pass", 1),
    }  # fmt: skip
    assert sorted(room.judged()) == [("anna", 1), ("ben", 1), ("cleo", 1), ("dora", 1)]


def test_a_fault_of_ours_is_tried_again_and_never_a_zero(room: Room) -> None:
    room.hand_in(anna="infra-once", ben="always-infra", cleo="fail")
    room.begin_worker()
    assert _states(room.grade()) == {
        "anna": ("graded", "pass", 2), "ben": ("ungraded", "infra", 3), "cleo": ("graded", "fail", 1),
    }  # fmt: skip


def test_what_is_refused_is_in_the_ledger_and_the_rest_goes_on(room: Room) -> None:
    room.hand_in(anna="pass")
    (room.folder / "in" / "ben").mkdir()
    room.begin_worker()
    graded = room.grade()
    assert {id_: state[:2] for id_, state in _states(graded).items()} == {
        "anna": ("graded", "pass"), "ben": ("graded", "error")
    }  # fmt: skip
    (_, ben) = graded.jobs
    assert ben.result is not None
    assert {check["code"] for check in ben.result["checks"]} == {"L-SUBM"}


def test_the_same_command_again_judges_what_is_new(room: Room) -> None:
    room.hand_in(anna="pass")
    room.begin_worker()
    room.grade()
    room.hand_in(ben="pass")
    room.grade()
    assert room.judged() == [("anna", 1), ("ben", 1)]


def test_a_sample_is_judged_twice_and_compared(room: Room) -> None:
    room.hand_in(anna="pass", ben="fail")
    room.begin_worker()
    wish = Wish("toy", room.folder / "in", room.folder / "out", jobs=2, recheck=1.0)
    graded = grade(wish, None, room.backend())
    assert graded.rechecks == {"anna": True, "ben": True}
    assert Counter(name for name, _ in room.judged()) == {"anna": 2, "ben": 2}


def test_an_early_end_leaves_nothing_in_anybodys_hands(room: Room) -> None:
    room.hand_in(anna="slow", ben="slow", cleo="slow")
    room.begin_worker(slots=1)

    def stop() -> None:
        waiting.settle(room.judged, 30, "a judgement is under way")
        signal.raise_signal(signal.SIGINT)

    interrupting = threading.Thread(target=stop)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        room.grade()
    interrupting.join()
    graded = room.grade()
    assert {state[:2] for state in _states(graded).values()} == {("graded", "pass")}
    assert max(state[2] for state in _states(graded).values()) == 1, "an interrupted attempt does not count"


# ---- what only hosts far away can do ----


far_away = pytest.mark.parametrize("room", ["celery"], indirect=True)


def _in_the_middle(room: Room, act: Any) -> threading.Thread:
    """Do something as soon as a judgement is under way."""

    def wait_and_act() -> None:
        waiting.settle(room.judged, 60, "a judgement is under way")
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


@far_away
def test_a_worker_that_is_killed_loses_nothing(room: Room) -> None:
    room.hand_in(**{f"s{number}": "slow" for number in range(6)})
    first = room.begin_worker()
    assert first is not None

    def kill() -> None:
        room.begin_worker()
        _kill(first)

    acting = _in_the_middle(room, kill)
    states = _states(room.grade())
    acting.join()
    assert {state[:2] for state in states.values()} == {("graded", "pass")}
    assert 6 <= len(room.judged()) <= 8, "what the dead one had, two at most, is judged once more"


@far_away
def test_a_broker_that_is_killed_loses_nothing(room: Room) -> None:
    room.hand_in(**{f"s{number}": "slow" for number in range(6)})
    room.begin_worker()
    assert room.broker is not None
    broker = room.broker

    def cut() -> None:
        broker.kill()
        broker.start()

    acting = _in_the_middle(room, cut)
    states = _states(room.grade())
    acting.join()
    assert {state[:2] for state in states.values()} == {("graded", "pass")}


@far_away
def test_what_ends_its_workers_ends_ungraded_and_the_others_are_judged(room: Room) -> None:
    room.hand_in(anna="pass", ben="poison", cleo="pass")
    room.begin_worker()
    assert _states(room.grade()) == {
        "anna": ("graded", "pass", 1), "ben": ("ungraded", "infra", 3), "cleo": ("graded", "pass", 1),
    }  # fmt: skip


@far_away
def test_a_defect_of_ours_on_a_worker_is_told(room: Room) -> None:
    room.hand_in(anna="broken")
    room.begin_worker()
    graded = room.grade()
    (anna,) = graded.jobs
    assert anna.state == "ungraded"
    assert anna.result is not None
    assert "RuntimeError: a defect" in anna.result["checks"][0]["message"]


@far_away
def test_a_host_that_cannot_judge_gives_back_and_another_one_does(room: Room) -> None:
    room.hand_in(anna="gone")
    room.begin_worker()

    def mend() -> None:
        (room.folder / "in" / "anna" / "verdict").write_text("pass")

    acting = _in_the_middle(room, mend)
    states = _states(room.grade())
    acting.join()
    assert states == {"anna": ("graded", "pass", 1)}, "what was given back has cost no attempt"
    assert sum("No engine answers here" in line for line in room.told) == 1, "told once"


@far_away
def test_a_worker_without_the_token_gets_nothing(room: Room) -> None:
    import httpx

    room.hand_in(anna="slow")
    room.begin_worker()
    seen: list[int] = []

    def try_it() -> None:
        base = f"http://127.0.0.1:{room.port}"
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            seen.append(httpx.get(f"{base}/v1/blobs/any", headers=headers).status_code)
            seen.append(httpx.post(f"{base}/v1/result", json={}, headers=headers).status_code)
            seen.append(httpx.get(f"{base}/docs", headers=headers).status_code)

    acting = _in_the_middle(room, try_it)
    room.grade()
    acting.join()
    assert seen == [401, 401, 404] * 2
    assert time.monotonic() > SECONDS
