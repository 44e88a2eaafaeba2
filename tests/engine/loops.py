"""Plays one fault in one command and judges what is left: the exit code, the one message, the engine, the strangers.

Knows the commands from outside only. `FaultLoop.play` raises `AssertionError` with the whole story of what is wrong.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import Engine, Found, Kind
from tests.engine.faulty import Fault
from tests.engine.stage import TOYS, Ended, Stage

OPERATIONS = ("start", "check", "stop")
STARTER = TOYS / "labs" / "toy" / "starter" / "python-http"
HEALED_SECONDS = 20.0
_KINDS: tuple[Kind, ...] = ("container", "network", "volume")
# An engine that is not there, one that refuses, and a check without a verdict. Never 70: that is a bug of ours.
_EXITS = {"start": (0, 69, 75), "stop": (0, 69, 75), "check": (0, 3, 69, 75)}
_MARK = "(your machine)"


@dataclass(frozen=True)
class Played:
    """One run of the loop: whether its fault was reached, how many calls there were, how long healing took."""

    reached: bool
    calls: int
    code: int
    healed_seconds: float


@dataclass
class Strangers:
    """A container, a network and a volume that are not ours, and how they were before."""

    names: dict[str, str]
    before: str = field(default="")

    def state(self) -> str:
        shapes = {
            "container": "{{.Id}} {{.State.Status}} {{.State.StartedAt}}",
            "network": "{{.Id}} {{len .Containers}}",
            "volume": "{{.CreatedAt}}",
        }
        seen = [
            subprocess.run(
                ["docker", kind, "inspect", "-f", shape, self.names[kind]], capture_output=True, text=True
            ).stdout
            for kind, shape in shapes.items()
        ]
        return "".join(seen)


@contextmanager
def strangers(name: str, image: str) -> Iterator[Strangers]:
    """Strangers with a name that looks like ours, removed at the end."""
    made = Strangers(
        {"container": f"rl-toy-{name}-c", "network": f"rl-toy-{name}-n", "volume": f"rl-toy-{name}-v"}
    )
    try:
        _docker("volume", "create", made.names["volume"])
        _docker("network", "create", made.names["network"])
        where = ["--network", made.names["network"], "-v", f"{made.names['volume']}:/kept"]
        _docker("run", "-d", "--name", made.names["container"], *where, image, "sleep", "86400")
        made.before = made.state()
        assert made.before.count("\n") == 3, made.before
        yield made
    finally:
        for kind, extra in (("container", ["-f"]), ("network", []), ("volume", [])):
            subprocess.run(["docker", kind, "rm", *extra, made.names[kind]], capture_output=True)


def _docker(*arguments: str) -> None:
    ended = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


class FaultLoop:
    """Plays faults one after another, each in a folder of its own below `place`."""

    def __init__(self, engine: Engine, stage: Stage, place: Path, others: Strangers | None = None) -> None:
        self.engine, self.stage, self.place, self.others = engine, stage, place, others

    def play(self, operation: str, fault: Fault) -> Played:
        """One command with one fault; what is wrong afterwards is said, what is left is removed."""
        folder = self.place / f"{operation}-{fault.kind}-{fault.variant}-{fault.k}"
        folder.mkdir()
        try:
            return self._play(operation, fault, folder)
        finally:
            for item in self._objects(folder):
                self.engine.remove(item.kind, item.id)
            shutil.rmtree(folder)

    def _play(self, operation: str, fault: Fault, folder: Path) -> Played:
        if operation == "stop":
            ready = self.stage.run("start", "toy", "play", folder=folder)
            assert ready.code == 0, ready.err
        if operation == "check":
            shutil.copytree(STARTER, folder / "play")
        arguments = {
            "start": ("start", "toy", "play"),
            "check": ("check", "play", "--lab", "toy"),
            "stop": ("-C", "play", "stop"),
        }[operation]
        ended = self.stage.run(*arguments, folder=folder, fault=fault)
        reached = len(ended.calls) >= fault.k
        struck = ended.calls[fault.k - 1] if reached else "nothing: it had ended before"
        head = f"{operation}, call {fault.k} ({struck}) {fault.kind} {fault.variant}: exit {ended.code}"
        story = f"{head}\n{ended.out}{ended.err}"
        self._judge_ending(operation, fault if reached else None, ended, story)
        began = time.monotonic()
        look = {"start": self._after_start, "check": self._after_check, "stop": self._after_stop}[operation]
        look(fault, folder, ended, story)
        if self.others is not None:
            assert self.others.state() == self.others.before, f"{story}\na stranger was touched"
        return Played(reached, len(ended.calls), ended.code, time.monotonic() - began)

    def _judge_ending(self, operation: str, fault: Fault | None, ended: Ended, story: str) -> None:
        assert "Traceback" not in ended.out + ended.err, story
        if fault is not None and fault.kind == "kill":
            assert ended.code == -9, story
            return
        assert ended.code in (_EXITS[operation] if fault is not None else (0,)), story
        if ended.code in (69, 75):
            assert ended.err.count(_MARK) + (operation == "check" and "I-" in ended.out) >= 1, story
            assert ended.err.count(_MARK) <= 1, story
        if ended.code == 3:
            assert "I-" in ended.out, story
        if ended.code:
            assert "engine" in (ended.err + ended.out).lower(), story

    def _after_check(self, fault: Fault, folder: Path, ended: Ended, story: str) -> None:
        if ended.code >= 0 and fault.kind not in ("hang", "timeout", "gone") and ended.code == 0:
            assert not self._objects(folder), (
                f"{story}\nleft by a check that ended well: {self._said(folder)}"
            )
        self._heal(fault, folder, lambda: not self._objects(folder), story)

    def _after_start(self, fault: Fault, folder: Path, ended: Ended, story: str) -> None:
        if ended.code == 0:
            assert self._is_whole(folder), f"{story}\nnot whole: {self._said(folder)}"
        elif ended.code > 0:
            self._heal(fault, folder, lambda: not self._objects(folder), story)
        else:
            # Killed: all of it, if the very last call got through; else nothing.
            self._heal(fault, folder, lambda: self._is_whole(folder) or not self._objects(folder), story)
        self._status_is_true(folder, story)

    def _after_stop(self, fault: Fault, folder: Path, ended: Ended, story: str) -> None:
        if ended.code == 0:
            assert self._is_stopped(folder), f"{story}\nleft: {self._said(folder)}"
        self._heal(fault, folder, lambda: self._is_stopped(folder) or self._is_whole(folder), story)
        self._status_is_true(folder, story)
        again = self.stage.run("-C", "play", "stop", folder=folder)
        assert again.code == 0, f"{story}\nthe second stop: {again.err}"
        assert self._is_stopped(folder), f"{story}\nafter a second stop: {self._said(folder)}"
        self._status_is_true(folder, story)

    def _heal(self, fault: Fault, folder: Path, healed: Callable[[], bool], story: str) -> None:
        """Every other fault is left to the watchdog; the others to the next command, which may be too early once."""
        deadline = time.monotonic() + HEALED_SECONDS
        while not healed():
            assert time.monotonic() < deadline, f"{story}\nnever healed: {self._said(folder)}"
            if fault.k % 2:
                assert self.stage.run("status", "--all", folder=folder).code == 0, story
            time.sleep(0.05)  # between two looks

    def _status_is_true(self, folder: Path, story: str) -> None:
        if not (folder / "play" / ".roadmap").is_dir():
            assert not self._objects(folder), story
            return
        seen = self.stage.run("-C", "play", "status", "--json", folder=folder)
        assert seen.code == 0, f"{story}\nstatus: {seen.err}"
        told = {
            part["name"]: part["status"] for part in seen.document["parts"] if part["status"] != "missing"
        }
        there = {item.labels[labels.SERVICE]: item.status for item in self._objects(folder, "container")}
        assert told == there, f"{story}\nstatus says {told}, the engine has {there}"
        assert seen.document["running"] == self._is_whole(folder), story
        kept = sorted(item.name for item in self._objects(folder, "volume") if _part(item) == "data")
        assert sorted(seen.document["data"]) == kept, story

    def _objects(self, folder: Path, *kinds: Kind) -> list[Found]:
        found = [item for kind in kinds or _KINDS for item in self.engine.find(kind, {labels.STACK: ""})]
        return [item for item in found if item.labels.get(labels.FOLDER, "").startswith(f"{folder}/")]

    def _said(self, folder: Path) -> list[str]:
        return [f"{item.kind} {item.name} {item.status}" for item in self._objects(folder)]

    def _parts(self, folder: Path) -> list[str]:
        return sorted(_part(item) for item in self._objects(folder))

    def _is_whole(self, folder: Path) -> bool:
        running = [item.status for item in self._objects(folder, "container")]
        wanted = ["data", "network", "role", "service", "whole"]
        return running == ["running", "running"] and sorted(set(self._parts(folder))) == wanted

    def _is_stopped(self, folder: Path) -> bool:
        return set(self._parts(folder)) == {"data", "whole"}


def _part(item: Found) -> str:
    return item.labels.get(labels.PART, "")
