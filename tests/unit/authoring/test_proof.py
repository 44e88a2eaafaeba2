"""The proof beside a lab: what makes it stale, and what it says."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roadmap_labs.authoring import proof, proving
from roadmap_labs.authoring.prove import Proving
from roadmap_labs.authoring.verdicts import Done, Run
from roadmap_labs.content import shelf
from roadmap_labs.content.mutants import load_mutants
from roadmap_labs.model import CheckResult, Report
from roadmap_labs.render import proof as text
from tests.unit.authoring.conftest import Toy


def _went() -> Proving:
    lab = shelf.load_lab("toy")
    mutants = load_mutants(lab)
    whole = Report(
        "toy", "1.0", 7, 2.0, tuple(CheckResult(check, "pass", seconds=0.5) for check in lab.checks)
    )
    done = (
        Done(Run("starter", "plain", 1, 7), whole, ()),
        Done(Run("solution", "plain", 1, 7), whole, ()),
        *(Done(Run("mutant", mutant.id, 1, 7), whole, ()) for mutant in mutants),
    )
    return Proving(lab, mutants, done, (), 9.0, 2, 0, "20.10", False)


def _state() -> tuple[str, str]:
    standing = proof.standing("toy")
    return standing.state, standing.why


def test_a_proof_holds_until_something_changes(toy: Toy) -> None:
    assert _state()[0] == "never"
    went = _went()
    file = proof.write(went.lab, proving.record(went, proof.digests(went.lab)))
    assert file == toy.folder / "proof.json"
    assert _state() == ("proven", "")
    toy.put("README.md", "# Toy\n\nT1: something else.\n")
    assert _state() == ("stale", "changed since: lab")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("labs/toy/checks/test_t1.py", "lab"),
        ("labs/toy/mutants/says-nothing/app.py", "lab"),
        ("scaffolds/plain/tree/go.sh", "scaffolds/plain"),
        ("scaffolds/plain/image/Dockerfile", "scaffolds/plain"),
    ],
)
def test_what_a_proof_depends_on(toy: Toy, path: str, part: str) -> None:
    lab = shelf.load_lab("toy")
    before = proof.digests(lab)
    assert {"lab", "scaffolds/plain", "services/redis", "services/relay", "harness"} == set(before)
    file = toy.root / path
    file.write_text(file.read_text() + "\n")
    assert proof.changed(before, proof.digests(lab)) == (part,)


def test_a_broken_lab_is_not_proven(toy: Toy) -> None:
    toy.change("lab.yaml", "level: beginner", "level: easy")
    assert _state()[0] == "broken"


def test_the_record_names_who_kills_what(toy: Toy) -> None:
    went = _went()
    record = proving.record(went, {})
    assert record["killed_by"] == {"t1_answers": ["says-nothing"], "t1_counts": ["counts-from-zero"]}
    assert record["mutants"]["says-nothing"]["runs"] == 1  # type: ignore[index]
    assert record["solution"]["longest_checks"] == {"t1_answers": 0.5, "t1_counts": 0.5}  # type: ignore[index]


def test_a_refuted_run_is_shown_as_the_learner_would_have_seen_it(toy: Toy) -> None:
    del toy
    lab = shelf.load_lab("toy")
    first, second = lab.checks
    results = (
        CheckResult(first, "pass"),
        CheckResult(second, "fail", "wrong-sum", "The app was asked.", "2", "1", "less log", 1),
    )
    done = Done(
        Run("mutant", "counts-from-zero", 1, 7), Report("toy", "1.0", 7, 2.0, results), ("no such code",)
    )
    shown = text.transcript(done, lab)
    for part in ("Counts every request", "expected  2", "saw       1", "less log", "refuted: no such code"):
        assert part in shown
    assert "refuted" in text.run_line(done)


_WHO = """
import os, subprocess, time
from roadmap_labs.authoring import burden
made = []
real = subprocess.Popen
def noted(*arguments, **options):
    made.append(real(*arguments, **options))
    return made[-1]
subprocess.Popen = noted
with burden.busy(2):
    print(*[process.pid for process in made], flush=True)
    time.sleep(60)
"""


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_busy_processes_end_with_whoever_wanted_them(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _WHO], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 2
    assert not any(_ended(pid) for pid in pids)
    process.send_signal(number)
    process.wait(30)
    deadline = time.monotonic() + 30
    while not all(_ended(pid) for pid in pids):
        assert time.monotonic() < deadline, "a busy process goes on"
        time.sleep(0.02)  # between two looks
