"""What a learner reads: golden texts of a judgement, of a lab, of findings. Nothing here needs an engine."""

from __future__ import annotations

from roadmap_labs.content import shelf
from roadmap_labs.engine.probing import Finding
from roadmap_labs.errors import EngineUnavailable
from roadmap_labs.model import CheckResult, Report
from roadmap_labs.render import doctor, report
from roadmap_labs.render import shelf as shelf_text

LAB = shelf.load_lab("redis-caching")
FIRST, SECOND, THIRD = LAB.checks[:3]
FAILED = CheckResult(
    SECOND,
    "fail",
    code="warm-read-asks-database",
    message="25 reads of product 4711, all after it had been read once, caused 25 statements.",
    expected="0 statements in PostgreSQL",
    observed="25 calls of  SELECT lab.product_card($1, $2)\n0 of anything else",
    look="redis-cli -p 41232 monitor",
    hint=1,
    seconds=0.31,
)


def test_a_failure_fits_on_a_screen_and_says_what_to_type_next() -> None:
    assert report.failure(FAILED, LAB) == (
        "✗ A warm read asks the database nothing  (t1_hit_skips_database)\n"
        "\n"
        "  25 reads of product 4711, all after it had been read once, caused 25\n"
        "  statements.\n"
        "  expected  0 statements in PostgreSQL\n"
        "  saw       25 calls of  SELECT lab.product_card($1, $2)\n"
        "            0 of anything else\n"
        "  look      redis-cli -p 41232 monitor\n"
        "\n"
        "  Your solution.  Code warm-read-asks-database.\n"
        "  Hint 1 of 3:  roadmap-labs hint t1"
    )


def test_a_verdict_is_a_sign_and_a_word() -> None:
    lines = [
        report.check_line(CheckResult(FIRST, outcome))
        for outcome in ("pass", "fail", "error", "blocked", "infra")
    ]
    assert [line.split()[:2] for line in lines] == [
        ["✓", "pass"],
        ["✗", "fail"],
        ["!", "error"],
        ["·", "blocked"],
        ["?", "infra"],
    ]


def test_the_end_of_a_judgement_counts_what_waits() -> None:
    results = (CheckResult(FIRST, "pass"), FAILED, CheckResult(THIRD, "blocked"))
    text = report.summary(Report(LAB.slug, "1.0", 7, 4.06, results), LAB)
    assert "One more check waits for it." in text
    assert text.splitlines()[-1] == "1 of 3 checks, 2 of 11 points · 4.1 s · ✗ fail"


def test_our_fault_is_never_called_the_learners() -> None:
    text = report.failure(CheckResult(FIRST, "infra", "I-ENGINE", "The engine went away."), LAB)
    assert "Not your solution" in text
    assert "hint" not in text


def test_an_error_ends_with_its_cure_and_whose_fault_it_is() -> None:
    text = report.problem(EngineUnavailable("No engine answers.", cure="Start it:  dockerd"))
    assert text.splitlines() == ["No engine answers.", "Start it:  dockerd", "(your machine)"]


def test_findings_end_with_the_bad_ones() -> None:
    text = doctor.page(
        [Finding("a", False, "bad", "cure it"), Finding("b", True, "fine"), Finding("c", None, "?")]
    )
    lines = [line.split() for line in text.splitlines()]
    assert [line[:3] for line in lines] == [
        ["✓", "ok", "b"],
        ["·", "note", "c"],
        ["✗", "bad", "a"],
        ["cure", "it"],
    ]


def test_a_lab_page_shows_each_check_with_its_last_outcome() -> None:
    text = shelf_text.lab_page(LAB, {FIRST.id: "pass", SECOND.id: "fail"})
    assert f"    ✓ {FIRST.title}" in text
    assert f"    ✗ {SECOND.title}" in text
    assert text.endswith("Begin:  roadmap-labs start redis-caching")


def test_the_list_is_aligned() -> None:
    text = shelf_text.labs_table([("a-lab", "A", "beginner", 5, ""), ("b", "Title", "advanced", 150, "")])
    assert [line.index("beginner") for line in text.splitlines() if "beginner" in line] == [
        line.index("advanced") for line in text.splitlines() if "advanced" in line
    ]
