"""Grades a folder of submissions: claims, judges, commits, as many side by side as the machine carries. Prints nothing.

All runs share one run id and one watchdog. What is refused at the door is committed in milliseconds; what fails by a
fault of ours waits for another try; what was committed is never judged again unless it is asked for.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roadmap_labs.checking.ending import Ending, side_by_side
from roadmap_labs.checking.judge import Order, Watcher
from roadmap_labs.content import shelf
from roadmap_labs.content.footing import digests
from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.submission import Submission, refused, submission_of
from roadmap_labs.content.workspace import write_text_whole
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.owner import is_dead, owner
from roadmap_labs.engine.protocol import Engine
from roadmap_labs.engine.sweep import sweep
from roadmap_labs.engine.watchdog import guard
from roadmap_labs.errors import BadSubmission, CannotWrite, EngineUnavailable, NotFound, TryAgain
from roadmap_labs.grading.entries import Entry, entries
from roadmap_labs.grading.intake import digest_of, read
from roadmap_labs.grading.ledger import Batch, Job, Ledger, State
from roadmap_labs.model import Report, document
from roadmap_labs.places import lock_file
from roadmap_labs.stack.assembly import Gathered, Tell, gather
from roadmap_labs.stack.plan import room_for
from roadmap_labs.verbs.judge import Subject, on_fresh_stack

LEDGER, RESULTS, LOCK = "ledger.sqlite", "results", ".lock"
_PATIENCE = 3  # stacks for each core: a judgement waits most of its time


@dataclass(frozen=True)
class Wish:
    """What is to be graded, where to, and how."""

    lab: str
    submissions: Path
    out: Path
    jobs: int = 0  # stacks side by side; 0: as the machine allows
    again: tuple[str, ...] = ()  # ids whose result is forgotten
    changed: bool = False  # forget the results of those whose files are not the ones that were judged
    recheck: float = 0.0  # the part of the graded ones, 0 to 1, that is judged once more
    allow_dockerfile: bool = False
    time_factor: float = 1.0


@dataclass(frozen=True)
class Told:
    """Who is told while it goes on; calls come from one thread at a time."""

    tell: Tell = lambda phase, step: None
    planned: Callable[[Mapping[State, int], int], None] = lambda counts, jobs: None
    begun: Callable[[str], None] = lambda id_: None
    ended: Callable[[str, Mapping[str, Any], State], None] = lambda id_, result, state: None


@dataclass(frozen=True)
class Graded:
    """What the ledger says in the end."""

    lab: Lab
    entries: tuple[Entry, ...]
    jobs: tuple[Job, ...]
    rechecks: dict[str, bool]
    seconds: float


@dataclass
class _Desk:
    """What the runs of one batch share."""

    wish: Wish
    lab: Lab
    ledger: Ledger
    seed: int
    run: str
    told: Told
    sources: dict[str, Entry]
    images: dict[str, str]
    facts: dict[str, str]
    owner: str = field(default_factory=owner)
    ending: Ending = field(default_factory=Ending)
    telling: threading.Lock = field(default_factory=threading.Lock)


def grade(wish: Wish, told: Told | None = None) -> Graded:
    """Grade, or go on with, a batch. To be called before any thread exists, because it forks the watchdog."""
    began = time.monotonic()
    told = told or Told()
    lab = shelf.load_lab(wish.lab)
    found = entries(wish.submissions)
    with _alone(wish.out):
        ledger = Ledger(wish.out / LEDGER, is_dead)
        try:
            _grade(wish, told, lab, found, ledger)
            return Graded(lab, found, ledger.jobs(), ledger.rechecks(), time.monotonic() - began)
        finally:
            ledger.close()


def _grade(wish: Wish, told: Told, lab: Lab, found: tuple[Entry, ...], ledger: Ledger) -> None:
    checks = tuple(check.id for check in lab.checks)
    stands_on = digests(lab)
    whole = hashlib.sha256(json.dumps(stands_on, sort_keys=True).encode()).hexdigest()
    batch = ledger.open_batch(Batch(lab.slug, whole, random.SystemRandom().randint(1, 9999), checks))
    ledger.free_the_dead()
    _enter(wish, lab, found, ledger)
    if not ledger.count()["waiting"] and not wish.recheck:
        return
    run = secrets.token_hex(5)
    watchdog = guard(run)
    engine = open_engine()
    sweep(engine)
    gathered = gather(engine, lab, lab.manifest.scaffolds[0], submission_of(()), told.tell)
    desk = _Desk(
        wish,
        lab,
        ledger,
        batch.seed,
        run,
        told,
        {entry.id: entry for entry in found},
        _images(engine, gathered),
        {"lab_digest": whole},
    )
    jobs = wish.jobs or jobs_for(engine, lab)
    engine.close()
    told.planned(ledger.count(), jobs)
    _all(desk, jobs)
    if wish.recheck:
        _recheck(desk, jobs)
    watchdog.done()


def jobs_for(engine: Engine, lab: Lab) -> int:
    """How many submissions are judged side by side: by memory first, and a few for each core."""
    facts = engine.facts()
    return room_for(lab, cpus=facts.cpus * _PATIENCE, memory_bytes=facts.memory_bytes)


def _images(engine: Engine, gathered: Gathered) -> dict[str, str]:
    states = {name: engine.image(ref) for name, ref in (gathered.services | gathered.roles).items()}
    return {name: state.id for name, state in states.items() if state is not None}


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Nobody else grades into this folder meanwhile; the lock ends with the process, however it ends."""
    try:
        (out / RESULTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(
            f"{out} can't be written: {error.strerror}.", cure="Choose another --out."
        ) from error

    def busy() -> None:
        raise TryAgain(
            f"Another roadmap-labs grades into {out}.", cure="Wait for it, or choose another --out."
        )

    with lock_file(out / LOCK, waiting=busy):
        yield


def _enter(wish: Wish, lab: Lab, found: Sequence[Entry], ledger: Ledger) -> None:
    known = {entry.id for entry in found}
    for id_ in wish.again:
        if id_ not in known:
            raise NotFound(
                f"There is no submission {id_!r} in {wish.submissions}.", cure="Its name without the suffix."
            )
    known_jobs = {job.id: job for job in ledger.jobs()}
    for entry in found:
        job = known_jobs.get(entry.id)
        again = entry.id in wish.again
        if job is not None and not again and not (wish.changed and job.result is not None):
            continue  # nothing about its files matters before it is judged
        digest = digest_of(read(entry, lab, allow_dockerfile=wish.allow_dockerfile))
        if job is None:
            ledger.enter(entry.id, digest)
        elif again or job.digest != digest:
            ledger.begin_again(entry.id, digest)


def _all(desk: _Desk, jobs: int) -> None:
    with _pool(desk, jobs) as pool:
        workers: list[Future[None]] = [pool.submit(_work, desk) for _ in range(jobs)]
        for worker in workers:
            worker.result()


@contextmanager
def _pool(desk: _Desk, jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Whatever ends this early gives back what the runs that it ended had claimed."""
    desk.ending = Ending()
    try:
        with side_by_side(desk.ending, jobs, "grade") as pool:
            yield pool
    finally:
        desk.ledger.give_back(desk.owner)


def _work(desk: _Desk) -> None:
    while not desk.ending.told and (job := desk.ledger.claim(desk.owner)) is not None:
        result, digest = _judged(desk, job)
        if desk.ending.told:
            return  # half a judgement is none
        state = desk.ledger.commit(
            job.id, desk.owner, result, judged=result["verdict"] != "infra", digest=digest
        )
        if state in ("graded", "ungraded"):
            write_result(desk.wish.out, desk.sources[job.id], result)
        with desk.telling:
            desk.told.ended(job.id, result, state)


def _judged(desk: _Desk, job: Job) -> tuple[dict[str, Any], str]:
    """The document of one judgement, and the digest of the files that were judged."""
    entry = desk.sources.get(job.id)
    if entry is None:
        files: Submission | BadSubmission = refused("it is not in the folder any more")
    else:
        files = read(entry, desk.lab, allow_dockerfile=desk.wish.allow_dockerfile)
    with desk.telling:
        desk.told.begun(job.id)
    began = time.time()
    seed = int(hashlib.sha256(f"{desk.seed} {job.id}".encode()).hexdigest()[:8], 16) % 9999 + 1
    order = Order(desk.lab, desk.lab.checks, seed, time_factor=desk.wish.time_factor)
    what = Subject(
        desk.lab, desk.lab.manifest.scaffolds[0], files, entry.source if entry else Path(job.id), None
    )

    watcher = Watcher(begun=lambda end: desk.ending.begun(job.id, end))
    try:
        judged = on_fresh_stack(order, what, desk.run, desk.told.tell, watcher)
    finally:
        desk.ending.over(job.id)
    if isinstance(judged.problem, EngineUnavailable):
        raise judged.problem  # no submission may lose its tries because the engine went away
    more = {
        "submission": job.id,
        "submission_digest": digest_of(files),
        "lab_digest": desk.facts["lab_digest"],
        "images": desk.images,
        "attempt": job.attempts,
        "started_at": _utc(began),
        "ended_at": _utc(time.time()),
    }
    return result_of(judged.report, more), digest_of(files)


def result_of(report: Report, more: Mapping[str, object]) -> dict[str, Any]:
    """The document of `check --json`, and what grading adds to it."""
    return {**document(report), **more}


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def write_result(out: Path, entry: Entry, result: Mapping[str, Any]) -> Path:
    """Put a result beside the others, whole or not at all."""
    file = out / RESULTS / f"{entry.stem}.json"
    try:
        write_text_whole(file, (json.dumps(result, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise CannotWrite(
            f"{file} can't be written: {error.strerror}.",
            cure="Free space there; the same command goes on where it stopped, nothing is lost.",
        ) from error
    return file


def _recheck(desk: _Desk, jobs: int) -> None:
    """Judge a sample once more, with the same files and the same seed, and note where another verdict came out."""
    graded = [job for job in desk.ledger.jobs() if job.state == "graded" and job.id in desk.sources]
    count = max(1, round(len(graded) * desk.wish.recheck)) if graded else 0
    sample = random.Random(desk.seed).sample(graded, count)  # noqa: S311 (nobody gains by guessing it)

    def again(job: Job) -> None:
        if not desk.ending.told:
            result, digest = _judged(desk, job)
            if not desk.ending.told and digest == job.digest and result["verdict"] != "infra":
                desk.ledger.note_recheck(job.id, result, same=vector(result) == vector(job.result or {}))

    with _pool(desk, jobs) as pool:
        for future in [pool.submit(again, job) for job in sample]:
            future.result()


def vector(result: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """What two judgements of the same files must have in common: outcome and code of each check."""
    return tuple((check["id"], check["outcome"], check["code"]) for check in result.get("checks", ()))
