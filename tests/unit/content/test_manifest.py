"""Manifests: every problem is named at once, with its line; YAML 1.1 surprises are errors or plain text."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadmap_labs.content import strict_yaml
from roadmap_labs.content.manifest import LabManifest, ScaffoldManifest, ServiceManifest, load
from roadmap_labs.errors import InvalidManifest

LAB = """\
format: 1
version: "1.0"
title: Toy
summary: A lab for tests.
topics: [toys]
level: beginner
minutes: 5
scaffolds: [python-http]
roles:
  toy: {port: 8000}
tasks:
  t1:
    title: First
    minutes: 5
    checks: {t1_answers: 2}
    hints: [one, two, three]
"""


def _file(folder: Path, text: str, name: str = "lab.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_manifest_becomes_a_frozen_object(tmp_path: Path) -> None:
    lab = load(LabManifest, _file(tmp_path, LAB))
    assert lab.tasks["t1"].checks == {"t1_answers": 2}
    with pytest.raises(ValueError, match="frozen"):
        lab.title = "other"  # type: ignore[misc]


def test_all_problems_are_named_at_once_with_their_lines(tmp_path: Path) -> None:
    text = LAB.replace("minutes: 5\nscaffolds", "minuts: 5\nscaffolds").replace("port: 8000", "port: 99999")
    with pytest.raises(InvalidManifest) as caught:
        load(LabManifest, _file(tmp_path, text))
    assert "lab.yaml:7:1: unknown key 'minuts'; did you mean 'minutes'." in caught.value.message
    assert "'minutes' is missing" in caught.value.message
    assert "lab.yaml:10:" in caught.value.message
    assert "roles.toy.port" in caught.value.message
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", ":3:1: the key 'a' stands twice, first in line 1."),
        ("a: [1, 2\n", "this is not YAML"),
        ("a: &x 1\nb: {c: 1, c: 2}\n", ":2:11: the key 'c' stands twice"),
    ],
)
def test_broken_yaml_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(InvalidManifest) as caught:
        strict_yaml.read(_file(tmp_path, text))
    assert expected in caught.value.message


def test_values_follow_yaml_1_2(tmp_path: Path) -> None:
    text = "on: yes\noff: no\ntime: 1:30\nversion: 1.10\noctal: 010\ntrue_: true\nnothing: ~\nnumber: 12\n"
    value = strict_yaml.read(_file(tmp_path, text)).value
    assert value["on"] == "yes"
    assert value["off"] == "no"
    assert value["time"] == "1:30"
    assert value["octal"] == "010"
    assert value["true_"] is True
    assert value["nothing"] is None
    assert value["number"] == 12


def test_a_hint_too_few_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifest, match="hints"):
        load(LabManifest, _file(tmp_path, LAB.replace("[one, two, three]", "[one, two]")))


def test_a_service_may_not_run_as_root(tmp_path: Path) -> None:
    text = 'format: 1\ntitle: X\nuser: "0:0"\nmemory: 64\n'
    with pytest.raises(InvalidManifest, match="user"):
        load(ServiceManifest, _file(tmp_path, text, "service.yaml"))


def test_a_scaffold_may_be_a_tree_alone(tmp_path: Path) -> None:
    text = "format: 1\ntitle: X\nlanguage: Y\nentry: a\n"
    assert load(ScaffoldManifest, _file(tmp_path, text, "scaffold.yaml")).run == ()
