"""The back end of many hosts: posts what waits, serves what workers ask for, and posts again what got lost."""

from __future__ import annotations

from dataclasses import dataclass

from roadmap_labs.errors import TryAgain
from roadmap_labs.grading.remote.broker import Letters, Stuck
from roadmap_labs.grading.remote.claims import LOST_SECONDS, Claims
from roadmap_labs.grading.remote.coordinator import listening
from roadmap_labs.grading.work import Work

_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class CeleryBackend:
    """Judged is by workers; this process has the ledger and the files."""

    letters: Letters
    token: str
    host: str
    port: int
    lost_seconds: float = LOST_SECONDS
    jobs: int = 0

    def work_off(self, work: Work) -> None:
        """Post and serve until all is back. An early end takes back what no worker has begun."""
        claims = Claims(work)
        self.letters.declare()
        with listening(claims, self.token, self.host, self.port) as url:
            work.tell(f"Workers fetch and bring at {url}, told by the queue {self.letters.name}")
            post = _Post(self.letters, claims)
            try:
                while post.keep_up(self.lost_seconds):
                    claims.changed.wait(_LOOK_SECONDS)
                    claims.changed.clear()
            finally:
                post.take_back()


class _Post:
    """Keeps the queue up with the claims. A broker that does not answer is told of once, and asked again and again."""

    def __init__(self, letters: Letters, claims: Claims) -> None:
        self._letters, self._claims = letters, claims
        self._silent = False

    def keep_up(self, lost_seconds: float) -> bool:
        """Post what waits and is in no message; False when nothing waits or runs any more."""
        self._claims.lose_the_silent(lost_seconds)
        try:
            overdue = self._claims.overdue(lost_seconds)
            if overdue and not self._letters.depth():
                self._claims.post_again(overdue)  # in no queue: the broker has dropped the message
            for job in self._claims.to_post():
                self._post(job)
        except Stuck as problem:
            self._claims.work.tell(f"{problem.message} It is made anew.")
            self._renew()
        except TryAgain as problem:
            self._say_once(problem)
        else:
            self._silent = False
        return bool(self._claims.work.waiting() or self._claims.work.running())

    def _post(self, job: str) -> None:
        self._claims.posted(job)  # before it is: a worker may come for it at once
        try:
            self._letters.post(self._claims.batch, job)
        except TryAgain:
            self._claims.post_again([job])
            raise

    def _renew(self) -> None:
        try:
            self._letters.renew()
        except TryAgain as problem:
            self._say_once(problem)
        self._claims.post_again(self._claims.work.waiting())

    def _say_once(self, problem: TryAgain) -> None:
        if not self._silent:
            self._claims.work.tell(f"{problem.message} Trying again.")
        self._silent = True

    def take_back(self) -> None:
        """No message of a batch that ends early stays; where the broker is gone, workers find out by asking."""
        if self._claims.work.waiting():
            try:
                self._letters.purge()
            except TryAgain as problem:
                self._claims.work.tell(problem.message)
