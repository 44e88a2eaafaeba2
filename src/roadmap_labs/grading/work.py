"""Between a batch and whoever judges for it: what is handed out, what comes back. Knows no ledger and no queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.submission import Submission
from roadmap_labs.errors import BadSubmission


@dataclass(frozen=True)
class Assignment:
    """One submission that is somebody's to judge, with the files as they were when it was handed out."""

    id: str
    attempt: int  # from 1
    seed: int
    files: Submission | BadSubmission
    digest: str  # of the files, or of the refusal
    source: Path  # where it lies, or lay, on the coordinator's machine; a label, never opened


class Work(Protocol):
    """What a batch offers to a back end. Any thread may call; nothing is handed out twice at the same time."""

    @property
    def lab(self) -> Lab: ...

    @property
    def lab_digest(self) -> str:
        """Names all that a verdict stands on, so that two hosts can't judge by different checks."""

    @property
    def time_factor(self) -> float: ...

    def waiting(self) -> tuple[str, ...]:
        """Ids that wait for somebody, in the order in which they are best begun."""

    def running(self) -> int:
        """How many are handed out and not back yet."""

    def take(self, id_: str | None = None) -> Assignment | None:
        """The next one, or this one; None where it does not wait (any more)."""

    def hand_in(self, assignment: Assignment, result: Mapping[str, Any]) -> None:
        """The document of its judgement, committed on return. After an infrastructure fault it may wait again."""

    def give_back(self, assignment: Assignment) -> None:
        """It was not judged, and by nobody's fault: it waits again, and this attempt does not count."""

    def tell(self, what: str) -> None:
        """Something that the teacher should know now."""


class JobBackend(Protocol):
    """Judges, or has others judge, what a batch offers."""

    @property
    def jobs(self) -> int:
        """How many are judged side by side; 0 where nobody knows."""

    def work_off(self, work: Work) -> None:
        """Come back when nothing waits or runs any more. What ends it early (Ctrl-C, no engine) is raised, and then
        nothing that was handed out comes back any more."""
