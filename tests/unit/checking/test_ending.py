"""Judgements side by side end together, those that come late included."""

from __future__ import annotations

import threading

import pytest

from roadmap_labs.checking.ending import Ending, side_by_side


def test_one_that_begins_after_the_word_is_ended_as_it_begins() -> None:
    ending, ended = Ending(), []
    ending.begun("early", lambda: ended.append("early"))
    ending.begun("over", lambda: ended.append("over"))
    ending.over("over")
    ending.now()
    ending.begun("late", lambda: ended.append("late"))
    assert ended == ["early", "late"]
    assert ending.told


def test_what_leaves_the_block_ends_what_is_under_way_and_waits_for_it() -> None:
    ending, stop, began, gone = Ending(), threading.Event(), threading.Event(), []

    def judgement() -> None:
        began.set()
        ending.begun("one", stop.set)
        assert stop.wait(10)
        gone.append("one")

    def interrupted() -> None:
        with side_by_side(ending, 1, "test") as pool:
            pool.submit(judgement)
            assert began.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert gone == ["one"]
