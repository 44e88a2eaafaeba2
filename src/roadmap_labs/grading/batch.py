"""Grades a folder of submissions: what waits in the ledger is handed to a back end, what comes back is committed.

What is refused at the door is committed in milliseconds; what fails by a fault of ours waits for another try; what was
committed is never judged again unless it is asked for. Prints nothing, and judges nothing itself.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roadmap_labs.content import shelf
from roadmap_labs.content.footing import digests
from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.submission import Submission, refused
from roadmap_labs.content.workspace import write_text_whole
from roadmap_labs.engine.owner import is_dead, owner
from roadmap_labs.engine.watchdog import guard
from roadmap_labs.errors import BadSubmission, CannotWrite, NotFound, TryAgain
from roadmap_labs.grading.entries import Entry, entries
from roadmap_labs.grading.intake import digest_of, read
from roadmap_labs.grading.judging import bench
from roadmap_labs.grading.ledger import Batch, Job, Ledger, State
from roadmap_labs.grading.local import LocalBackend
from roadmap_labs.grading.work import Assignment, JobBackend
from roadmap_labs.places import lock_file
from roadmap_labs.stack.assembly import Tell

LEDGER, RESULTS, LOCK = "ledger.sqlite", "results", ".lock"


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
    rechecking: Callable[[int], None] = lambda count: None
    rechecked: Callable[[str, bool | None], None] = lambda id_, same: None  # None: no second verdict came


@dataclass(frozen=True)
class Graded:
    """What the ledger says in the end."""

    lab: Lab
    entries: tuple[Entry, ...]
    jobs: tuple[Job, ...]
    rechecks: dict[str, bool]
    seconds: float


@dataclass
class _Grading:
    """A batch as work: what waits in the ledger is handed out, what comes back is committed there. See `Work`."""

    wish: Wish
    lab: Lab
    lab_digest: str
    ledger: Ledger
    seed: int
    told: Told
    sources: dict[str, Entry]
    owner: str = field(default_factory=owner)
    telling: threading.Lock = field(default_factory=threading.Lock)

    @property
    def time_factor(self) -> float:
        return self.wish.time_factor

    def waiting(self) -> tuple[str, ...]:
        return self.ledger.ids("waiting")

    def running(self) -> int:
        return self.ledger.count()["running"]

    def take(self, id_: str | None = None) -> Assignment | None:
        job = self.ledger.claim(self.owner, id_)
        return None if job is None else self.assigned(job)

    def assigned(self, job: Job) -> Assignment:
        """A submission that was claimed, with its files as they lie there now."""
        entry = self.sources.get(job.id)
        files: Submission | BadSubmission
        if entry is None:
            files = refused("it is not in the folder any more")
        else:
            files = read(entry, self.lab, allow_dockerfile=self.wish.allow_dockerfile)
        with self.telling:
            self.told.begun(job.id)
        seed = int(hashlib.sha256(f"{self.seed} {job.id}".encode()).hexdigest()[:8], 16) % 9999 + 1
        source = entry.source if entry else Path(job.id)
        return Assignment(job.id, job.attempts, seed, files, digest_of(files), source)

    def hand_in(self, assignment: Assignment, result: Mapping[str, Any]) -> None:
        state = self.ledger.commit(
            assignment.id, self.owner, result, judged=result["verdict"] != "infra", digest=assignment.digest
        )
        if state in ("graded", "ungraded"):
            write_result(self.wish.out, self.sources[assignment.id], result)
        with self.telling:
            self.told.ended(assignment.id, result, state)

    def give_back(self, assignment: Assignment) -> None:
        self.ledger.give_back(self.owner, assignment.id)

    def tell(self, what: str) -> None:
        with self.telling:
            self.told.tell(what, "")


class _Recheck:
    """A sample of what is graded as work: judged once more, with the same files and the same seed. See `Work`."""

    def __init__(self, grading: _Grading) -> None:
        self._grading = grading
        graded = [job for job in grading.ledger.jobs() if job.state == "graded" and job.id in grading.sources]
        count = max(1, round(len(graded) * grading.wish.recheck)) if graded else 0
        chosen = random.Random(grading.seed).sample(graded, count)  # noqa: S311 (nobody gains by guessing it)
        self._lock = threading.Lock()
        self._waiting = {job.id: job for job in chosen}
        self._running: dict[str, Job] = {}

    @property
    def lab(self) -> Lab:
        return self._grading.lab

    @property
    def lab_digest(self) -> str:
        return self._grading.lab_digest

    @property
    def time_factor(self) -> float:
        return self._grading.time_factor

    def waiting(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._waiting)

    def running(self) -> int:
        with self._lock:
            return len(self._running)

    def take(self, id_: str | None = None) -> Assignment | None:
        with self._lock:
            name = next(iter(self._waiting), None) if id_ is None else id_
            job = self._waiting.pop(name, None) if name is not None else None
            if job is None:
                return None
            self._running[job.id] = job
        return self._grading.assigned(job)

    def hand_in(self, assignment: Assignment, result: Mapping[str, Any]) -> None:
        with self._lock:
            job = self._running.pop(assignment.id)
        same = None
        if assignment.digest == job.digest and result["verdict"] != "infra":
            same = vector(result) == vector(job.result or {})
            self._grading.ledger.note_recheck(job.id, result, same=same)
        with self._grading.telling:
            self._grading.told.rechecked(job.id, same)

    def give_back(self, assignment: Assignment) -> None:
        with self._lock:
            self._waiting[assignment.id] = self._running.pop(assignment.id)

    def tell(self, what: str) -> None:
        self._grading.tell(what)


def grade(wish: Wish, told: Told | None = None, backend: JobBackend | None = None) -> Graded:
    """Grade, or go on with, a batch. To be called before any thread exists, because it forks the watchdog.

    Judged is on this machine's engine, or by `backend`.
    """
    began = time.monotonic()
    told = told or Told()
    lab = shelf.load_lab(wish.lab)
    found = entries(wish.submissions)
    with _alone(wish.out):
        ledger = Ledger(wish.out / LEDGER, is_dead)
        try:
            _grade(wish, told, lab, found, ledger, backend)
            return Graded(lab, found, ledger.jobs(), ledger.rechecks(), time.monotonic() - began)
        finally:
            ledger.close()


def _grade(
    wish: Wish,
    told: Told,
    lab: Lab,
    found: tuple[Entry, ...],
    ledger: Ledger,
    backend: JobBackend | None,
) -> None:
    checks = tuple(check.id for check in lab.checks)
    whole = footing(lab)
    batch = ledger.open_batch(Batch(lab.slug, whole, random.SystemRandom().randint(1, 9999), checks))
    ledger.free_the_dead()
    _enter(wish, lab, found, ledger)
    if not ledger.count()["waiting"] and not wish.recheck:
        return
    grading = _Grading(wish, lab, whole, ledger, batch.seed, told, {entry.id: entry for entry in found})
    with _here(grading) if backend is None else nullcontext(backend) as chosen:
        told.planned(ledger.count(), chosen.jobs)
        try:
            chosen.work_off(grading)
            if wish.recheck:
                sample = _Recheck(grading)
                told.rechecking(len(sample.waiting()))
                chosen.work_off(sample)
        finally:
            ledger.give_back(grading.owner)  # what an early end left in somebody's hands


def footing(lab: Lab) -> str:
    """One digest of all that a verdict of this lab stands on."""
    return hashlib.sha256(json.dumps(digests(lab), sort_keys=True).encode()).hexdigest()


@contextmanager
def _here(grading: _Grading) -> Iterator[JobBackend]:
    """This machine as the back end; all its runs share one run id and one watchdog."""
    run = secrets.token_hex(5)
    watchdog = guard(run)
    at = bench(grading.lab, grading.lab_digest, run, grading.time_factor, grading.told.tell)
    yield LocalBackend(at, grading.wish.jobs or at.room)
    watchdog.done()


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


def vector(result: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """What two judgements of the same files must have in common: outcome and code of each check."""
    return tuple((check["id"], check["outcome"], check["code"]) for check in result.get("checks", ()))
