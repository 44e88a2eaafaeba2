"""The ledger: claimed once, committed once, and the same rows in the end whatever was killed on the way."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from roadmap_labs.errors import CannotWrite, WrongUse
from roadmap_labs.grading.ledger import MOST_ATTEMPTS, Batch, Ledger

BATCH = Batch("toy", "d1", 7, ("t1_a", "t1_b"))


def dead(owner: str) -> bool | None:
    return {"dead": True, "alive": False}.get(owner.partition(" ")[0])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", dead)


def _entered(ledger: Ledger, count: int) -> None:
    for number in range(count):
        ledger.enter(f"s{number:03}", f"d{number}")


def test_each_is_claimed_once(ledger: Ledger) -> None:
    _entered(ledger, 40)
    claimed: list[str] = []

    def work(owner: str) -> None:
        while (job := ledger.claim(owner)) is not None:
            claimed.append(job.id)
            ledger.commit(job.id, owner, {"score": 1}, judged=True)

    threads = [threading.Thread(target=work, args=(f"alive {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [f"s{number:03}" for number in range(40)]
    assert ledger.count()["graded"] == 40


def test_a_fault_of_ours_is_tried_again_twice_and_then_ungraded(ledger: Ledger) -> None:
    _entered(ledger, 1)
    states = []
    while (job := ledger.claim("alive")) is not None:
        states.append(ledger.commit(job.id, "alive", {"verdict": "infra"}, judged=False))
    assert states == ["waiting"] * (MOST_ATTEMPTS - 1) + ["ungraded"]


def test_a_judged_one_is_never_judged_again(ledger: Ledger) -> None:
    _entered(ledger, 1)
    assert ledger.claim("alive") is not None
    ledger.commit("s000", "alive", {"verdict": "fail"}, judged=True)
    ledger.enter("s000", "another digest")
    assert ledger.claim("alive") is None
    assert ledger.job("s000").digest == "d0"


def test_the_first_word_stands(ledger: Ledger) -> None:
    _entered(ledger, 1)
    ledger.claim("dead 1")
    assert ledger.free_the_dead() == 1
    ledger.claim("alive 2")
    assert ledger.commit("s000", "dead 1", {"score": 0}, judged=True) == "running"
    assert ledger.commit("s000", "alive 2", {"score": 1}, judged=True) == "graded"
    assert ledger.commit("s000", "dead 1", {"score": 0}, judged=True) == "graded"
    assert ledger.job("s000").result == {"score": 1}


def test_what_a_dead_process_claimed_waits_again_and_costs_no_attempt(ledger: Ledger) -> None:
    _entered(ledger, 3)
    for owner in ("dead 1", "alive 1", "elsewhere"):
        ledger.claim(owner)
    assert ledger.free_the_dead() == 1
    assert (ledger.count()["waiting"], ledger.job("s000").attempts) == (1, 0)
    ledger.give_back("alive 1")
    assert ledger.count()["waiting"] == 2


def test_those_that_were_never_tried_come_first(ledger: Ledger) -> None:
    _entered(ledger, 2)
    job = ledger.claim("alive")
    assert job is not None
    ledger.commit(job.id, "alive", {}, judged=False)
    following = ledger.claim("alive")
    assert following is not None
    assert following.id == "s001"


def test_again_forgets_a_result(ledger: Ledger) -> None:
    _entered(ledger, 1)
    ledger.claim("alive")
    ledger.commit("s000", "alive", {"score": 1}, judged=True)
    ledger.note_recheck("s000", {"score": 1}, same=True)
    ledger.begin_again("s000", "d9")
    job = ledger.claim("alive")
    assert job is not None
    assert (job.digest, job.attempts, ledger.rechecks()) == ("d9", 1, {})


def test_a_ledger_is_about_one_lab_as_it_was(ledger: Ledger) -> None:
    assert ledger.open_batch(BATCH) == BATCH
    assert ledger.open_batch(Batch("toy", "d1", 99, ("t1_a", "t1_b"))) == BATCH, "the seed is the first one's"
    for other in (
        Batch("other", "d1", 7, BATCH.checks),
        Batch("toy", "d2", 7, BATCH.checks),
        Batch("toy", "d1", 7, ()),
    ):
        with pytest.raises(WrongUse):
            ledger.open_batch(other)


@pytest.mark.parametrize(
    "damage", [lambda file: file.write_bytes(b"no ledger" * 1000), lambda file: file.mkdir()]
)
def test_a_damaged_ledger_is_told(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    file = tmp_path / "ledger.sqlite"
    damage(file)
    with pytest.raises(CannotWrite, match="can't be opened"):
        Ledger(file, dead)


def test_a_ledger_of_another_version_is_left_alone(tmp_path: Path) -> None:
    base = sqlite3.connect(tmp_path / "ledger.sqlite")
    base.execute("PRAGMA user_version=99")
    base.close()
    with pytest.raises(WrongUse, match="another version"):
        Ledger(tmp_path / "ledger.sqlite", dead)


_WORKER = """
import os, sys
from pathlib import Path
from roadmap_labs.engine.owner import is_dead, owner
from roadmap_labs.grading.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), is_dead)
left = int(sys.argv[2])
ledger.free_the_dead()
while (job := ledger.claim(owner())) is not None:
    if left == 0:
        os.kill(os.getpid(), 9)
    ledger.commit(job.id, owner(), {"digest": job.digest}, judged=True)
    left -= 1
"""


def test_killed_anywhere_and_run_again_it_ends_with_the_same_rows(tmp_path: Path) -> None:
    rows = []
    for name, kills in (("calm", []), ("killed", [random.Random(seed).randint(0, 6) for seed in range(8)])):
        file = tmp_path / f"{name}.sqlite"
        ledger = Ledger(file, dead)
        _entered(ledger, 25)
        for after in [*kills, -1]:
            subprocess.run([sys.executable, "-c", _WORKER, str(file), str(after)], check=after == -1)
        rows.append(ledger.jobs())
    assert rows[0] == rows[1]
    assert {job.state for job in rows[1]} == {"graded"}
    assert {job.attempts for job in rows[1]} == {1}
