"""Rules against giving the solution away: in hints, in the assignment, in what a check tells the learner.

A heuristic: no longer line of the solution, that the learner does not have already, may appear in these texts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from roadmap_labs.authoring.draft import Draft
from roadmap_labs.authoring.flaws import Flaw

_SHORTEST = 25  # characters; shorter lines are everybody's
_PROSE = ("#", '"""', "//", "/*", "*", "--")


def _secret_lines(draft: Draft) -> set[str]:
    """Lines of code of the solution that no starter has, with single spaces."""
    given = {
        line
        for files in draft.starters.values()
        for path, file in files.items()
        if path != "README.md"
        for line in _lines(file.content)
    }
    found: set[str] = set()
    for scaffold in draft.scaffolds:
        for _, file in draft.overlay("solution", scaffold):
            found |= {line for line in _lines(file.read_bytes()) if _is_code(line)}
    return found - given


def _lines(content: bytes) -> Iterator[str]:
    for line in content.decode("utf-8", "replace").splitlines():
        yield _plain(line)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _is_code(line: str) -> bool:
    return len(line) >= _SHORTEST and not line.startswith(_PROSE) and bool(re.search(r"[=().\[\]{}:]", line))


def gives_away(draft: Draft) -> Iterator[Flaw]:
    """Hints, README and messages show no line of the solution."""
    secrets = sorted(_secret_lines(draft))
    cure = "Say it in words; a learner who copies it has learnt nothing."

    def found(text: str) -> str | None:
        words = _plain(text)
        return next((line for line in secrets if line in words), None) if len(words) >= _SHORTEST else None

    for task, body in (draft.manifest.tasks if draft.manifest else {}).items():
        for level, hint in enumerate(body.hints):
            if line := found(hint):
                where = draft.line("tasks", task, "hints", level)
                yield Flaw(draft.manifest_file, where, "hint-gives-away",
                           f"Hint {level + 1} of {task} shows a line of the solution: {line}", cure)  # fmt: skip
    if draft.readme.is_file():
        for number, text in enumerate(draft.readme.read_text("utf-8", "replace").splitlines(), 1):
            if line := found(text):
                yield Flaw(draft.readme, number, "readme-gives-away", f"A line of the solution: {line}", cure)
    for file, tree in draft.trees.items():
        if file.is_relative_to(draft.folder / "checks"):
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and (line := found(node.value))
                ):
                    yield Flaw(
                        file, node.lineno, "message-gives-away", f"A line of the solution: {line}", cure
                    )


RULES = (gives_away,)
