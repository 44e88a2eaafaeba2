"""Finds the harness modules that a lab's checks stand on, from syntax trees alone. Imports nothing of them.

The plug-in and what it imports belong to every lab. A module that `harness/lab.py` imports inside a word of `Lab`
(`lab.redis` brings `redis.py`) belongs to the labs whose checks say that word.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import roadmap_labs

_PACKAGE = "roadmap_labs.harness"
_ROOTS = ("__init__", "plugin")
_WORDS = "lab"  # the module whose lazy imports are words


def harness_files(checks: Iterable[Path]) -> tuple[Path, ...]:
    """The files of the harness, its pytest settings among them, that these check files depend on; in order of name."""
    folder = Path(roadmap_labs.__file__).parent / "harness"
    trees = {file.stem: _parsed(file) for file in folder.glob("*.py")}
    check_trees = [_parsed(file) for file in checks]
    said = {name for tree in check_trees for name in _names(tree)}
    waiting = [*_ROOTS, *(name for tree in check_trees for name in _imports(ast.walk(tree), trees))]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _edges(name, trees, said)
    return tuple(sorted([folder / f"{name}.py" for name in found] + [folder / "pytest.ini"]))


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def _edges(name: str, trees: dict[str, ast.Module], said: set[str]) -> Iterator[str]:
    tree = trees[name]
    yield from _imports(tree.body, trees)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and (name != _WORDS or function.name in said):
            yield from _imports(ast.walk(function), trees)


def _imports(nodes: Iterable[ast.AST], trees: dict[str, ast.Module]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module == _PACKAGE:
                yield from (alias.name for alias in node.names if alias.name in trees)
            elif node.module.startswith(f"{_PACKAGE}."):
                yield node.module.removeprefix(f"{_PACKAGE}.")


def _names(tree: ast.Module) -> Iterator[str]:
    return (node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute))
