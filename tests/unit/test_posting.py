"""What the coordinator does with a queue: posts what waits and what got lost, makes anew a queue that is stuck."""

from __future__ import annotations

from typing import Any, cast

import pytest

from roadmap_labs.errors import TryAgain
from roadmap_labs.grading.remote.backend import _Post
from roadmap_labs.grading.remote.broker import Stuck
from roadmap_labs.grading.remote.claims import Claims
from tests.unit.test_claims import Clock, Paper, paper

__all__ = ["paper"]  # a fixture


class PaperLetters:
    """A queue on paper that fails as it is told."""

    def __init__(self) -> None:
        self.posted: list[str] = []
        self.failing: list[Exception] = []
        self.renewed = 0

    def post(self, batch: str, job: str) -> None:
        del batch
        if self.failing:
            raise self.failing.pop(0)
        self.posted.append(job)

    def depth(self) -> int:
        return 0

    def renew(self) -> None:
        self.renewed += 1
        self.posted.clear()


@pytest.fixture
def letters() -> PaperLetters:
    return PaperLetters()


def _post(letters: PaperLetters, paper: Paper, clock: Clock | None = None) -> _Post:
    return _Post(cast(Any, letters), Claims(paper, clock or Clock()))


def test_each_is_posted_once(letters: PaperLetters, paper: Paper) -> None:
    post = _post(letters, paper)
    assert post.keep_up(60)
    assert post.keep_up(60)
    assert letters.posted == ["anna", "ben"]


def test_a_message_that_the_broker_dropped_is_posted_again(letters: PaperLetters, paper: Paper) -> None:
    clock = Clock()
    post = _post(letters, paper, clock)
    post.keep_up(60)
    clock.now = 61
    post.keep_up(60)
    assert letters.posted == ["anna", "ben"] * 2


def test_a_queue_that_takes_nothing_is_made_anew_and_all_is_posted(
    letters: PaperLetters, paper: Paper
) -> None:
    post = _post(letters, paper)
    letters.failing = [Stuck("The queue q takes no message.")]
    assert post.keep_up(60)
    assert letters.renewed == 1
    assert post.keep_up(60)
    assert letters.posted == ["anna", "ben"]
    assert paper.told == ["The queue q takes no message. It is made anew."]


def test_a_broker_that_is_away_is_told_once_and_asked_again(letters: PaperLetters, paper: Paper) -> None:
    post = _post(letters, paper)
    letters.failing = [TryAgain("No answer."), TryAgain("No answer.")]
    for _ in range(3):
        assert post.keep_up(60)
    assert paper.told == ["No answer. Trying again."]
    assert letters.posted == ["anna", "ben"]
