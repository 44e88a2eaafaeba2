"""The learner's side breaks in ways that happen every day; each gets its own code and the words that help."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.face.conftest import Desk, names

pytestmark = pytest.mark.engine

LAB = "redis-caching"


def _judge(desk: Desk, source: str, *more: str, seconds: float = 180) -> dict[str, object]:
    """Judge the starter with its main.py replaced; the first check's document is what a learner would read."""
    from roadmap_labs.content import rendering, shelf

    lab = shelf.load_lab(LAB)
    folder = desk.folder / "work"
    rendering.write_files(
        rendering.starter_files(lab, shelf.load_scaffold(lab.manifest.scaffolds[0])), folder
    )
    (folder / "app" / "main.py").write_text(source)
    ended = desk.run("check", folder, "--lab", LAB, "--json", "--task", "t1", *more, seconds=seconds)
    assert ended.code == 1
    assert ended.document["verdict"] == "error"
    assert names(desk.mine()) == []
    first = ended.document["checks"][0]
    assert isinstance(first, dict)
    return first


def test_a_syntax_error_is_shown_with_its_line(desk: Desk) -> None:
    first = _judge(desk, "def broken(:\n")
    assert first["code"] == "L-EXIT"
    assert "before it was ready" in first["message"]
    assert "main.py" in first["observed"]


def test_a_program_that_ends_at_once_is_not_a_pass(desk: Desk) -> None:
    first = _judge(desk, "import os\nprint('==== 12 passed ====', flush=True)\nos._exit(0)\n")
    assert first["code"] == "L-EXIT"
    assert "exited with code 0" in first["message"]


def test_a_server_on_loopback_is_told_where_it_listens(desk: Desk) -> None:
    source = """
import http.server, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", 8000), Answer).serve_forever()
"""
    first = _judge(desk, source)
    assert first["code"] == "L-PORT"
    assert "127.0.0.1:8000" in first["observed"]


def test_a_program_that_eats_its_memory_is_told_the_limit(desk: Desk) -> None:
    first = _judge(desk, "hog = []\nwhile True:\n    hog.append(bytes(1 << 20))\n")
    assert first["code"] == "L-OOM"
    assert "256 MiB" in first["message"]


def test_a_program_that_dies_in_the_middle_is_explained_by_its_end(desk: Desk) -> None:
    source = """
import os
from fastapi import FastAPI
app = FastAPI()

@app.get("/readyz")
def ready():
    return {}

@app.get("/products/{number}")
def card(number: str):
    os._exit(7)
"""
    first = _judge(desk, source)
    assert first["code"] == "L-EXIT"
    assert "exited with code 7 during this check" in first["message"]


def test_learner_files_never_reach_the_checking_process(desk: Desk, tmp_path: Path) -> None:
    from roadmap_labs.content import rendering, shelf

    lab = shelf.load_lab(LAB)
    folder = desk.folder / "work"
    rendering.write_files(
        rendering.starter_files(lab, shelf.load_scaffold(lab.manifest.scaffolds[0])), folder
    )
    mark = tmp_path / "was-here"
    trap = f"open({str(mark)!r}, 'w').close()\n"
    for name in ("conftest.py", "sitecustomize.py", "json.py", "redis.py", "pytest.py", "h11.py"):
        (folder / name).write_text(trap)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -k nothing\n")
    ended = desk.run("check", folder, "--lab", LAB, "--json", cwd=folder)
    assert not mark.exists()
    outcomes = {check["id"]: check["outcome"] for check in ended.document["checks"]}
    assert len(outcomes) == len(lab.checks)
    assert "pass" not in {outcomes["t1_hit_skips_database"]}
