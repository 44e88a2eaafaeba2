"""A whole lab in a folder of the test's own: small, and without a flaw until a test puts one in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from roadmap_labs.content import shelf

LAB = """\
format: 1
version: "1.0"
title: Toy
summary: A lab for tests.
topics: [toys]
level: beginner
minutes: 10
scaffolds: [plain]
services:
  redis: {recipe: redis}
roles:
  app:
    environment: {REDIS_URL: "{{ redis.url }}"}
starter_passes: [t1_answers]
tasks:
  t1:
    title: First
    minutes: 10
    checks: {t1_answers: 40, t1_counts: 60}
    hints:
      - What counts?
      - A counter.
      - Add one each time.
"""

CHECKS = '''\
from roadmap_labs.harness import fail


def test_t1_answers(lab):
    """Answers"""
    fail("no-answer", "The app was asked.", expected="200", observed="404")


def test_t1_counts(lab):
    """Counts every request"""
    fail("wrong-count", "The app was asked twice.", expected="2", observed="1")
'''

SOLUTION = """\
def count(state: dict[str, int]) -> int:
    state['seen'] = state.get('seen', 0) + 1
    return state['seen']
"""

FILES = {
    "labs/toy/lab.yaml": LAB,
    "labs/toy/README.md": "# Toy\n\nT1: count requests.\n",
    "labs/toy/checks/test_t1.py": CHECKS,
    "labs/toy/starter/plain/app.py": "def count(state):\n    # TODO T1: count\n    return 0\n",
    "labs/toy/solution/plain/app.py": SOLUTION,
    "labs/toy/mutants/counts-from-zero/mutant.yaml": """\
format: 1
belief: Counting begins at zero.
caught_by: t1_counts
code: wrong-count
says: asked twice
edits:
  - file: app.py
    old: |
      return state['seen']
    new: |
      return state['seen'] - 1
""",
    "labs/toy/mutants/says-nothing/mutant.yaml": """\
format: 1
belief: Nobody reads the answer.
caught_by: t1_answers
code: no-answer
says: was asked
""",
    "labs/toy/mutants/says-nothing/app.py": "def count(state):\n    return None\n",
    "scaffolds/plain/scaffold.yaml": """\
format: 1
title: Plain
language: Python
entry: app.py
source: /app
user: "10001:10001"
run: [python3, app.py]
live: [python3, app.py]
""",
    "scaffolds/plain/image/Dockerfile": "FROM roadmap-labs/debian:trixie\n",
    "scaffolds/plain/tree/go.sh": "exec python3 app.py\n",
}


class Toy:
    """The toy lab's files, to be read and changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "labs" / "toy"
        for name, text in FILES.items():
            self.put(root / name, text)

    def put(self, path: str | Path, text: str) -> Path:
        """Write one file; a relative path is inside the lab."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def change(self, path: str, old: str, new: str) -> None:
        """Replace something in one file."""
        file = self.folder / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(tmp_path))
    caches: tuple[Callable[[], None], ...] = (
        shelf.load_lab.cache_clear,
        shelf.load_scaffold.cache_clear,
    )
    for clear in caches:
        clear()
    yield Toy(tmp_path)
    for clear in caches:
        clear()
