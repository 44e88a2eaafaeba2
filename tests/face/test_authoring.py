"""The author's commands as a process: lint, prove, status, on a copy of a lab that is the test's own."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.face.conftest import Desk, names, until

pytestmark = pytest.mark.engine

LAB = "redis-caching"
MUTANT = "nulls-left-out"
OURS = Path(__file__).parent.parent.parent / "labs" / LAB


@pytest.fixture
def copy(desk: Desk) -> Path:
    """A copy of the lab that is found before ours."""
    folder = desk.folder / "shelf" / "labs" / LAB
    shutil.copytree(OURS, folder, ignore=shutil.ignore_patterns("proof.json", "__pycache__"))
    desk.environment["ROADMAP_LABS_PATH"] = str(desk.folder / "shelf")
    return folder


def test_our_lab_has_no_flaw(desk: Desk) -> None:
    looked = desk.run("lab", "lint", LAB)
    assert looked.code == 0, looked.out


def test_a_new_lab_is_proven_in_a_folder_of_its_own(desk: Desk) -> None:
    shelf = desk.folder / "mine"
    shelf.mkdir()
    begun = desk.run("--labs-path", shelf, "lab", "new", "greetings", "--topic", "http-basics")
    assert begun.code == 0, begun.err
    assert desk.run("--labs-path", shelf, "lab", "lint", "greetings").code == 4, "WRITE is left everywhere"
    proven = desk.run("--labs-path", shelf, "lab", "prove", "greetings", "--json", seconds=300)
    assert proven.code == 0, proven.out + proven.err
    assert proven.document["ok"] is True
    assert (shelf / "labs" / "greetings" / "proof.json").is_file()
    assert desk.run("lab", "lint", "greetings").code == 5, "nobody else knows it"


def test_every_flaw_is_named_with_file_and_line(desk: Desk, copy: Path) -> None:
    (copy / "notes.txt").write_text("not part of a lab\n")
    readme = copy / "README.md"
    readme.write_text("# No task in it\n")
    looked = desk.run("lab", "lint", LAB, "--json")
    assert looked.code == 4
    found = {(flaw["rule"], Path(flaw["file"]).name) for flaw in looked.document["flaws"]}
    assert {("stray-file", "notes.txt"), ("readme", "README.md")} <= found
    assert f"{copy / 'notes.txt'}:1: stray-file:" in desk.run("lab", "lint", LAB).out


def test_a_mutant_is_caught_and_nothing_is_left(desk: Desk, copy: Path) -> None:
    proven = desk.run("lab", "prove", LAB, "--mutant", MUTANT, "--load", "--json", seconds=300)
    assert proven.code == 0, proven.out + proven.err
    document = proven.document
    assert document["ok"] is True
    assert document["partial"] is True
    assert [(run["kind"], run["name"], run["ok"]) for run in document["runs"]] == [("mutant", MUTANT, True)]
    assert document["busy_processes"] >= 1
    assert not (copy / "proof.json").exists(), "a part is no proof"
    states = {row["slug"]: row["state"] for row in desk.run("lab", "status", "--json").document["labs"]}
    assert states[LAB] == "never"
    assert names(desk.mine()) == []


def test_a_mutant_that_is_no_mutant_refutes_and_the_transcript_is_shown(desk: Desk, copy: Path) -> None:
    file = copy / "mutants" / MUTANT / "mutant.yaml"
    file.write_text(file.read_text().replace("code: warm-card-differs", "code: cold-card-differs"))
    refuted = desk.run("lab", "prove", LAB, "--mutant", MUTANT, seconds=300)
    assert refuted.code == 3, refuted.err
    assert "gives the code warm-card-differs, not cold-card-differs" in refuted.out
    for part in ("✗ Answers the right card, cold and warm", "expected", "saw", "Hint"):
        assert part in refuted.out, part
    assert names(desk.mine()) == []


def test_ctrl_c_ends_every_run_of_a_proof(desk: Desk, copy: Path) -> None:
    process = desk.begin("lab", "prove", LAB)
    until(lambda: len([item for item in desk.mine() if item.kind == "container"]) > 2, 60, "two runs are up")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert names(desk.mine()) == []


def test_an_unknown_mutant_is_named(desk: Desk) -> None:
    ended = desk.run("lab", "prove", LAB, "--mutant", "no-such-idea")
    assert ended.code == 5
    assert MUTANT in ended.err
