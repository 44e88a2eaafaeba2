"""The table of the catalogue is whole, and every place that it names is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

from roadmap_labs.content import shelf
from tests.hostile.catalogue import CORPUS as JUDGED_HERE
from tests.hostile.catalogue import ROWS, Row
from tests.hostile.corpus import CORPUS

ROOT = Path(__file__).parent.parent.parent
OUR_OWN = 79
IDS = [str(row.number) for row in ROWS]


@cache
def _tests(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def test_every_row_is_there_once() -> None:
    assert [row.number for row in ROWS] == list(range(1, OUR_OWN + 1))


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_row_is_shown_or_says_why_not(row: Row) -> None:
    assert row.what.strip()
    assert row.places or row.short.strip()


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_every_place_exists(row: Row) -> None:
    for place in row.places:
        if place.startswith("labs/"):
            mutant = yaml.safe_load((ROOT / place / "mutant.yaml").read_text(encoding="utf-8"))
            assert mutant["caught_by"] in {check.id for check in shelf.load_lab(place.split("/")[1]).checks}
        else:
            file, _, test = place.partition("::")
            assert test in _tests(file), place


def test_the_corpus_and_the_table_agree() -> None:
    assert {one.row for one in CORPUS} == {row.number for row in ROWS if JUDGED_HERE in row.places}
    assert len({one.id for one in CORPUS}) == len(CORPUS)
