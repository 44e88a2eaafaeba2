"""Claims: who has what, for how long, and whose word is taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from roadmap_labs.content import shelf
from roadmap_labs.content.submission import refused, submission_of
from roadmap_labs.errors import BadSubmission
from roadmap_labs.files import File
from roadmap_labs.grading import judging
from roadmap_labs.grading.remote.claims import Claim, Claims, Delivery, Unfit
from roadmap_labs.grading.work import Assignment

TOYS = Path(__file__).parent.parent / "toy"


class Paper:
    """Work on paper: what waits, what runs, what came back."""

    time_factor, lab_digest = 1.0, "digest"

    def __init__(self) -> None:
        self.lab = shelf.load_lab("toy")
        self.attempts = {"anna": 0, "ben": 0}
        self.state = {"anna": "waiting", "ben": "waiting"}
        self.files: Any = submission_of([File("a", b"b")])
        self.told: list[str] = []

    def waiting(self) -> tuple[str, ...]:
        return tuple(name for name, state in self.state.items() if state == "waiting")

    def running(self) -> int:
        return list(self.state.values()).count("running")

    def take(self, id_: str | None = None) -> Assignment | None:
        if id_ is None or self.state.get(id_) != "waiting":
            return None
        self.state[id_], self.attempts[id_] = "running", self.attempts[id_] + 1
        digest = "refused" if isinstance(self.files, BadSubmission) else self.files.digest
        return Assignment(id_, self.attempts[id_], 7, self.files, digest, Path(id_))

    def hand_in(self, assignment: Assignment, result: Mapping[str, Any]) -> None:
        again = result["verdict"] == "infra" and assignment.attempt < 3
        self.state[assignment.id] = "waiting" if again else str(result["verdict"])

    def give_back(self, assignment: Assignment) -> None:
        self.state[assignment.id] = "waiting"
        self.attempts[assignment.id] -= 1

    def tell(self, what: str) -> None:
        self.told.append(what)


class Clock:
    """Moves when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Paper:
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(TOYS))
    shelf.load_lab.cache_clear()
    return Paper()


def _delivery(message: str = "m1", nonce: str = "n1", *, again: bool = False, worker: str = "w") -> Delivery:
    return Delivery(message, nonce, again, worker)


def _taken(claims: Claims, id_: str = "anna", delivery: Delivery | None = None) -> Claim:
    found = claims.claim(id_, delivery or _delivery())
    assert found is not None
    return found


def _result(paper: Paper, claim: Claim, **changes: object) -> dict[str, Any]:
    empty = judging.given_up(paper.lab, paper.lab_digest, claim.assignment, "", "")
    return {**empty, "verdict": "pass", **changes}


def test_a_second_message_about_the_same_finds_it_taken(paper: Paper) -> None:
    claims = Claims(paper)
    first = _taken(claims)
    assert claims.claim("anna", _delivery("m2", "n2")) is None
    assert claims.hand_in(first.token, _result(paper, first))
    assert paper.state["anna"] == "pass"
    assert claims.claim("anna", _delivery("m2", "n3")) is None, "what is judged is not wanted again"


def test_who_heard_no_answer_asks_again_and_gets_the_same_claim(paper: Paper) -> None:
    claims = Claims(paper)
    assert _taken(claims) == _taken(claims)
    assert paper.attempts["anna"] == 1


def test_the_queues_word_that_a_worker_is_gone_ends_its_claim_at_once(paper: Paper) -> None:
    claims = Claims(paper)
    first = _taken(claims)
    second = _taken(claims, delivery=_delivery(nonce="n2", again=True))
    assert (second.assignment.attempt, claims.beat(first.token), claims.beat(second.token)) == (
        2,
        False,
        True,
    )
    assert not claims.hand_in(first.token, _result(paper, first)), "it comes too late"
    assert paper.state["anna"] == "running"


def test_another_messages_second_delivery_ends_nothing(paper: Paper) -> None:
    claims = Claims(paper)
    first = _taken(claims)
    assert claims.claim("anna", _delivery("m2", "n2", again=True)) is None
    assert claims.beat(first.token)


def test_the_third_loss_is_the_last(paper: Paper) -> None:
    claims = Claims(paper)
    for turn in range(3):
        _taken(claims, delivery=_delivery(nonce=f"n{turn}", again=turn > 0))
    assert claims.claim("anna", _delivery(nonce="n4", again=True)) is None
    assert paper.state["anna"] == "infra"


def test_silence_loses_a_claim_and_a_sign_of_life_keeps_it(paper: Paper) -> None:
    clock = Clock()
    claims = Claims(paper, clock)
    anna, ben = _taken(claims), _taken(claims, "ben", _delivery("m2", "n2"))
    clock.now = 50
    assert claims.beat(ben.token)
    clock.now = 70
    assert claims.lose_the_silent(60) == 1
    assert (claims.beat(anna.token), claims.beat(ben.token)) == (False, True)
    assert claims.to_post() == ("anna",), "it waits, and no message speaks of it"


def test_what_was_posted_is_not_posted_again_before_it_is_overdue(paper: Paper) -> None:
    clock = Clock()
    claims = Claims(paper, clock)
    for name in claims.to_post():
        claims.posted(name)
    assert claims.to_post() == ()
    _taken(claims)
    clock.now = 61
    assert claims.overdue(60) == ("ben",), "somebody has come for the other one"
    claims.post_again(["ben"])
    assert claims.to_post() == ("ben",)


def test_given_back_waits_without_an_attempt_and_is_told_once(paper: Paper) -> None:
    claims = Claims(paper)
    for turn in range(3):
        claims.give_back(_taken(claims, delivery=_delivery(f"m{turn}", f"n{turn}")).token, "No engine.")
    assert (paper.state["anna"], paper.attempts["anna"], paper.told) == ("waiting", 0, ["w: No engine."])
    claims.give_back("unknown", "why")


@pytest.mark.parametrize(
    "changes",
    [
        {"submission": "ben"},
        {"submission_digest": "other"},
        {"lab_digest": "other"},
        {"seed": 8},
        {"verdict": "perfect"},
        {"checks": []},
        {"checks": [{"id": "t9_other"}]},
    ],
)
def test_a_result_of_something_else_is_not_taken(paper: Paper, changes: dict[str, object]) -> None:
    claims = Claims(paper)
    claim = _taken(claims)
    with pytest.raises(Unfit):
        claims.hand_in(claim.token, _result(paper, claim, **changes))
    assert paper.state["anna"] == "running"
    assert claims.beat(claim.token)


def test_what_is_refused_needs_no_worker(paper: Paper) -> None:
    paper.files = refused("a link")
    claims = Claims(paper)
    assert claims.claim("anna", _delivery()) is None
    assert paper.state["anna"] == "error"


def test_files_go_out_under_their_digest_while_somebody_has_them(paper: Paper) -> None:
    from roadmap_labs.content.archives import take_in_tar

    claims = Claims(paper)
    assert claims.blob(paper.files.digest) is None
    claim = _taken(claims)
    content = claims.blob(claim.assignment.digest)
    assert content is not None
    assert take_in_tar(content) == paper.files
