"""A command that is killed leaves nothing; the one that watches over it can't be talked out of it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import Engine, Found, Kind

pytestmark = pytest.mark.engine

COMMAND = """
import json, os, sys, time
from roadmap_labs.engine.watchdog import guard
stack, run, kind, end = sys.argv[1:]
began = time.perf_counter()
watch = guard(run)
cost = time.perf_counter() - began
sys.path.insert(0, {folder!r})
from tests.engine.conftest import IMAGE, any_network, marked
from roadmap_labs.engine import labels
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.protocol import Attachment, ContainerSpec
engine = open_engine()
marks = dict(marked(stack, KIND=kind), **{{labels.RUN: run}})
network, _ = any_network(engine, stack, marks=marks)
spec = ContainerSpec(stack, IMAGE, marks, Attachment(network), command=("sleep", "60"))
engine.start(engine.create_container(spec))
engine.create_volume(stack + "-d", dict(marks, **{{labels.PART: "data"}}))
if end == "whole":
    engine.create_volume(stack + "-w", dict(marks, **{{labels.PART: "whole"}}))
print(json.dumps({{"pid": os.getpid(), "cost": cost}}), flush=True)
if end == "done":
    watch.done()
    watch.done()
    sys.exit(0)
sys.stdin.read()
"""


def run_command(stack: str, *, kind: str, end: str) -> tuple[subprocess.Popen[str], str, dict[str, float]]:
    run = f"run-{secrets.token_hex(4)}"
    text = COMMAND.format(folder=str(Path(__file__).parent))
    # Group of its own, so that the whole of it can be signalled as a terminal does.
    child = subprocess.Popen(
        [sys.executable, "-c", text, stack, run, kind, end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    return child, run, json.loads(child.stdout.readline())


def left(engine: Engine, stack: str) -> set[str]:
    kinds: tuple[Kind, ...] = ("container", "network", "volume")
    found: list[Found] = [each for kind in kinds for each in engine.find(kind, {labels.STACK: stack})]
    return {
        each.kind + (":" + each.labels[labels.PART] if labels.PART in each.labels else "") for each in found
    }


def until_left(engine: Engine, stack: str, wanted: set[str], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while (now := left(engine, stack)) != wanted:
        assert time.monotonic() < deadline, now
        time.sleep(0.1)


def watchdogs(of: int) -> list[int]:
    """Processes that init has taken over and that wait with the command line of the one that forked them."""
    wanted = Path(f"/proc/{of}/cmdline").read_bytes()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != of and (folder / "cmdline").read_bytes() == wanted:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_killed_check_leaves_nothing(real_engine: Engine, stack: str) -> None:
    child, _, told = run_command(stack, kind="check", end="killed")
    assert told["cost"] < 0.1, "two forks: some milliseconds, a tenth of a second on a busy machine"
    (dog,) = watchdogs(child.pid)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(dog, number)
    assert left(real_engine, stack) == {"container", "network", "volume:data"}
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=5)  # the watchdog must not hold the command's output open
    until_left(real_engine, stack, set())


def test_killed_start_leaves_a_whole_playground(real_engine: Engine, stack: str) -> None:
    child, run, _ = run_command(stack, kind="playground", end="whole")
    child.kill()
    child.communicate(timeout=5)
    assert (
        subprocess.run(
            [sys.executable, "-I", "-m", "roadmap_labs.engine.watchdog", run], timeout=30
        ).returncode
        == 0
    )
    assert left(real_engine, stack) == {"container", "network", "volume:data", "volume:whole"}


def test_killed_start_loses_half_a_playground(real_engine: Engine, stack: str) -> None:
    child, _, _ = run_command(stack, kind="playground", end="killed")
    child.kill()
    child.communicate(timeout=5)
    until_left(real_engine, stack, set())


def test_command_that_ends_well_keeps_what_it_made(real_engine: Engine, stack: str) -> None:
    child, _, _ = run_command(stack, kind="playground", end="done")
    dogs = watchdogs(child.pid) if child.poll() is None else []
    child.communicate(timeout=5)
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{dog}").exists() for dog in dogs):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert left(real_engine, stack) == {"container", "network", "volume:data"}
