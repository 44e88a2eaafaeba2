"""Each rule of lint, with one lab that keeps it and one change that breaks it."""

from __future__ import annotations

import pytest

from roadmap_labs.authoring.lint import examine
from tests.unit.authoring.conftest import CHECKS, SOLUTION, Toy


def _rules(found: object) -> list[str]:
    return [flaw.rule for flaw in found]  # type: ignore[attr-defined]


def test_a_lab_without_a_flaw(toy: Toy) -> None:
    assert examine("toy") == ()


LINE = "state['seen'] = state.get('seen', 0) + 1"

# File, what stands there, what stands there instead, the rule that must speak, and a word of what it says.
CHANGES = [
    ("lab.yaml", "t1_counts: 60", "t1_counts: 50", "points", "90"),
    ("lab.yaml", "t1_counts: 60", "t1_counts: 60, t1_more: 0", "check-missing", "t1_more"),
    ("lab.yaml", "level: beginner", "level: easy", "manifest", "level"),
    ("lab.yaml", "scaffolds: [plain]", "scaffolds: [plain, missing-one]", "scaffold", "missing-one"),
    ("lab.yaml", "{recipe: redis}", "{recipe: reddis}", "service", "reddis"),
    ("lab.yaml", "{recipe: redis}", "{recipe: redis, settings: {size: big}}", "service-setting", "size"),
    ("lab.yaml", "{recipe: redis}", "{recipe: redis, seed: services/redis}", "service-seed", "services/redis"),
    ("lab.yaml", "redis.url", "reddis.url", "render", "reddis"),
    ("lab.yaml", "{recipe: redis}", "{recipe: redis, show: 'ask {{ where }}'}", "render", "where"),
    ("lab.yaml", "  app:\n", "  app:\n    show: ask {{ whom }}\n", "render", "whom"),
    ("lab.yaml", "[t1_answers]", "[t1_answer]", "starter-passes", "t1_answer"),
    ("lab.yaml", "A counter.", LINE, "hint-gives-away", "state"),
    ("README.md", "T1: count", "Count", "readme", "T1"),
    ("README.md", "count requests", LINE, "readme-gives-away", "state"),
    ("checks/test_t1.py", '"""Counts every request"""', "pass", "docstring", "t1_counts"),
    ("checks/test_t1.py", "Counts every request", "x" * 90, "docstring", "short line"),
    ("checks/test_t1.py", "def test_t1_counts", "def test_t1_adds", "check-task", "t1_adds"),
    ("checks/test_t1.py", "was asked twice.", LINE, "message-gives-away", "state"),
    ("checks/test_t1.py", "def test_t1_counts(lab):", "def test_t1_counts(lab:", "python", "not Python"),
    ("starter/plain/app.py", "# TODO T1: count", "# count", "todo-missing", "TODO T1"),
    ("solution/plain/app.py", "return", "# TODO: more\n    return", "todo-left", "TODO"),
    ("mutants/counts-from-zero/mutant.yaml", "t1_counts", "t1_sums", "mutant-check", "t1_sums"),
    ("mutants/counts-from-zero/mutant.yaml", "wrong-count", "wrong-sum", "mutant-code", "wrong-sum"),
    ("mutants/counts-from-zero/mutant.yaml", "belief:", "believes:", "mutant-manifest", "believes"),
    ("mutants/counts-from-zero/mutant.yaml", "old: |\n      return", "old: |\n      yield", "mutant-edit", "nowhere"),
    ("mutants/counts-from-zero/mutant.yaml", "['seen'] - 1", "['seen']", "mutant-same", "solution"),
    ("mutants/counts-from-zero/mutant.yaml", "['seen'] - 1", "[", "python", "after the edits"),
    ("mutants/counts-from-zero/mutant.yaml", "format: 1", "format: 1\nscaffold: other", "mutant-scaffold", "other"),
    ("mutants/counts-from-zero/mutant.yaml", "t1_counts", "t1_answers", "check-unkilled", "t1_counts"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "rule", "word"), CHANGES, ids=lambda value: None)
def test_a_broken_rule_is_named(toy: Toy, file: str, old: str, new: str, rule: str, word: str) -> None:
    toy.change(file, old, new)
    found = [flaw for flaw in examine("toy") if flaw.rule == rule]
    assert found, examine("toy")
    assert any(word in flaw.sentence for flaw in found)
    assert all(flaw.line >= 1 and flaw.file.is_relative_to(toy.root) for flaw in found)


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("notes.txt", "x", "stray-file"),
        ("starter/other/app.py", "x = 1\n", "stray-file"),
        ("mutants/lost/app.py", "x = 1\n", "stray-file"),
        ("services/postgres/1.sql", "select 1", "stray-file"),
        ("starter/plain/go.sh", "exec python3 app.py\n", "starter-same"),
        ("solution/plain/go.sh", "exec python3 app.py\n", "solution-same"),
        ("starter/plain/hello.txt.j2", "{{ nobody }}", "render"),
        ("solution/plain/hello.txt.j2", "{{ nobody }}", "render"),
        ("mutants/says-nothing/go.sh", "exec python3 app.py\n", "mutant-same"),
        ("checks/test_t2.py", CHECKS, "check-twice"),
    ],
)
def test_a_file_too_many_is_named(toy: Toy, path: str, text: str, rule: str) -> None:
    toy.put(path, text)
    assert rule in _rules(examine("toy"))


def test_no_solution_at_all(toy: Toy) -> None:
    (toy.folder / "solution" / "plain" / "app.py").unlink()
    assert "no-solution" in _rules(examine("toy"))


def test_an_edit_that_fits_twice(toy: Toy) -> None:
    toy.put("solution/plain/app.py", SOLUTION + "\n\ndef again(state):\n    return state['seen']\n")
    flaw = next(flaw for flaw in examine("toy") if flaw.rule == "mutant-edit")
    assert "2 places" in flaw.sentence


def test_all_problems_at_once_in_the_order_of_their_places(toy: Toy) -> None:
    toy.change("lab.yaml", "t1_counts: 60", "t1_counts: 50")
    toy.change("checks/test_t1.py", "Counts every request", "x" * 90)
    toy.put("notes.txt", "x")
    found = examine("toy")
    assert {"points", "docstring", "stray-file"} <= set(_rules(found))
    assert [(flaw.file, flaw.line) for flaw in found] == sorted((flaw.file, flaw.line) for flaw in found)
    assert found == examine("toy")


def test_a_flaw_points_at_its_line(toy: Toy) -> None:
    toy.change("lab.yaml", "starter_passes: [t1_answers]", "starter_passes:\n  - t1_answers\n  - t9_none")
    flaw = next(flaw for flaw in examine("toy") if flaw.rule == "starter-passes")
    assert (toy.folder / "lab.yaml").read_text().splitlines()[flaw.line - 1].strip() == "- t9_none"
