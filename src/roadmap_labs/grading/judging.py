"""Judges one assignment on this machine and makes its document. Knows neither batch nor queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from roadmap_labs.checking.judge import Order, Watcher
from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.submission import submission_of
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.sweep import sweep
from roadmap_labs.errors import BadSubmission, EngineUnavailable
from roadmap_labs.grading.work import Assignment
from roadmap_labs.model import CheckResult, Report, document
from roadmap_labs.stack.assembly import Tell, gather
from roadmap_labs.stack.plan import room_for
from roadmap_labs.verbs.judge import Subject, on_fresh_stack, refused_report

STACKS_PER_CORE = 3  # a judgement waits most of its time


@dataclass(frozen=True)
class Bench:
    """Where submissions of one lab are judged: its images are here, and `run` has a watchdog."""

    lab: Lab
    lab_digest: str
    run: str
    time_factor: float
    images: Mapping[str, str]  # service or role -> the id of its image
    room: int  # submissions that this machine carries side by side: memory first, then a few for each core
    tell: Tell


def bench(lab: Lab, lab_digest: str, run: str, time_factor: float, tell: Tell) -> Bench:
    """Sweep this machine's engine and build or find the lab's images there."""
    engine = open_engine()
    try:
        sweep(engine)
        gathered = gather(engine, lab, lab.manifest.scaffolds[0], submission_of(()), tell)
        states = {name: engine.image(ref) for name, ref in (gathered.services | gathered.roles).items()}
        images = {name: state.id for name, state in states.items() if state is not None}
        facts = engine.facts()
        room = room_for(lab, at_most=facts.cpus * STACKS_PER_CORE, memory_bytes=facts.memory_bytes)
        return Bench(lab, lab_digest, run, time_factor, images, room, tell)
    finally:
        engine.close()


def judged(at: Bench, one: Assignment, begun: Callable[[Callable[[], None]], None]) -> dict[str, Any]:
    """The document of `check --json`, and what grading adds to it. `begun` gets what ends the judgement early.

    `EngineUnavailable` where the machine's engine went away: no submission may lose its tries by that.
    """
    began = time.time()
    order = Order(at.lab, at.lab.checks, one.seed, time_factor=at.time_factor)
    what = Subject(at.lab, at.lab.manifest.scaffolds[0], one.files, one.source, None)
    judged = on_fresh_stack(order, what, at.run, at.tell, Watcher(begun=begun))
    if isinstance(judged.problem, EngineUnavailable):
        raise judged.problem
    return _document(judged.report, one, at.lab_digest, at.images, began)


def refusal(lab: Lab, lab_digest: str, one: Assignment) -> dict[str, Any]:
    """The document of a submission that was not taken in; no engine is needed for it."""
    if not isinstance(one.files, BadSubmission):
        raise TypeError(f"{one.id} was taken in")
    report = refused_report(Order(lab, lab.checks, one.seed), one.files)
    return _document(report, one, lab_digest, {}, time.time())


def given_up(lab: Lab, lab_digest: str, one: Assignment, code: str, why: str) -> dict[str, Any]:
    """The document of an attempt that came to nothing by a fault of ours."""
    results = tuple(CheckResult(check, "infra", code, why) for check in lab.checks)
    report = Report(lab.slug, lab.manifest.version, one.seed, 0.0, results)
    return _document(report, one, lab_digest, {}, time.time())


def _document(
    report: Report, one: Assignment, lab_digest: str, images: Mapping[str, str], began: float
) -> dict[str, Any]:
    return {
        **document(report),
        "submission": one.id,
        "submission_digest": one.digest,
        "lab_digest": lab_digest,
        "images": dict(images),
        "attempt": one.attempt,
        "started_at": utc(began),
        "ended_at": utc(time.time()),
    }


def utc(moment: float) -> str:
    """A moment of `time.time` as ISO 8601, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
