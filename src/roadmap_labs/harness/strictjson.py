"""Reads JSON that a hostile server wrote, and names the first difference between two JSON values.

Knows nothing of HTTP: it is handed bytes and gives values, or says where the text stops being JSON.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from roadmap_labs.harness.verdicts import quote

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_DIGITS = 100

# A whole string, or one bracket. The possessive quantifiers keep a megabyte of quotes linear.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotJson(ValueError):
    """The text is not the JSON we accept; `position` counts bytes (characters, where the text is UTF-8)."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason if position is None else f"{reason} at position {position}")
        self.position = position


def parse(raw: bytes) -> Any:
    """The value of a JSON text: UTF-8, at most 64 deep, no duplicate names, no NaN, no numbers beyond reason."""
    if len(raw) > MAX_BYTES:
        raise NotJson(f"JSON text of {len(raw)} bytes is larger than {MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson("bytes that are not UTF-8", error.start) from None
    _refuse_depth(raw)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_no_constant,
        )
    except NotJson:
        raise
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, error.pos) from None
    if "\\u" in text:
        _refuse_surrogates(value)
    return value


def _refuse_depth(raw: bytes) -> None:
    depth = 0
    for token in _TOKEN.finditer(raw):
        first = raw[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise NotJson(f"JSON nested deeper than {MAX_DEPTH}", token.start())
        elif first in b"]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise NotJson(f'the name "{quote(name, 60)}" appears twice in one object')
            seen.add(name)
    return found


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise NotJson(f"an integer of {len(digits)} digits (at most {MAX_DIGITS})")
    return int(digits)


def _fraction(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise NotJson(f"the number {quote(digits, 40)} is too large")
    return number


def _no_constant(name: str) -> Any:
    raise NotJson(f"{name} is no JSON value")


def _refuse_surrogates(value: Any) -> None:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise NotJson("a string with half of a surrogate pair")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _refuse_surrogates(name)
            _refuse_surrogates(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_surrogates(inner)


def difference(expected: Any, actual: Any, path: str = "") -> str:
    """Nothing where both are the same JSON value; else one line that names the place. 1 is neither 1.0 nor true."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return _object_difference(expected, actual, path)
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{path or 'the list'}: expected {len(expected)} entries, saw {len(actual)}"
        pairs = enumerate(zip(expected, actual, strict=True))
        return next(filter(None, (difference(a, b, f"{path}[{i}]") for i, (a, b) in pairs)), "")
    if type(expected) is type(actual) and expected == actual:
        return ""
    kind = "" if _kind(expected) == _kind(actual) else f" ({_kind(actual)})"
    return f"{path or 'the answer'}: expected {show(expected)}, saw {show(actual)}{kind}"


def _object_difference(expected: dict[str, Any], actual: dict[str, Any], path: str) -> str:
    dot = f"{path}." if path else ""
    for name, value in expected.items():
        if name not in actual:
            return f"{dot}{name}: expected {show(value)}, saw no such field"
        found = difference(value, actual[name], f"{dot}{name}")
        if found:
            return found
    extra = next((name for name in actual if name not in expected), None)
    return "" if extra is None else f"{dot}{quote(extra, 60)}: a field that does not belong there"


def show(value: Any, limit: int = 120) -> str:
    """A JSON value as a person reads it, cut."""
    return quote(json.dumps(value, ensure_ascii=False, default=str), limit)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    kinds = {float: "number", str: "string", list: "list", dict: "object"}
    return kinds.get(type(value), type(value).__name__)
