"""Rules about mutants: each says who catches it and how, changes something, and every check has one to catch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

from roadmap_labs.authoring.draft import Draft
from roadmap_labs.authoring.flaws import Flaw
from roadmap_labs.content.mutants import MANIFEST, Mutant, mutant_files
from roadmap_labs.content.rendering import solution_files
from roadmap_labs.content.shelf import Lab
from roadmap_labs.errors import Problem
from roadmap_labs.files import File


def mutants(draft: Draft) -> Iterator[Flaw]:
    """A mutant names a check and a code that exist, and differs from the solution in all its files."""
    known = (
        {check for task in draft.manifest.tasks.values() for check in task.checks}
        if draft.manifest
        else set()
    )
    codes, patterns = _codes(draft)
    solutions = dict(_solutions(draft))
    for mutant in draft.mutants:
        file, manifest = mutant.folder / MANIFEST, mutant.manifest
        if manifest.caught_by not in known:
            yield Flaw(file, 1, "mutant-check", f"{manifest.caught_by} is no check of this lab.",
                       "Name the check that catches it.")  # fmt: skip
        given = manifest.code in codes or any(one.fullmatch(manifest.code) for one in patterns)
        if not given and not manifest.code.startswith("L-"):
            yield Flaw(file, 1, "mutant-code", f"No check gives the code '{manifest.code}'.",
                       "Name the code that the check gives, or an L-… code.")  # fmt: skip
        if draft.lab is not None:
            name = mutant.scaffold(draft.lab)
            if name not in draft.scaffolds:
                yield Flaw(
                    file, 1, "mutant-scaffold", f"{name} is no scaffold of this lab.", "Name one that it has."
                )
            elif name in solutions:
                yield from _changes(draft.lab, mutant, solutions[name])


def _solutions(draft: Draft) -> Iterator[tuple[str, Mapping[str, File]]]:
    """The solution's files of every scaffold that renders; the others are another rule's."""
    for name, scaffold in draft.scaffolds.items():
        if draft.lab is not None and name in draft.starters and (draft.folder / "solution" / name).is_dir():
            with suppress(Problem, UnicodeDecodeError):
                yield name, {one.path: one for one in solution_files(draft.lab, scaffold)}


def _changes(lab: Lab, mutant: Mutant, solution: Mapping[str, File]) -> Iterator[Flaw]:
    file = mutant.folder / MANIFEST
    try:
        made = mutant_files(lab, mutant, tuple(solution.values()))
        changed = {one.path: one for one in made if solution.get(one.path) != one}
    except (Problem, UnicodeDecodeError) as problem:
        said = str(problem).removeprefix(f"{file}: ")
        yield Flaw(file, 1, "mutant-edit", said, getattr(problem, "cure", ""))
        return
    if not changed:
        yield Flaw(file, 1, "mutant-same", "It is the solution.", "Put the misconception in.")
    for own in sorted(mutant.folder.rglob("*")):
        path = own.relative_to(mutant.folder).as_posix()
        if own.is_file() and path in solution and solution[path].content == own.read_bytes():
            yield Flaw(own, 1, "mutant-same", f"{path} is the same in the solution.", "Remove it here.")
    for path, one in changed.items():
        if path.endswith(".py"):
            try:
                ast.parse(one.content)
            except SyntaxError as error:
                yield Flaw(
                    file,
                    1,
                    "python",
                    f"{path} is not Python after the edits: line {error.lineno}, {error.msg}.",
                )


def killed(draft: Draft) -> Iterator[Flaw]:
    """A check that no mutant is caught by may be unable to fail."""
    caught = {mutant.manifest.caught_by for mutant in draft.mutants}
    for task, body in (draft.manifest.tasks if draft.manifest else {}).items():
        for check in body.checks:
            if check not in caught:
                line = draft.line("tasks", task, "checks", check)
                yield Flaw(draft.manifest_file, line, "check-unkilled", f"No mutant is caught by {check}.",
                           "Write one: what would a colleague believe who fails just here?")  # fmt: skip


def _codes(draft: Draft) -> tuple[set[str], list[re.Pattern[str]]]:
    """Every text in checks/ that could be a feedback code, and every f-string with anything in its gaps."""
    whole: set[str] = set()
    gapped: set[str] = set()
    for file, tree in draft.trees.items():
        if file.is_relative_to(draft.folder / "checks"):
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    whole.add(node.value)
                elif isinstance(node, ast.JoinedStr):
                    gapped.add("".join(_pattern(part) for part in node.values))
    # A code is a short word with hyphens: sentences are no candidates.
    return whole, [re.compile(text) for text in gapped if not re.search(r"\s|\\ ", text)]


def _pattern(part: ast.expr) -> str:
    fixed = isinstance(part, ast.Constant) and isinstance(part.value, str)
    return re.escape(part.value) if fixed else "[a-z0-9-]+"  # type: ignore[attr-defined]


RULES = (mutants, killed)
