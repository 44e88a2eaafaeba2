"""Who judges what, on hosts far away: one claim for each submission that is out. Knows neither HTTP nor the queue.

A queue delivers at least once, so a claim is refused where somebody else has a live one, and a result is taken from
the present claim alone. A worker that is not heard of any more has lost its claim; such an attempt counts, because a
submission that ends its workers must not go round for ever.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from roadmap_labs.errors import BadSubmission
from roadmap_labs.files import pack
from roadmap_labs.grading.judging import given_up, refusal
from roadmap_labs.grading.work import Assignment, Work

LOST_SECONDS = 60.0  # without a sign of life; a worker gives one every ten
VERDICTS = frozenset(("pass", "fail", "error", "infra"))


class Unfit(ValueError):
    """A result that is not one of this batch's."""


@dataclass(frozen=True)
class Delivery:
    """One time that the queue has handed a message to a worker."""

    message: str  # the message's id: the same when it is delivered again
    nonce: str  # of this delivery: the same when a worker asks again because it heard no answer
    again: bool  # the queue has delivered it before, and took it back because that worker was gone
    worker: str


@dataclass(frozen=True)
class Claim:
    """A submission that a worker has."""

    token: str
    assignment: Assignment
    delivery: Delivery


class Claims:
    """All claims of one batch; any thread may call."""

    def __init__(self, work: Work, clock: Callable[[], float] = time.monotonic) -> None:
        self.work, self.batch, self._clock = work, secrets.token_hex(8), clock
        self._lock = threading.Lock()
        self._by_token: dict[str, Claim] = {}
        self._seen: dict[str, float] = {}
        self._posted: dict[str, float] = {}
        self._complaints: set[tuple[str, str]] = set()
        self.changed = threading.Event()

    def claim(self, id_: str, delivery: Delivery) -> Claim | None:
        """Hand a submission out; None where there is nothing to do for it (any more), or another worker has it."""
        with self._lock:
            present = next((one for one in self._by_token.values() if one.assignment.id == id_), None)
            if present is not None:
                if present.delivery.nonce == delivery.nonce:
                    return present
                if not (delivery.again and present.delivery.message == delivery.message):
                    return None
                self._lose(present)
            self._posted.pop(id_, None)
            assignment = self.work.take(id_)
            if assignment is None:
                return None
            if isinstance(assignment.files, BadSubmission):
                self.work.hand_in(assignment, refusal(self.work.lab, self.work.lab_digest, assignment))
                self.changed.set()
                return None
            made = Claim(secrets.token_hex(16), assignment, delivery)
            self._by_token[made.token] = made
            self._seen[made.token] = self._clock()
            return made

    def blob(self, digest: str) -> bytes | None:
        """The files of a submission that is out, as a tar; None for any other."""
        with self._lock:
            found = next((one for one in self._by_token.values() if one.assignment.digest == digest), None)
        if found is None or isinstance(found.assignment.files, BadSubmission):
            return None
        return pack(found.assignment.files.files)

    def beat(self, token: str) -> bool:
        """A sign of life; False where the worker is to stop, because the claim is not its own any more."""
        with self._lock:
            if token not in self._by_token:
                return False
            self._seen[token] = self._clock()
            return True

    def hand_in(self, token: str, result: Mapping[str, Any]) -> bool:
        """Commit a result; False where the claim was lost. `Unfit` where it is no result of this submission."""
        with self._lock:
            claim = self._by_token.get(token)
            if claim is None:
                return False
            _must_fit(self.work, claim.assignment, result)
            self.work.hand_in(claim.assignment, result)
            self._forget(claim)
            return True

    def give_back(self, token: str, why: str) -> None:
        """A worker can't judge it, by no fault of the submission; told to the teacher once for each worker."""
        with self._lock:
            claim = self._by_token.get(token)
            if claim is None:
                return
            self.work.give_back(claim.assignment)
            self._forget(claim)
            complaint = (claim.delivery.worker, why)
            if complaint not in self._complaints:
                self._complaints.add(complaint)
                self.work.tell(f"{claim.delivery.worker}: {why}")

    def lose_the_silent(self, seconds: float = LOST_SECONDS) -> int:
        """Take claims back whose workers have not been heard of for so long; how many."""
        with self._lock:
            silent = [
                claim
                for token, claim in self._by_token.items()
                if self._clock() - self._seen[token] > seconds
            ]
            for claim in silent:
                self._lose(claim)
            return len(silent)

    def to_post(self) -> tuple[str, ...]:
        """What waits and is in no message."""
        with self._lock:
            return tuple(id_ for id_ in self.work.waiting() if id_ not in self._posted)

    def posted(self, id_: str) -> None:
        """A message about it is on its way."""
        with self._lock:
            self._posted[id_] = self._clock()

    def overdue(self, seconds: float = LOST_SECONDS) -> tuple[str, ...]:
        """What was posted so long ago, and nobody has come for it."""
        with self._lock:
            return tuple(id_ for id_, since in self._posted.items() if self._clock() - since > seconds)

    def post_again(self, ids: Iterable[str]) -> None:
        """The messages about these are gone."""
        with self._lock:
            for id_ in ids:
                self._posted.pop(id_, None)

    def _lose(self, claim: Claim) -> None:
        why = f"The worker {claim.delivery.worker} was lost while it judged this submission."
        self.work.hand_in(
            claim.assignment, given_up(self.work.lab, self.work.lab_digest, claim.assignment, "I-STATE", why)
        )
        self._forget(claim)

    def _forget(self, claim: Claim) -> None:
        del self._by_token[claim.token], self._seen[claim.token]
        self.changed.set()


def _must_fit(work: Work, one: Assignment, result: Mapping[str, Any]) -> None:
    """A result speaks of these files, this lab as it is here, and each of its checks once."""
    named = [check["id"] for check in result["checks"]]
    wanted = [check.id for check in work.lab.checks]
    facts = {
        "submission": one.id,
        "submission_digest": one.digest,
        "lab_digest": work.lab_digest,
        "seed": one.seed,
    }
    wrong = [name for name, value in facts.items() if result.get(name) != value]
    if named != wanted:
        wrong.append("checks")
    if result.get("verdict") not in VERDICTS:
        wrong.append("verdict")
    if wrong:
        raise Unfit(f"not a result of this submission: {', '.join(wrong)}")
