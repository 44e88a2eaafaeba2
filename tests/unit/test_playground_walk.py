"""A playground on a fake engine, in any order of commands, of calls that fail and of hands at the engine.

After each step `status` says what the engine has, and what a learner stored is still there.
"""

from __future__ import annotations

import functools
import itertools
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roadmap_labs.content import shelf
from roadmap_labs.engine import labels
from roadmap_labs.engine.fake import FakeEngine
from roadmap_labs.engine.sweep import find_dead, sweep
from roadmap_labs.errors import EngineRefused, EngineUnavailable, Problem
from roadmap_labs.stack import awaiting
from roadmap_labs.stack.assembly import Gathered
from roadmap_labs.verbs import play

TOYS = Path(__file__).parents[1] / "toy"
IMAGE = "roadmap-labs/debian:trixie"
ROLE = "echo"
PARTS = ("redis", "echo-1")


@dataclass(frozen=True)
class Fault:
    """Call `k` of a command fails; `lost`: the engine did it nevertheless; `for_good`: so do all calls after it."""

    k: int
    error: type[Problem]
    lost: bool
    for_good: bool


faults = st.none() | st.builds(
    Fault,
    st.integers(1, 30),
    st.sampled_from([EngineRefused, EngineUnavailable]),
    st.booleans(),
    st.booleans(),
)


@dataclass
class Failing:
    """What a command sees of the fake engine."""

    engine: FakeEngine
    fault: Fault | None
    count: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    lock: Any = field(default_factory=threading.Lock)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self.engine, name)

        @functools.wraps(call)
        def made(*arguments: Any, **more: Any) -> Any:
            with self.lock:
                number = next(self.count)
            fault = self.fault
            if fault is None or number < fault.k or (number > fault.k and not fault.for_good):
                return call(*arguments, **more)
            if fault.lost and number == fault.k:
                call(*arguments, **more)
            raise fault.error(f"injected at call {number}, {name}")

        return made


class Dog:
    """The watchdog of one command."""

    barked = False

    def done(self) -> None:
        self.barked = True


