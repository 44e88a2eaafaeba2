"""bin/roadmap-labs and its Python: what it sets up and repairs, what it says, what it leaves alone."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.front.conftest import Scratch


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_arguments_arrive_untouched_and_stdout_is_the_commands_own(scratch: Scratch) -> None:
    words = ["info", "two words", "it's", "$HOME *", "--json", ""]
    first = scratch.run(*words)
    assert first.code == 0
    assert first.arguments == words
    assert first.stderr == f"roadmap-labs: setting up Python in {scratch.checkout}/.venv\n"
    again = scratch.run(*words)
    assert again.arguments == words
    assert again.stderr == ""


def test_is_found_through_links_and_from_any_folder(scratch: Scratch) -> None:
    (scratch.fake / "a").symlink_to(scratch.checkout / "bin/roadmap-labs")
    (scratch.fake / "b").symlink_to("a")
    done = subprocess.run(
        [scratch.fake / "b", "list"], env=scratch.environment(), cwd="/", capture_output=True
    )
    assert done.returncode == 0
    assert b'"folder": "/"' in done.stdout


def test_a_learners_folder_can_not_shadow_a_module(scratch: Scratch) -> None:
    scratch.run("list")
    (scratch.fake / "json.py").write_text("raise SystemExit('shadowed')")
    assert scratch.run("list", PYTHONPATH=str(scratch.fake)).code == 0


def test_what_is_set_up_needs_no_tool_any_more(scratch: Scratch) -> None:
    scratch.run("list")
    calls = scratch.calls("uv")
    scratch.lacks("uv", "apt-get")
    assert scratch.run("list").code == 0
    assert scratch.calls("uv") == calls
    assert sum("--require-hashes" in call for call in calls) == 1


def test_without_uv_pip_installs_by_hash(scratch: Scratch) -> None:
    scratch.lacks("uv")
    assert scratch.run("list").code == 0
    (scratch.checkout / "requirements.lock").write_text("h11==0.16.0\n")
    refused = scratch.run("list")
    assert refused.code == 75
    assert "Hashes are required" in refused.stderr or "--hash" in refused.stderr


def test_a_changed_lock_is_installed(scratch: Scratch) -> None:
    scratch.run("list")
    (scratch.checkout / "requirements.lock").write_text("# something else\n")
    assert "setting up Python" in scratch.run("list").stderr
    assert len(scratch.calls("uv")) == 4


def test_a_failed_installation_says_why_and_is_begun_again(scratch: Scratch) -> None:
    mark = scratch.mark("uv-fails")
    failed = scratch.run("list")
    assert failed.code == 75
    assert failed.stdout == ""
    assert "  no route\n" in failed.stderr
    mark.unlink()
    assert scratch.run("list").arguments == ["list"]


def test_an_environment_whose_making_was_killed_is_made_again(scratch: Scratch) -> None:
    mark = scratch.mark("uv-hangs")
    killed = subprocess.Popen(scratch.command("list"), env=scratch.environment(), start_new_session=True)
    until(lambda: any("pip" in call for call in scratch.calls("uv")))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    mark.unlink()
    assert scratch.run("list").arguments == ["list"]


@pytest.mark.parametrize("missing", [(), ("flock",)])
def test_two_at_once_make_one_environment(scratch: Scratch, missing: tuple[str, ...]) -> None:
    scratch.lacks(*missing)  # as on macOS
    both = [
        subprocess.Popen(scratch.command("list"), env=scratch.environment(), stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [one.wait(60) for one in both] == [0, 0]
    assert sum(call.startswith("uv venv") for call in scratch.calls("uv")) == 1


def test_a_foreign_folder_is_left_alone(scratch: Scratch) -> None:
    mine = scratch.fake / "mine"
    (mine / "letters").mkdir(parents=True)
    refused = scratch.run("list", ROADMAP_LABS_VENV=str(mine))
    assert refused.code == 73
    assert "left alone" in refused.stderr
    assert (mine / "letters").is_dir()


def test_a_place_that_can_not_be_written_is_said(scratch: Scratch) -> None:
    (scratch.fake / "file").touch()
    refused = scratch.run("list", ROADMAP_LABS_VENV=str(scratch.fake / "file/venv"))
    assert refused.code == 73
    assert "ROADMAP_LABS_VENV=" in refused.stderr


def test_adds_less_than_100_ms(scratch: Scratch) -> None:
    scratch.mark("has-image")
    scratch.run("start")
    python = scratch.checkout / ".venv/bin/python"
    direct = [python, "-I", scratch.checkout / ".venv/bin/roadmap-labs", "start"]

    def seconds(command: list[Path] | list[str]) -> float:
        began = time.perf_counter()
        subprocess.run(command, env=scratch.environment(), check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    added = [seconds(scratch.command("start")) - seconds(direct) for _ in range(9)]
    assert statistics.median(added) < 0.1
