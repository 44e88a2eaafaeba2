"""The words that checks are written with, as a page, from the harness's own docstrings. Imports nothing of it.

`python -m roadmap_labs.authoring.vocabulary docs/authoring.md` renews the page between its two marks; a test fails
where that was forgotten.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import roadmap_labs

BEGIN, END = "<!-- words: generated, do not edit -->", "<!-- end of words -->"
# How the harness does its work; no check names these.
_INNER = frozenset(
    (
        "__init__",
        "channel",
        "judging",
        "plugin",
        "seeded",
        "resp",
        "service",
        "line",
        "admin",
        "expiries",
        "disturbing",
    )
)
_INNER_WORDS = frozenset(("Stage", "set_factor", "Verdict", "Blocked"))
_FIRST = ("lab", "http", "verdicts", "marks", "waiting", "crowd", "strictjson")
_DISTURBANCES = "disturbing"  # its class is mixed into `Lab`


def page() -> str:
    """A section for each module, in Markdown: what it is, and each word with its signature and first sentence."""
    folder = Path(roadmap_labs.__file__).parent / "harness"
    names = [file.stem for file in sorted(folder.glob("*.py")) if file.stem not in _INNER]
    ordered = [*(name for name in _FIRST if name in names), *(name for name in names if name not in _FIRST)]
    return "\n".join(line for name in ordered for line in _section(folder, name))


def renewed(text: str) -> str:
    """A document with its generated part made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{page()}\n{END}{after}"


def _section(folder: Path, name: str) -> Iterator[str]:
    tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
    rows = list(_rows(tree))
    if name == "lab":
        disturbing = ast.parse((folder / f"{_DISTURBANCES}.py").read_text(encoding="utf-8"))
        rows += [row.replace("Disturber.", "Lab.") for row in _rows(disturbing) if "Disturber." in row]
    if rows:
        yield f"#### `{name}`\n"
        yield f"{_sentence(tree)}\n"
        yield "| word | what it gives |"
        yield "| --- | --- |"
        yield from rows
        yield ""


def _rows(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _is_public(node):
            yield _row(f"{node.name}({_arguments(node)})", node)
        elif isinstance(node, ast.ClassDef) and _is_public(node):
            yield _row(node.name, node)
            for word in node.body:
                if isinstance(word, ast.FunctionDef) and _is_public(word):
                    is_property = any("property" in ast.unparse(mark) for mark in word.decorator_list)
                    signature = word.name if is_property else f"{word.name}({_arguments(word)})"
                    yield _row(f"{node.name}.{signature}", word)


def _is_public(node: ast.FunctionDef | ast.ClassDef) -> bool:
    return not node.name.startswith("_") and node.name not in _INNER_WORDS and bool(ast.get_docstring(node))


def _row(word: str, node: ast.FunctionDef | ast.ClassDef) -> str:
    return f"| `{word}` | {_sentence(node)} |".replace("\\", "\\\\")


def _arguments(node: ast.FunctionDef) -> str:
    """Names and defaults, without types: what an author types."""
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    pairs = list(zip(positional, defaults, strict=True))
    if pairs and pairs[0][0].arg == "self":
        pairs = pairs[1:]
    found = [_argument(one.arg, default) for one, default in pairs]
    found += [f"*{given.vararg.arg}"] if given.vararg else []
    found += [
        _argument(one.arg, default, "=…")
        for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    found += ["…"] if given.kwarg else []
    return ", ".join(found)


def _argument(name: str, default: ast.expr | None, required: str = "") -> str:
    if default is None:
        return f"{name}{required}"
    shown = ast.unparse(default)
    return f"{name}={'…' if shown.startswith('_') else shown}"


def _sentence(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> str:
    """The first paragraph of a docstring as one line that fits a table."""
    first = (ast.get_docstring(node) or "").split("\n\n")[0]
    return " ".join(first.split()).replace("|", "\\|")


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(renewed(document.read_text(encoding="utf-8")), encoding="utf-8")
