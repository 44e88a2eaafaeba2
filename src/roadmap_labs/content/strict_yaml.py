"""YAML read as YAML 1.2, with the place of every value. Knows nothing of what the values mean.

PyYAML follows YAML 1.1: `on` is a boolean, `1:30` is 90, and of two equal keys the last wins in silence. Here only
`true` and `false` are booleans, numbers are decimal, and an equal key is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from roadmap_labs.errors import InvalidManifest

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """Line and column of a value, both from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """A file's plain values and where each of them stands."""

    file: Path
    value: Any
    places: dict[Path_, Place]

    def place(self, path: Path_) -> Place:
        """The nearest place that is known: of the value itself or of what holds it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, 1))


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own name)


_CORE = (
    ("tag:yaml.org,2002:bool", r"^(?:true|false)$", "tf"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"^[-+]?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?$", "-+0123456789"),
)
for _tag, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


def read(file: Path) -> Document:
    """Read one file; raises `InvalidManifest` with file, line and column."""
    loader = _Loader(file.read_text(encoding="utf-8"))
    try:
        root = loader.get_single_node()
        places: dict[Path_, Place] = {}
        if root is not None:
            _walk(root, (), places, file)
            value = loader.construct_document(root)
        else:
            value = None
    except yaml.YAMLError as error:
        raise InvalidManifest(_sentence(file, error)) from error
    finally:
        loader.dispose()
    return Document(file, value, places)


def _walk(node: yaml.Node, path: Path_, places: dict[Path_, Place], file: Path) -> None:
    places.setdefault(path, Place(node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            line, column = key.start_mark.line + 1, key.start_mark.column + 1
            if name in seen:
                raise InvalidManifest(
                    f"{file}:{line}:{column}: the key '{name}' stands twice, first in line {seen[name]}.",
                    cure="Keep one of the two.",
                )
            seen[name] = line
            places[(*path, name)] = Place(line, column)
            _walk(value, (*path, name), places, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), places, file)


def _sentence(file: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
    return f"{where}: this is not YAML: {getattr(error, 'problem', None) or error}."