class Playground(RuleBasedStateMachine):
    """One folder; each command is a process of its own, which is dead when the next step comes."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = Path(tempfile.mkdtemp(prefix="roadmap-labs-walk-"))
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("ROADMAP_LABS_HOME", str(self.scratch / "home"))
        self.patch.setenv("ROADMAP_LABS_PATH", str(TOYS))
        shelf.load_lab.cache_clear()
        self.folder = self.scratch / "play"
        self.engine = FakeEngine()
        self.fault: Fault | None = None
        self.process, self.alive = 0, ""
        self.data: str | None = None  # the volume that must not be lost
        self.dogs: list[tuple[str, Dog]] = []
        everything = Gathered(IMAGE, IMAGE, {"redis": IMAGE}, {ROLE: IMAGE}, {ROLE: self._scaffold()})
        self.patch.setattr(play, "gather", lambda *_: everything)
        self.patch.setattr(play, "open_engine", lambda: Failing(self.engine, self.fault))
        self.patch.setattr(play, "guard", self._guard)
        self.patch.setattr(play, "owner", lambda: self.alive)
        self.patch.setattr(play, "sweep", functools.partial(sweep, dead=self._dead))
        self.patch.setattr(awaiting, "await_service", lambda *_, **__: None)
        self.patch.setattr(awaiting, "await_role", lambda *_, **__: None)
        assert self._command(lambda: play.start("toy", self.folder, _quiet), None)

    def _scaffold(self) -> Any:
        return shelf.load_scaffold("python-http").manifest

    def _guard(self, run: str) -> Dog:
        self.dogs.append((run, Dog()))
        return self.dogs[-1][1]

    def _dead(self, owner: str) -> bool:
        return owner != self.alive

    @contextmanager
    def _running(self, fault: Fault | None) -> Iterator[None]:
        self.process += 1
        self.alive, self.fault, self.dogs = f"process-{self.process}", fault, []
        try:
            yield
        finally:
            self.alive, self.fault = "", None

    def _command(self, command: Callable[[], object], fault: Fault | None, *, watched: bool = True) -> bool:
        """Whether it ended well. Its watchdog comes after it, unless that died, too."""
        well = True
        with self._running(fault):
            try:
                command()
            except (EngineRefused, EngineUnavailable):
                assert fault is not None, "nothing was injected"
                well = False
        for run, dog in self.dogs:
            assert dog.barked == well
            if not dog.barked and watched:
                sweep(self.engine, run=run, dead=self._dead)
        return well

    # -- commands -------------------------------------------------------------------------------------------------

    @rule(fault=faults, watched=st.booleans())
    def start(self, fault: Fault | None, watched: bool) -> None:
        before = dict(self.engine.containers) if self._look().view.whole else None
        if self._command(lambda: play.start("toy", self.folder, _quiet), fault, watched=watched):
            assert self._look().view.whole
            assert before is None or before == self.engine.containers, "nothing was wrong, so nothing changes"
            (self.data,) = self._volumes("data")
        elif before is None and fault is not None and not fault.for_good:
            assert not self._look().view.whole, "whoever is told that it failed finds nothing"

    @rule(fault=faults, watched=st.booleans())
    def stop(self, fault: Fault | None, watched: bool) -> None:
        if self._command(lambda: play.stop(self.folder), fault, watched=watched):
            assert not self.engine.containers
            assert not self.engine.networks

    # -- hands ----------------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1))
    def remove_container(self, which: int) -> None:
        for container in list(self.engine.containers)[which : which + 1]:
            self.engine.remove("container", container)

    @rule(which=st.integers(0, 1), how=st.sampled_from(["pause", "unpause", "kill", "start"]))
    def change_container(self, which: int, how: str) -> None:
        for container in list(self.engine.containers)[which : which + 1]:
            try:
                getattr(self.engine, how)(container)
            except EngineRefused:
                continue  # not possible in its state

    @rule(which=st.integers(0, 1))
    def disconnect(self, which: int) -> None:
        for container in list(self.engine.containers)[which : which + 1]:
            for network in list(self.engine.containers[container].legs):
                self.engine.disconnect(container, network)

    @rule()
    def remove_network(self) -> None:
        self.disconnect(0)
        self.disconnect(1)
        for network in list(self.engine.networks):
            self.engine.remove("network", network)

    @rule(part=st.sampled_from(["data", "whole"]))
    def remove_volume(self, part: str) -> None:
        if not self.engine.containers:
            for volume in self._volumes(part):
                self.engine.remove("volume", volume)
                self.data = None

    # -- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def status_is_true(self) -> None:
        seen = self._look()
        words = {part.name: part.status for part in seen.view.parts}
        there = {one.spec.labels[labels.SERVICE]: one for one in self.engine.containers.values()}
        for name in PARTS:
            one = there.get(name)
            word = one.state.status if one else "missing"
            if one is not None and word == "running" and not set(one.legs) & set(self.engine.networks):
                word = "disconnected"
            assert words[name] == word
        assert seen.view.whole == (bool(self.engine.networks) and set(words.values()) == {"running"})
        assert [volume.name for volume in seen.view.data] == self._volumes("data")

    @invariant()
    def nothing_dead_is_left(self) -> None:
        self._look()
        assert find_dead(self.engine, dead=self._dead) == ()
        assert self._volumes("stopping") == []
        assert len(self.engine.networks) <= 1

    @invariant()
    def data_is_kept(self) -> None:
        assert self.data is None or self.data in self._volumes("data")

    def _look(self) -> play.Playing:
        with self._running(None):
            return play.status(self.folder)

    def _volumes(self, part: str) -> list[str]:
        return [name for name, marks in self.engine.volumes.items() if marks[labels.PART] == part]

    def teardown(self) -> None:
        assert self._command(lambda: play.start("toy", self.folder, _quiet), None)
        assert self._command(lambda: play.stop(self.folder), None)
        self.patch.undo()
        shelf.load_lab.cache_clear()
        shutil.rmtree(self.scratch)


@pytest.mark.parametrize("far", [False, True], ids=["at its first removal", "at its last"])
def test_a_stop_that_failed_takes_nothing_of_what_was_raised_after_it(far: bool) -> None:
    """Its process may still be ending while the next command has the lock: then no sweep has finished it yet."""
    one = Playground()
    before = set(one.engine.containers)
    marks = next(iter(one.engine.containers.values())).spec.labels
    marker = {**marks, labels.PART: "stopping", labels.OWNER: "process-2", labels.RUN: "failed"}
    one.engine.create_volume("stopping-failed", marker)
    if far:
        one.engine.containers.clear()
        one.engine.networks.clear()
    with one._running(None):
        assert one.alive == "process-2"
        play.start("toy", one.folder, _quiet)
    assert not before & set(one.engine.containers), "what was being stopped is raised anew"
    assert sweep(one.engine, dead=lambda owner: True) == ()
    one.teardown()


def _quiet(phase: str, step: str) -> None:
    del phase, step


TestPlayground = Playground.TestCase
TestPlayground.settings = settings(max_examples=15, stateful_step_count=10)
