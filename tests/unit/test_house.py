"""The walls of the house: who may import whom, and that each module says what it does."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import roadmap_labs

HOUSE = Path(roadmap_labs.__file__).parent
ROOT = Path(__file__).parents[2]
MODULES = sorted(path for path in HOUSE.rglob("*.py") if "shelf" not in path.relative_to(HOUSE).parts[:1])

# Each room, and the rooms that it may use besides itself.
MAY_USE = {
    "errors": set(),
    "model": set(),
    "places": {"errors"},
    "files": {"errors"},
    "content": {"errors", "model", "places", "files"},
    "engine": {"errors", "places", "files"},
    "stack": {"errors", "files", "content", "engine"},
    "playground": {"errors", "content", "engine", "stack"},
    "harness": {"model"},
    "checking": {"errors", "model", "places", "content", "stack"},
    "verbs": {"errors", "model", "places", "content", "engine", "stack", "checking", "playground"},
    "authoring": {"errors", "files", "model", "places", "content", "engine", "stack", "checking", "verbs"},
    "grading": {"errors", "files", "model", "places", "content", "engine", "stack", "checking", "verbs"},
    "render": {"errors", "model", "content", "playground", "verbs", "authoring", "grading"},
    "cli": {"errors", "model", "places", "content", "checking", "verbs", "authoring", "grading", "render"},
    "__main__": {"cli"},
    "__init__": set(),
}


def _room(path: Path) -> str:
    first = path.relative_to(HOUSE).parts[0]
    return first.removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_arrows_point_one_way(path: Path) -> None:
    room = _room(path)
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] == "docker":
            assert room == "engine", f"{path} imports docker outside the engine"
        if parts[0] != "roadmap_labs" or len(parts) < 2 or parts[1] == "__version__":
            continue
        if room == "checking" and name == "roadmap_labs.harness":
            continue  # only to find its place on disk, for the command line of pytest
        assert parts[1] == room or parts[1] in MAY_USE[room], f"{room} may not use {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_each_module_says_what_it_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name != "__init__.py" or text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{path} has no first sentence"


def _strings(tree: ast.Module) -> Iterator[str]:
    """Every string of the code that is no docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree)
                  if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_no_lab_is_named_in_the_code() -> None:
    labs = [folder.name for folder in (HOUSE.parent.parent / "labs").iterdir() if folder.is_dir()]
    assert labs
    for path in MODULES:
        for text in _strings(ast.parse(path.read_text(encoding="utf-8"))):
            named = [lab for lab in labs if lab in text]
            # A help text may show a command of ours with some lab's name.
            assert not named or "roadmap-labs " in text, f"{path} names {named[0]}: {text!r}"


def test_a_workspace_in_the_checkout_is_not_linted() -> None:
    """The README's first command makes one there, and its second command lints."""
    (*own, code) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["include"]
    linted = set(code.partition("/")[0].strip("{}").split(","))
    known = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    if known.returncode:
        pytest.skip("no checkout: nothing tells our folders from others")
    assert own == ["pyproject.toml"]
    assert linted == {line.partition("/")[0] for line in known.stdout.splitlines()}
