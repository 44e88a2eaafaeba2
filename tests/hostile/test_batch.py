"""The corpus in one batch: each verdict as the catalogue has it; neighbours, host and engine as if nothing were."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from roadmap_labs.engine import labels
from roadmap_labs.engine.owner import is_dead
from roadmap_labs.engine.protocol import Engine
from roadmap_labs.grading.batch import LEDGER
from roadmap_labs.grading.exports import FORMATS
from roadmap_labs.grading.ledger import Ledger
from roadmap_labs.grading.reporting import stored
from tests.hostile.conftest import Batch
from tests.hostile.corpus import CORPUS
from tests.hostile.submission import CANARY, TOYS, Hostile

pytestmark = pytest.mark.engine

MOST_GROWTH = 50 * 1024  # KiB that the orchestrator may grow by
# A checking process has read at most 1 MiB of any answer; what it needs for itself is about 62 MiB.
MOST_CHECKER = 90 * 1024


def _neighbours(batch: Batch) -> dict[str, Mapping[str, Any]]:
    return {id_: result for id_, result in batch.results.items() if id_.endswith("-neighbour")}


def _param(one: Hostile) -> Any:
    gap = pytest.mark.xfail(strict=True, raises=AssertionError, reason=one.known_gap)
    return pytest.param(one, id=one.id, marks=gap if one.known_gap else ())


@pytest.mark.parametrize("one", [_param(one) for one in CORPUS])
def test_the_verdict_is_the_one_of_the_catalogue(batch: Batch, one: Hostile) -> None:
    result = batch.results[one.id]
    outcomes = {check["id"]: check["outcome"] for check in result["checks"]}
    first = next((check for check in result["checks"] if check["outcome"] != "pass"), None)
    code = first["code"] if first else ""
    said = " ".join((first["message"], first["expected"], first["observed"])) if first else ""
    assert (result["verdict"], code) == (one.verdict, one.code), said
    for words in one.says:
        assert words in said
    assert {name: outcomes[name] for name in one.outcomes} == one.outcomes
    assert result["attempt"] == 1


def test_no_neighbour_notices(batch: Batch) -> None:
    found = _neighbours(batch)
    assert len(found) >= 8
    for id_, result in found.items():
        assert (result["verdict"], result["score"], result["attempt"]) == ("pass", 4, 1), id_


def test_the_ledger_has_each_once(batch: Batch) -> None:
    ledger = Ledger(batch.out / LEDGER, is_dead)
    jobs = ledger.jobs()
    ledger.close()
    assert sorted(job.id for job in jobs) == sorted(batch.results)
    assert len(jobs) == len(CORPUS) + len(_neighbours(batch))
    gaps = {one.id for one in CORPUS if one.known_gap}
    assert {job.id for job in jobs if job.state != "graded"} <= gaps
    assert [line for line in batch.measured["ours"] if line.partition(":")[0] not in gaps] == []


def test_nothing_is_left_on_the_engine(batch: Batch, engine: Engine) -> None:
    found = [
        item.name
        for kind in ("container", "network", "volume")
        for item in engine.find(kind, {labels.STACK: ""})  # type: ignore[arg-type]
        if item.labels.get(labels.FOLDER, "").startswith(str(batch.folder))
    ]
    assert found == []


def test_the_host_is_as_it_was(batch: Batch) -> None:
    assert list(batch.marks.iterdir()) == []
    assert batch.after == batch.before
    assert not [path for path in batch.out.rglob("*") if path.name.startswith("core")]
    assert not Path("/slipped").exists()
    assert {path.name for path in batch.out.iterdir()} <= {
        LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", "results", ".lock",
    }  # fmt: skip


def test_the_orchestrator_stays_small_and_leaves_no_child(batch: Batch) -> None:
    assert batch.measured["most"] - batch.measured["before"] <= MOST_GROWTH
    assert batch.measured["largest_child"] <= MOST_CHECKER
    assert batch.measured["children"] == []


def test_no_secret_leaves(batch: Batch) -> None:
    hidden = (TOYS / "labs" / "mirror" / "checks" / "test_mirror.py").read_text()
    assert CANARY in hidden  # else nothing would be looked for
    written = [
        path for folder in (batch.out, batch.folder / "home") for path in folder.rglob("*") if path.is_file()
    ]
    for path in written:
        if path.suffix != ".pyc":  # the checks themselves, compiled, where only the grader reads
            assert CANARY.encode() not in path.read_bytes(), path
    assert CANARY not in batch.said


def test_what_was_said_is_inert_for_every_reader(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(TOYS))
    for result in batch.results.values():
        assert not any(char < " " and char != "\n" for check in result["checks"] for char in check["message"])
    book, _ = stored(batch.out)
    written = {name: form(book).decode() for name, form in FORMATS.items()}
    for name, text in written.items():
        assert "HYPERLINK" in text or name in ("canvas", "moodle", "github", "gradescope"), name
        assert "\x1b" not in text, name
    assert "<script>" not in written["junit"] + written["markdown"]
    ElementTree.fromstring(written["junit"])
    assert not [line for line in written["github"].splitlines() if line.lstrip().startswith("::add-mask")]
    for name in ("csv", "canvas", "moodle"):
        cells = [cell for row in csv.reader(io.StringIO(written[name])) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))], name
