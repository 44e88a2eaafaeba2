"""Which modules of the harness a lab stands on."""

from __future__ import annotations

from pathlib import Path

from roadmap_labs.content.footing import harness_files


def _names(tmp_path: Path, checks: str) -> set[str]:
    file = tmp_path / "test_t1.py"
    file.write_text(checks)
    return {found.name for found in harness_files([file])}


def test_what_every_lab_stands_on(tmp_path: Path) -> None:
    found = _names(tmp_path, "from roadmap_labs.harness import fail\n")
    assert {"plugin.py", "lab.py", "channel.py", "http.py", "pytest.ini"} <= found
    assert not {"redis.py", "postgres.py", "gates.py"} & found


def test_a_word_brings_its_module_and_what_that_stands_on(tmp_path: Path) -> None:
    found = _names(tmp_path, "def test_t1_x(lab):\n    lab.redis('redis').ask('PING')\n")
    assert {"redis.py", "resp.py"} <= found
    assert "postgres.py" not in found


def test_an_import_brings_its_module(tmp_path: Path) -> None:
    assert "gates.py" in _names(tmp_path, "from roadmap_labs.harness import gates\n")
    assert "gates.py" in _names(tmp_path, "def f():\n    from roadmap_labs.harness.gates import closed\n")
