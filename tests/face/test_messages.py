"""Bad input and bad machines: one clear line with the cure, an exit code of its own, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.face.conftest import Desk

pytestmark = pytest.mark.engine

LAB = "redis-caching"
NOWHERE = "unix:///nowhere/docker.sock"


def test_an_unknown_lab_suggests_near_misses(desk: Desk) -> None:
    ended = desk.run("start", "redis-cashing")
    assert ended.code == 5
    assert "There is no lab 'redis-cashing'. Did you mean redis-caching?" in ended.err
    assert "roadmap-labs list" in ended.err
    assert ended.out == ""


def test_a_foreign_folder_is_refused_untouched(desk: Desk) -> None:
    (desk.folder / "thesis").mkdir()
    (desk.folder / "thesis" / "chapter.txt").write_text("mine")
    ended = desk.run("start", LAB, "thesis")
    assert ended.code == 73
    assert "not empty" in ended.err
    assert [entry.name for entry in (desk.folder / "thesis").iterdir()] == ["chapter.txt"]


@pytest.mark.parametrize(
    "command", [["start", LAB], ["check", "--lab", LAB, "--solution"], ["status", "--all"]]
)
def test_without_an_engine_the_cure_is_told(desk: Desk, command: list[str]) -> None:
    ended = desk.run(*command, DOCKER_HOST=NOWHERE)
    assert ended.code == 69
    assert "/nowhere/docker.sock" in ended.err
    assert "roadmap-labs doctor" in ended.err


def test_without_an_engine_a_program_reads_the_error_as_json(desk: Desk) -> None:
    ended = desk.run("check", "--lab", LAB, "--solution", "--json", DOCKER_HOST=NOWHERE)
    assert ended.code == 69
    assert ended.document["schema"] == "roadmap-labs.error/v1"
    assert (ended.document["ok"], ended.document["exit_code"]) == (False, 69)


def test_doctor_without_an_engine_says_so_with_its_code(desk: Desk) -> None:
    ended = desk.run("doctor", DOCKER_HOST=NOWHERE)
    assert ended.code == 69
    assert "✗ bad" in ended.out


def test_an_unknown_context_is_an_error_not_the_default(desk: Desk) -> None:
    ended = desk.run("--context", "no-such-context", "status", "--all")
    assert ended.code == 69
    assert "no-such-context" in ended.err


def test_a_broken_manifest_is_named_with_its_line(desk: Desk) -> None:
    labs = desk.folder / "shelf" / "labs" / "broken"
    labs.mkdir(parents=True)
    (labs / "lab.yaml").write_text("format: 1\ntitel: Broken\n")
    ended = desk.run("info", "broken", ROADMAP_LABS_PATH=str(desk.folder / "shelf"))
    assert ended.code == 4
    assert "lab.yaml:2:1: unknown key 'titel'; did you mean 'title'." in ended.err


def test_outside_a_workspace_the_way_in_is_told(desk: Desk) -> None:
    for command in ("check", "status", "stop", "hint", "reset"):
        ended = desk.run(command)
        assert ended.code == 5, command
        assert "roadmap-labs start" in ended.err


def test_wrong_use_is_two(desk: Desk) -> None:
    assert desk.run("info").code == 2
    assert desk.run("check", "--no-such-option").code == 2
    assert desk.run("no-such-command").code == 2
    assert desk.run("-C", "nowhere", "status").code == 2


def test_a_task_and_a_check_that_do_not_exist(desk: Desk) -> None:
    assert "It has: t1, t2" in desk.run("check", "--lab", LAB, "--solution", "--task", "t9").err
    ended = desk.run("check", "--lab", LAB, "--solution", "--only", "t1_nothing")
    assert (ended.code, "roadmap-labs info redis-caching" in ended.err) == (5, True)


def test_a_full_disk_is_one_line(desk: Desk) -> None:
    full = desk.folder / "full"
    full.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", full], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine may not mount a small file system")
    try:
        ended = desk.run("start", LAB, full / "shop")
        assert ended.code == 73
        assert "No space left on device" in ended.err
        assert [entry.name for entry in full.iterdir()] == []
    finally:
        subprocess.run(["umount", full], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_can_not_be_written(desk: Desk) -> None:
    assert desk.run("start", LAB, ROADMAP_LABS_HOME="/proc/nowhere").code == 73


def test_a_link_in_the_work_is_refused_before_anything_starts(desk: Desk) -> None:
    (desk.folder / "work").mkdir()
    (desk.folder / "work" / "app.py").symlink_to("/etc/passwd")
    ended = desk.run("check", "work", "--lab", LAB)
    assert ended.code == 65
    assert "symbolic link app.py" in ended.err
    ended = desk.run("check", "work", "--lab", LAB, "--json")
    assert ended.code == 65
    assert ended.document["verdict"] == "error"
    assert {check["code"] for check in ended.document["checks"]} == {"L-SUBM"}


def test_a_dockerfile_that_fails_shows_its_last_lines(desk: Desk) -> None:
    (desk.folder / "work").mkdir()
    (desk.folder / "work" / "Dockerfile").write_text(
        "FROM roadmap-labs/debian:trixie\nRUN echo this-is-why; exit 3\n"
    )
    ended = desk.run("check", "work", "--lab", LAB)
    assert ended.code == 65
    assert "this-is-why" in ended.out + ended.err


def test_colour_only_where_it_is_wanted(desk: Desk) -> None:
    plain = desk.run("start", "nothing-like-it")
    assert "\x1b" not in plain.err
    loud = desk.run("start", "nothing-like-it", NO_COLOR="", FORCE_COLOR="1")
    assert "\x1b[31m" in loud.err


def test_json_everywhere_a_program_may_read(desk: Desk) -> None:
    for command in (["list"], ["info", LAB], ["doctor"], ["images", "list"], ["status", "--all"]):
        assert "schema" in json.loads(desk.run(*command, "--json").out), command


def test_the_shelf_can_be_elsewhere(desk: Desk) -> None:
    source = Path(__file__).parent.parent.parent / "labs" / LAB
    shutil.copytree(source, desk.folder / "shelf" / "labs" / "my-own-lab")
    listed = desk.run("list", ROADMAP_LABS_PATH=str(desk.folder / "shelf"))
    assert "my-own-lab" in listed.out
    assert LAB in listed.out
