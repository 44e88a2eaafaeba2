"""Strict JSON: what every parser agrees on is read, everything else is refused with its place."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap_labs.harness.strictjson import NotJson, difference, parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**99) + 1, 10**99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_python_writes_is_read_back_the_same(value: Any, ascii_only: bool) -> None:
    assert difference(value, parse(json.dumps(value, ensure_ascii=ascii_only).encode())) == ""


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_refusal(raw: bytes) -> None:
    with contextlib.suppress(NotJson):
        json.dumps(parse(raw))


@given(VALUES, VALUES)
def test_no_difference_means_the_same_text(left: Any, right: Any) -> None:
    same = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    zeros = "0.0" in json.dumps([left, right])  # -0.0 equals 0.0
    assert (difference(left, right) == "") == same or zeros


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"[" * 200_000, "nested deeper than 64 at position 64"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested deeper than 64"),
        (b'{"a": 1, "b": 2, "a": 3}', 'the name "a" appears twice'),
        (b'{"x": {"a": 1, "\\u0061": 3}}', 'the name "a" appears twice'),
        (b"NaN", "NaN is no JSON value"),
        (b"[-Infinity]", "-Infinity is no JSON value"),
        (b"1e400", "too large"),
        (b"1" * 101, "101 digits"),
        (b"9" * 10_000, "10000 digits"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udc00": 1}', "surrogate"),
        (b'["a\\ud83dx"]', "surrogate"),
        (b"\xff", "not UTF-8 at position 0"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"' + b"x" * 1024 * 1024 + b'"', "larger than"),
        (b'"' + b"\\" * 500_000, "at position"),
        (b"", "Expecting value at position 0"),
        (b"{} {}", "Extra data at position 3"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"'a'", "Expecting value"),
        (b'"a\nb"', "control character"),
    ],
)
def test_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(NotJson) as caught:
        parse(raw)
    assert reason in str(caught.value)


def test_brackets_in_strings_are_no_depth() -> None:
    assert parse(json.dumps(["[" * 100 + '\\"{']).encode()) == ["[" * 100 + '\\"{']


def test_depth_64_and_a_real_pair_are_fine() -> None:
    assert parse(b"[" * 64 + b"]" * 64)
    assert parse(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("expected", "actual", "text"),
    [
        ({"price": "12.50"}, {"price": 12.5}, 'price: expected "12.50", saw 12.5 (number)'),
        ({"stock": 1}, {"stock": True}, "stock: expected 1, saw true (boolean)"),
        ({"stock": 1}, {"stock": 1.0}, "stock: expected 1, saw 1.0 (number)"),
        ({"stock": 0}, {"stock": False}, "stock: expected 0, saw false (boolean)"),
        ({"a": None}, {}, "a: expected null, saw no such field"),
        ({}, {"x": 1}, "x: a field that does not belong there"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "a[0].b: expected 1, saw 2"),
        ([1], [1, 2], "the list: expected 1 entries, saw 2"),
        ("ü", "u", 'the answer: expected "ü", saw "u"'),
        ({"a": 1}, [], 'the answer: expected {"a": 1}, saw [] (list)'),
    ],
)
def test_a_difference_names_its_place(expected: Any, actual: Any, text: str) -> None:
    assert difference(expected, actual) == text
