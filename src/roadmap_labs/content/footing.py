"""What a lab stands on, as digests: its folder, scaffolds and servers, and the harness modules that its checks use.

These modules are found from syntax trees alone; nothing of them is imported. The plug-in and what it imports belong to
every lab. A module that `harness/lab.py` imports inside a word of `Lab` (`lab.redis` brings `redis.py`) belongs to the
labs whose checks say that word.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import roadmap_labs
from roadmap_labs.content import proofs, shelf
from roadmap_labs.content.shelf import Lab
from roadmap_labs.files import File, digest, read_folder

RELAY = "relay"  # the recipe through which every check reaches every server
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


def digests(lab: Lab) -> dict[str, str]:
    """SHA-256 (hex) of each part, by name; the proof beside the lab is no part of it."""
    files = [file for file in read_folder(lab.folder) if file.path != proofs.NAME]
    found = {"lab": digest(files)}
    for name in lab.manifest.scaffolds:
        scaffold = shelf.load_scaffold(name)
        found[f"scaffolds/{name}"] = digest(read_folder(scaffold.folder))
        if scaffold.image_name != name:
            image = read_folder(shelf.scaffold_image(scaffold))
            found[f"scaffolds/{scaffold.image_name}/image"] = digest(image)
    servers = (*lab.services.values(), *lab.hosts.values())
    for recipe in sorted({server.name for server in servers} | {RELAY}):
        found[f"services/{recipe}"] = digest(read_folder(shelf.load_service(recipe).folder))
    harness = harness_files(sorted(lab.checks_folder.glob("*.py")))
    found["harness"] = digest(File(file.name, file.read_bytes()) for file in harness)
    return found
