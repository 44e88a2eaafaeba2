"""A batch from folder to ledger, with judgements made of paper: none lost, none twice, whatever ends it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roadmap_labs.checking.judge import Order, Watcher
from roadmap_labs.content import shelf
from roadmap_labs.errors import BadSubmission, EngineUnavailable, NotFound, TryAgain, WrongUse
from roadmap_labs.grading import batch, judging
from roadmap_labs.grading.batch import Told, Wish, grade
from roadmap_labs.model import CheckResult, Outcome, Report
from roadmap_labs.verbs.judge import Judged, Subject

TOYS = Path(__file__).parent.parent / "toy"


class Paper:
    """Judges by what is written in a submission's file `verdict`, and counts."""

    def __init__(self) -> None:
        self.judged: list[str] = []
        self.at_once, self.most_at_once = 0, 0
        self.lock = threading.Lock()
        self.moment: Callable[[str], None] = lambda name: None

    def on_fresh_stack(self, order: Order, what: Subject, run: str, tell: Any, watcher: Watcher) -> Judged:
        del run, tell
        name = what.folder.name
        with self.lock:
            self.judged.append(name)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.moment(name)
            return self._judge(order, what)
        finally:
            with self.lock:
                self.at_once -= 1

    def _judge(self, order: Order, what: Subject) -> Judged:
        if isinstance(what.submission, BadSubmission):
            return Judged(self._report(order, "error", what.submission.message), what.submission)
        file = what.submission.file("verdict")
        word: Any = file.content.decode() if file else "pass"
        if word == "gone":
            return Judged(self._report(order, "infra", ""), EngineUnavailable("No engine answers."))
        return Judged(self._report(order, word, f"seed {order.seed}"))

    def _report(self, order: Order, outcome: Outcome, message: str) -> Report:
        results = tuple(CheckResult(check, outcome, "", message) for check in order.checks)
        return Report(order.lab.slug, "1", order.seed, 0.1, results)


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paper:
    monkeypatch.setenv("ROADMAP_LABS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(TOYS))
    shelf.load_lab.cache_clear()
    made = Paper()
    facts = SimpleNamespace(cpus=2, memory_bytes=8 * 1024**3)
    engine = SimpleNamespace(facts=lambda: facts, image=lambda ref: None, close=lambda: None)
    gathered = SimpleNamespace(services={}, roles={})
    monkeypatch.setattr(judging, "on_fresh_stack", made.on_fresh_stack)
    monkeypatch.setattr(judging, "open_engine", lambda: engine)
    monkeypatch.setattr(judging, "sweep", lambda engine: ())
    monkeypatch.setattr(judging, "gather", lambda *_: gathered)
    monkeypatch.setattr(batch, "guard", lambda run: SimpleNamespace(done=lambda: None))
    return made


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    (tmp_path / "in").mkdir()
    return Wish("toy", tmp_path / "in", tmp_path / "out", jobs=3)


def _hand_in(wish: Wish, **verdicts: str) -> None:
    for name, verdict in verdicts.items():
        (wish.submissions / name).mkdir(exist_ok=True)
        (wish.submissions / name / "verdict").write_text(verdict)


def _verdicts(wish: Wish) -> dict[str, str]:
    return {file.stem: json.loads(file.read_text())["verdict"] for file in (wish.out / "results").iterdir()}


def test_each_is_judged_once_and_written_down(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, anna="pass", ben="fail", cleo="error")
    graded = grade(wish)
    assert sorted(paper.judged) == ["anna", "ben", "cleo"]
    assert _verdicts(wish) == {"anna": "pass", "ben": "fail", "cleo": "error"}
    assert {job.id: (job.state, job.attempts) for job in graded.jobs} == dict.fromkeys(
        ("anna", "ben", "cleo"), ("graded", 1)
    )
    result = json.loads((wish.out / "results" / "anna.json").read_text())
    assert result["submission_digest"] == graded.jobs[0].digest
    assert {"lab_digest", "images", "attempt", "started_at", "ended_at", "seed"} <= set(result)


def test_the_same_command_again_judges_nothing_and_a_late_one_alone(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, anna="pass")
    grade(wish)
    grade(wish)
    _hand_in(wish, ben="fail")
    grade(wish)
    assert paper.judged == ["anna", "ben"]


def test_as_many_side_by_side_as_are_wished(paper: Paper, wish: Wish) -> None:
    together = threading.Barrier(3, timeout=10)
    paper.moment = lambda name: together.wait() and None
    _hand_in(wish, **{f"s{number}": "pass" for number in range(6)})
    grade(wish)
    assert paper.most_at_once == 3


def test_what_is_refused_is_an_error_and_the_batch_goes_on(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, anna="pass")
    (wish.submissions / "broken.zip").write_bytes(b"PK")
    (wish.submissions / "empty").mkdir()
    (wish.submissions / "link").symlink_to("/etc")
    _hand_in(wish, image="pass")
    (wish.submissions / "image" / "Dockerfile").write_text("FROM x")
    grade(wish)
    assert _verdicts(wish) == {
        "anna": "pass", "broken": "error", "empty": "error", "link": "error", "image": "error"
    }  # fmt: skip
    grade(replace(wish, allow_dockerfile=True, again=("image",)))
    assert _verdicts(wish)["image"] == "pass"


def test_a_fault_of_ours_is_tried_three_times_and_is_no_zero(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, anna="infra", ben="pass")
    graded = grade(wish)
    assert paper.judged.count("anna") == 3
    assert {job.id: job.state for job in graded.jobs} == {"anna": "ungraded", "ben": "graded"}


def test_an_engine_that_goes_away_costs_nobody_a_try(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, anna="gone")
    with pytest.raises(EngineUnavailable):
        grade(wish)
    _hand_in(wish, anna="pass")
    graded = grade(wish)
    assert [(job.state, job.attempts) for job in graded.jobs] == [("graded", 1)]


def test_what_ends_it_early_gives_back_what_was_claimed(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, **{f"s{number}": "pass" for number in range(8)})

    def interrupted(id_: str, result: object, state: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade(wish, Told(ended=interrupted))
    graded = grade(wish)
    assert {(job.state, job.attempts) for job in graded.jobs} == {("graded", 1)}


def test_seeds_do_not_depend_on_the_order(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, anna="pass", ben="pass")
    first = {job.id: (job.result or {})["seed"] for job in grade(wish).jobs}
    second = {job.id: (job.result or {})["seed"] for job in grade(replace(wish, again=("ben",))).jobs}
    assert first == second
    assert first["anna"] != first["ben"]


def test_only_what_has_changed_is_judged_anew(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, anna="pass", ben="pass")
    grade(wish)
    _hand_in(wish, ben="fail")
    grade(wish)
    assert _verdicts(wish)["ben"] == "pass", "nobody asked"
    grade(replace(wish, changed=True))
    assert _verdicts(wish) == {"anna": "pass", "ben": "fail"}
    assert sorted(paper.judged) == ["anna", "ben", "ben"]


def test_a_second_look_that_differs_is_told(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, anna="pass", ben="pass")
    assert grade(replace(wish, recheck=1.0)).rechecks == {"anna": True, "ben": True}
    verdicts = iter(["fail", "fail"])
    original = paper._judge
    paper._judge = lambda order, what: Judged(paper._report(order, next(verdicts), ""))  # type: ignore[method-assign, arg-type]
    told: list[tuple[str, bool | None]] = []
    heard = Told(rechecking=lambda count: told.append((f"{count}", None)),
                 rechecked=lambda id_, same: told.append((id_, same)))  # fmt: skip
    assert grade(replace(wish, recheck=1.0), heard).rechecks == {"anna": False, "ben": False}
    assert (told[0], sorted(told[1:])) == (("2", None), [("anna", False), ("ben", False)])
    paper._judge = original  # type: ignore[method-assign]
    assert _verdicts(wish) == {"anna": "pass", "ben": "pass"}, "the first verdict stands"


def test_nobody_grades_into_one_folder_twice_at_once(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, anna="pass")
    tried: list[BaseException] = []

    def second(name: str) -> None:
        try:
            grade(wish)
        except TryAgain as refusal:
            tried.append(refusal)

    paper.moment = second
    grade(wish)
    assert len(tried) == 1


def test_another_lab_or_an_unknown_submission(paper: Paper, wish: Wish) -> None:
    _hand_in(wish, anna="pass")
    grade(wish)
    with pytest.raises(NotFound, match="no submission 'zoe'"):
        grade(replace(wish, again=("zoe",)))
    with pytest.raises(WrongUse, match="holds grades of toy"):
        grade(replace(wish, lab="redis-caching"))
