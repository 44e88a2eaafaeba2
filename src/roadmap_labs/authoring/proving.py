"""A proof from the wish to the file: runs it, writes it beside the lab where it holds, and gives it as a document."""

from __future__ import annotations

import os
import time
from pathlib import Path

from roadmap_labs import __version__
from roadmap_labs.authoring import proof, verdicts
from roadmap_labs.authoring.prove import Proving, Told, Wish, prove
from roadmap_labs.content import proofs, shelf
from roadmap_labs.content.footing import digests
from roadmap_labs.errors import WrongUse
from roadmap_labs.model import document as report_document

SCHEMA = "roadmap-labs.proving/v1"


def chosen(slug: str | None, *, every: bool, stale: bool) -> tuple[str, ...]:
    """The labs that a command means: the one that it names, every lab, or those whose proof does not hold."""
    if [slug is not None, every, stale].count(True) != 1:
        raise WrongUse("One lab, --all or --stale.", cure="For instance:  roadmap-labs lab prove --all")
    if slug is not None:
        return (slug,)
    return tuple(row.slug for row in proof.standings() if every or row.state != "proven")


def expected_seconds(slug: str) -> float:
    """How long a proof will take, going by the last one; ten minutes where there was none."""
    last = proofs.read(shelf.load_lab(slug).folder)
    return float(last["seconds"]) if last else 600.0


def run(wish: Wish, told: Told | None = None) -> tuple[Proving, Path | None]:
    """Prove; returns how it went and the file of the proof, where one was written.

    A proof speaks of the files as they were when it began: where one was changed meanwhile, it is written with the
    digests of the beginning, so it is out of date at once.
    """
    before = digests(shelf.load_lab(wish.slug))
    went = prove(wish, told)
    if went.partial or not went.proven:
        return went, None
    return went, proof.write(went.lab, record(went, before))


def record(went: Proving, digests: dict[str, str]) -> dict[str, object]:
    """What proof.json says."""
    killed: dict[str, list[str]] = {check.id: [] for check in went.lab.checks}
    for mutant in went.mutants:
        killed[mutant.manifest.caught_by].append(mutant.id)
    longest = verdicts.longest(went.solutions())
    return {
        "schema": proofs.SCHEMA,
        "lab": went.lab.slug,
        "lab_version": went.lab.manifest.version,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "roadmap_labs": __version__,
        "engine": went.engine,
        "cores": os.cpu_count(),
        "side_by_side": went.jobs,
        "busy_processes": went.busy,
        "seconds": round(went.seconds, 1),
        "starter": {"runs": _runs(went, "starter")},
        "solution": {
            "runs": _runs(went, "solution"),
            "longest_run": round(max(report.seconds for report in went.solutions()), 1),
            "longest_checks": {check: round(seconds, 2) for check, seconds in longest.items()},
        },
        "mutants": {
            mutant.id: {
                "check": mutant.manifest.caught_by,
                "code": mutant.manifest.code,
                "runs": sum(one.run.name == mutant.id for one in went.done if one.run.kind == "mutant"),
            }
            for mutant in went.mutants
        },
        "killed_by": killed,
        "digests": digests,
    }


def _runs(went: Proving, kind: str) -> int:
    return sum(one.run.kind == kind for one in went.done)


def document(went: Proving, file: Path | None) -> dict[str, object]:
    """What `lab prove --json` prints: every run, and the whole report of each that refutes the lab."""
    return {
        "schema": SCHEMA,
        "lab": went.lab.slug,
        "ok": went.proven,
        "partial": went.partial,
        "seconds": round(went.seconds, 1),
        "side_by_side": went.jobs,
        "busy_processes": went.busy,
        "problems": list(went.problems),
        "longest_checks": {
            check: round(seconds, 2) for check, seconds in verdicts.longest(went.solutions()).items()
        },
        "runs": [
            {
                "kind": one.run.kind,
                "name": one.run.name,
                "turn": one.run.turn,
                "seed": one.run.seed,
                "seconds": round(one.report.seconds, 2),
                "ok": not one.wrong,
                "wrong": list(one.wrong),
                **({"report": report_document(one.report)} if one.wrong else {}),
            }
            for one in went.done
        ],
        "proof": str(file) if file else None,
    }
