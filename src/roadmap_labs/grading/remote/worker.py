"""Judges on this host what a coordinator hands out, told by the queue. Knows no ledger.

A message is acknowledged after the result was taken, so a host that dies loses nothing: the queue hands the message to
another one. Each judgement has a run id and a watchdog of its own, because any process of the pool may be killed.
"""

from __future__ import annotations

import platform
import secrets
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from celery import Task
from celery.exceptions import SecurityWarning

from roadmap_labs.checking.ending import Ending
from roadmap_labs.content import shelf
from roadmap_labs.content.submission import submission_of
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.watchdog import guard
from roadmap_labs.errors import EngineUnavailable, Problem
from roadmap_labs.grading.batch import footing
from roadmap_labs.grading.judging import STACKS_PER_CORE, Bench, bench, given_up, judged
from roadmap_labs.grading.remote import broker
from roadmap_labs.grading.remote.client import Coordinator, HandedOut

_REST_SECONDS = 10.0  # after a fault of this host's, so that another one gets the submission
_MIB_PER_SLOT = {"small": 2048, "large": 8192}


@dataclass(frozen=True)
class Post:
    """Where a worker hears of work, where it gets it, and how much it takes."""

    broker: str
    coordinator: str
    token: str
    slots: int  # 0: as this host carries
    patience: float = 600.0  # seconds that a coordinator may be away


@dataclass(frozen=True)
class Host:
    """What this host offers."""

    name: str
    queues: tuple[str, ...]
    slots: int


def this_host(slots: int) -> Host:
    """Ask the engine here; `EngineUnavailable` where none answers."""
    engine = open_engine()
    try:
        facts = engine.facts()
    finally:
        engine.close()
    mib = facts.memory_bytes // 1024 // 1024
    sizes = [size for size, need in _MIB_PER_SLOT.items() if size == "small" or mib >= need * 2]
    found = slots or max(1, min(facts.cpus * STACKS_PER_CORE, mib // _MIB_PER_SLOT["small"]))
    return Host(platform.node(), tuple(broker.queue_name(facts.architecture, size) for size in sizes), found)


def work(post: Post, host: Host, told: Callable[[str], None]) -> int:
    """Consume until told to stop; the exit code. SIGTERM waits for what is under way, a second one does not."""
    app = broker.application(post.broker, host.queues)
    benches: dict[tuple[str, str], Bench] = {}

    def grade(task: Task, batch: str, job: str) -> None:
        coordinator = Coordinator(post.coordinator, post.token, patience=post.patience)
        try:
            _grade(coordinator, task, batch, job, host.name, benches, told)
        except Problem as problem:
            told(f"{job}: {problem.message} {problem.cure}")
        finally:
            coordinator.close()

    # Celery warns of a superuser because of pickle, which is not accepted here; the engine's socket is as much as root.
    warnings.simplefilter("ignore", SecurityWarning)
    app.task(grade, name=broker.TASK, bind=True)
    worker = app.Worker(
        concurrency=host.slots, pool="prefork", hostname=f"{secrets.token_hex(4)}@{host.name}", loglevel="ERROR",
        without_gossip=True, without_mingle=True, quiet=True, optimization="fair",
    )  # fmt: skip
    worker.start()
    return int(worker.exitcode or 0)


def _grade(
    coordinator: Coordinator,
    task: Task,
    batch: str,
    job: str,
    host: str,
    benches: dict[tuple[str, str], Bench],
    told: Callable[[str], None],
) -> None:
    again = bool((task.request.delivery_info or {}).get("redelivered"))
    nonce = secrets.token_hex(8)
    claimed = coordinator.claim(batch, job, message=task.request.id, nonce=nonce, again=again, worker=host)
    if claimed is None:
        return
    run = secrets.token_hex(5)
    watchdog = guard(run)  # before the first thread
    ending = Ending()
    began = time.monotonic()
    with coordinator.beating(claimed, ending.now):
        result = _judged(coordinator, claimed, run, benches, ending, told)
    if result is None or ending.told:
        return
    taken = coordinator.hand_in(claimed, result)
    watchdog.done()
    told(f"{job}: {result['verdict']}, {time.monotonic() - began:.0f} s{'' if taken else ' (came too late)'}")
    if result["verdict"] == "infra":
        time.sleep(_REST_SECONDS)


def _judged(
    coordinator: Coordinator,
    claimed: HandedOut,
    run: str,
    benches: dict[tuple[str, str], Bench],
    ending: Ending,
    told: Callable[[str], None],
) -> dict[str, Any] | None:
    """The document; None where this host could not judge it and has said so."""
    try:
        at = _bench(claimed, run, benches, told)
        one = claimed.assignment(coordinator.files(claimed))
        try:
            return judged(at, one, lambda end: ending.begun(claimed.job, end))
        finally:
            ending.over(claimed.job)
    except Problem as problem:
        coordinator.give_back(claimed, f"{problem.message} {problem.cure}".strip())
        told(f"{claimed.job}: given back: {problem.message}")
        time.sleep(_REST_SECONDS)  # or this host would be asked again at once, before one that can
        return None
    except Exception as error:  # noqa: BLE001 (a defect of ours must be an answer, not a message that is lost)
        lab = shelf.load_lab(claimed.lab)
        why = f"roadmap-labs failed on a worker: {type(error).__name__}: {error}"
        one = claimed.assignment(submission_of(()))
        return given_up(lab, claimed.lab_digest, one, "I-CHECKER", why)


def _bench(
    claimed: HandedOut, run: str, benches: dict[tuple[str, str], Bench], told: Callable[[str], None]
) -> Bench:
    key = (claimed.lab, claimed.lab_digest)
    if key not in benches:
        lab = shelf.load_lab(claimed.lab)
        here = footing(lab)
        if here != claimed.lab_digest:
            raise EngineUnavailable(
                f"This host has another version of {claimed.lab} than the coordinator.",
                cure="Bring both to the same version of roadmap-labs and of the lab, then start the worker again.",
            )
        benches[key] = bench(
            lab, here, run, claimed.time_factor, lambda phase, step: told(phase) if phase else None
        )
    return replace(benches[key], run=run)
