"""Stopping at any moment: Ctrl-C once and twice, kill -9, two at once. Afterwards nothing of the dead run is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadmap_labs.engine import labels
from tests.face.conftest import Desk, names, send, until

pytestmark = pytest.mark.engine

LAB = "redis-caching"
WATCHDOG_SECONDS = 60


def _containers(desk: Desk) -> list[str]:
    return [item.name for item in desk.mine() if item.kind == "container"]


@pytest.fixture
def bystander(desk: Desk) -> Iterator[str]:
    """A container that is not ours: it must survive everything."""
    image = "roadmap-labs/debian:trixie"
    made = subprocess.run(
        ["docker", "run", "-d", image, "sleep", "600"], capture_output=True, text=True, check=True
    )
    name = made.stdout.strip()
    yield name
    subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=True)


def _alive(container: str) -> bool:
    seen = subprocess.run(
        ["docker", "inspect", "-f", "{{.State.Running}}", container], capture_output=True, check=False
    )
    return seen.stdout.strip() == b"true"


@pytest.mark.parametrize("count", [1, 3])
def test_ctrl_c_once_ends_a_check_in_order(desk: Desk, bystander: str, count: int) -> None:
    process = desk.begin("check", "--lab", LAB, "--solution")
    until(lambda: len(_containers(desk)) >= count, 60, "containers of the check")
    send(process, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "has been removed" in err
    assert "Traceback" not in err
    assert names(desk.mine()) == []
    assert _alive(bystander)


def test_ctrl_c_once_ends_a_first_start_in_order(desk: Desk) -> None:
    process = desk.begin("start", LAB, "shop")
    until(lambda: _containers(desk), 60, "a container of the playground")
    send(process, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert names(desk.mine()) == []


def test_ctrl_c_twice_leaves_at_once_and_the_watchdog_cleans(desk: Desk) -> None:
    process = desk.begin("check", "--lab", LAB, "--solution")
    until(lambda: len(_containers(desk)) >= 2, 60, "containers of the check")
    send(process, signal.SIGINT)
    # Of two signals of a kind the kernel makes one, where the first was not yet taken. One of another kind always
    # arrives, and before the first has removed everything.
    send(process, signal.SIGTERM)
    _, err = process.communicate(timeout=5)
    assert process.returncode == 130
    assert "Left at once" in err, err
    assert "Traceback" not in err
    until(lambda: not desk.mine(), WATCHDOG_SECONDS, "the watchdog removed the rest")


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_killed_check_leaves_nothing(desk: Desk, bystander: str, count: int) -> None:
    process = desk.begin("check", "--lab", LAB, "--solution")
    until(lambda: desk.mine() and len(_containers(desk)) >= count, 60, "objects of the check")
    send(process, signal.SIGKILL)
    process.wait(5)
    until(lambda: not desk.mine(), WATCHDOG_SECONDS, "the watchdog removed all of it")
    assert _alive(bystander)


@pytest.mark.parametrize("count", [0, 2])
def test_a_killed_first_start_leaves_nothing(desk: Desk, count: int) -> None:
    process = desk.begin("start", LAB, "shop")
    until(lambda: desk.mine() and len(_containers(desk)) >= count, 60, "objects of the playground")
    send(process, signal.SIGKILL)
    process.wait(5)
    until(lambda: not desk.mine(), WATCHDOG_SECONDS, "the watchdog removed all of it")
    assert desk.run("start", LAB, "shop").code == 0


def test_a_killed_later_start_keeps_the_data(desk: Desk) -> None:
    assert desk.run("start", LAB, "shop").code == 0
    desk.run("-C", "shop", "stop")
    kept = names(desk.mine())
    process = desk.begin("start", LAB, "shop")
    until(lambda: _containers(desk), 60, "a container of the playground")
    send(process, signal.SIGKILL)
    process.wait(5)
    until(lambda: names(desk.mine()) == kept, WATCHDOG_SECONDS, "only the data of before is left")


def test_a_killed_stop_is_finished(desk: Desk) -> None:
    assert desk.run("start", LAB, "shop").code == 0
    process = desk.begin("-C", "shop", "stop")
    until(lambda: any("stopping" in item.name for item in desk.mine()), 60, "the stop has begun")
    send(process, signal.SIGKILL)
    process.wait(5)
    until(
        lambda: {item.labels[labels.PART] for item in desk.mine()} == {"data", "whole"},
        WATCHDOG_SECONDS,
        "the stop was finished",
    )


def test_the_next_command_cleans_where_the_watchdog_died_too(desk: Desk) -> None:
    process = desk.begin("check", "--lab", LAB, "--solution")
    until(lambda: len(_containers(desk)) >= 2, 60, "containers of the check")
    for watchdog in _watchdogs_of(process.pid):
        os.kill(watchdog, signal.SIGKILL)
    send(process, signal.SIGKILL)
    process.wait(5)
    assert desk.mine()
    # What the engine was still creating for the dead command comes up a moment later: for the command after that.
    until(
        lambda: desk.run("status", "--all").code == 0 and not desk.mine(),
        30,
        "a later command removed all of it",
    )


def _watchdogs_of(pid: int) -> list[int]:
    """The watchdog holds the other end of a pipe of the command, and is no child of it."""
    pipes = {link for link in _links(pid) if link.startswith("pipe:")}
    others = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    mine = {pid, os.getpid()}
    return [other for other in others if other not in mine and _links(other) & pipes and _parent(other) == 1]


def _links(pid: int) -> set[str]:
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            found.add(str(entry.readlink()))
    except OSError:
        return found
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_two_starts_in_one_folder_make_one_playground(desk: Desk) -> None:
    first, second = desk.begin("start", LAB, "shop"), desk.begin("start", LAB, "shop")
    told = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted("already running" in out for out in told) == [False, True]
    assert len(_containers(desk)) == 3
    assert desk.run("-C", "shop", "status", "--json").document["running"] is True


def test_a_playground_outlives_the_command_and_shows_what_a_hand_did_to_it(desk: Desk) -> None:
    assert desk.run("start", LAB, "shop").code == 0
    redis = next(name for name in _containers(desk) if name.endswith("redis"))
    subprocess.run(["docker", "rm", "-f", redis], capture_output=True, check=True)
    seen = desk.run("-C", "shop", "status")
    assert "redis          missing" in seen.out
    assert "Repair it" in seen.out
    assert desk.run("start", LAB, "shop").code == 0
    assert desk.run("-C", "shop", "status", "--json").document["running"] is True
