"""What is dead and what is not, on a fake engine."""

from __future__ import annotations

import threading

import pytest

from roadmap_labs.engine import labels
from roadmap_labs.engine.fake import FakeEngine
from roadmap_labs.engine.protocol import ContainerSpec, Found, Kind, NetworkSpec
from roadmap_labs.engine.sweep import find_dead, remove_all, remove_stack, sweep
from roadmap_labs.errors import EngineRefused, EngineUnavailable

IMAGE = "roadmap-labs/debian:trixie"


def dead(label: str) -> bool | None:
    return {"dead": True, "alive": False}.get(label)


def marked(
    stack: str, *, kind: str = "playground", owner: str = "dead", run: str = "r1", **more: str
) -> dict[str, str]:
    own = {labels.STACK: stack, labels.KIND: kind, labels.OWNER: owner, labels.RUN: run}
    return {**own, **{getattr(labels, key): value for key, value in more.items()}}


class House:
    """A fake engine that is filled with few words, and says by name what is left."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.count = 0

    def container(self, name: str, marks: dict[str, str], *, running: bool = True) -> None:
        made = self.engine.create_container(ContainerSpec(name, IMAGE, marks))
        if running:
            self.engine.start(made)

    def network(self, name: str, marks: dict[str, str]) -> None:
        self.count += 1
        self.engine.create_network(NetworkSpec(name, marks, f"10.213.{self.count}.0/28"))

    def volume(self, name: str, marks: dict[str, str]) -> None:
        self.engine.create_volume(name, marks)

    def stack(self, stack: str, *, whole: bool = False, **more: str) -> None:
        marks = marked(stack, **more)  # type: ignore[arg-type]
        self.container(f"{stack}-c", marks)
        self.network(f"{stack}-n", marks)
        self.volume(f"{stack}-d", {**marks, labels.PART: "data"})
        if whole:
            self.volume(f"{stack}-w", {**marks, labels.PART: "whole"})

    def left(self) -> set[str]:
        kinds: tuple[Kind, ...] = ("container", "network", "volume")
        return {found.name for kind in kinds for found in self.engine.find(kind, {})}


@pytest.fixture
def house() -> House:
    return House()


def test_check_of_a_dead_owner_goes_with_everything(house: House) -> None:
    house.stack("a", kind="check")
    house.stack("b", kind="check", owner="alive")
    house.stack("c", kind="check", owner="elsewhere")
    removed = sweep(house.engine, dead=dead)
    assert {found.name for found in removed} == {"a-c", "a-n", "a-d"}
    assert house.left() == {"b-c", "b-n", "b-d", "c-c", "c-n", "c-d"}
    assert [found.kind for found in removed] == ["container", "network", "volume"]


def test_check_past_its_time_goes_wherever_its_owner_is(house: House) -> None:
    house.stack("a", kind="check", owner="elsewhere", EXPIRES="1000")
    house.stack("b", kind="probe", owner="alive", EXPIRES="1000")
    house.stack("c", kind="probe", owner="alive", EXPIRES="2000")
    house.stack("d", kind="playground", owner="alive", EXPIRES="1000")
    sweep(house.engine, dead=dead, now=1500)
    assert house.left() == {"c-c", "c-n", "c-d", "d-c", "d-n", "d-d"}


def test_whole_playground_outlives_its_command(house: House) -> None:
    house.stack("a", whole=True)
    assert sweep(house.engine, dead=dead) == ()
    assert house.left() == {"a-c", "a-n", "a-d", "a-w"}


def test_half_made_playground_loses_what_the_dead_run_made(house: House) -> None:
    house.stack("a", run="r1")
    house.volume("a-older", marked("a", run="r0", owner="alive", PART="data"))
    sweep(house.engine, dead=dead)
    assert house.left() == {"a-older"}


def test_half_made_playground_of_a_living_command_stays(house: House) -> None:
    house.stack("a", owner="alive")
    assert sweep(house.engine, dead=dead) == ()


def test_stop_that_died_is_finished_and_keeps_the_data(house: House) -> None:
    house.stack("a", whole=True)
    house.volume("a-s", marked("a", run="r2", PART="stopping"))
    removed = sweep(house.engine, dead=dead)
    assert house.left() == {"a-d", "a-w"}
    assert removed[-1].name == "a-s"


def test_stop_that_still_runs_is_left_alone(house: House) -> None:
    house.stack("a", whole=True)
    house.volume("a-s", marked("a", run="r2", owner="alive", PART="stopping"))
    assert sweep(house.engine, dead=dead) == ()


def test_one_run_only(house: House) -> None:
    house.stack("a", kind="check", run="r1")
    house.stack("b", kind="check", run="r2")
    sweep(house.engine, run="r2", dead=dead)
    assert house.left() == {"a-c", "a-n", "a-d"}


def test_run_of_a_stop_takes_the_stack_of_an_older_run(house: House) -> None:
    house.stack("a", whole=True, run="r1")
    house.volume("a-s", marked("a", run="r2", PART="stopping"))
    sweep(house.engine, run="r3", dead=dead)
    assert "a-c" in house.left()
    sweep(house.engine, run="r2", dead=dead)
    assert house.left() == {"a-d", "a-w"}


def test_what_is_not_ours_is_never_seen(house: House) -> None:
    house.container("foreign", {"com.example": "x", labels.OWNER: "dead", labels.KIND: "check"})
    house.volume("odd", {labels.STACK: "z"})
    assert sweep(house.engine, dead=dead) == ()


def test_marker_that_comes_while_the_owner_dies_saves_the_playground(house: House) -> None:
    house.stack("a")

    def dies_after_its_last_call(label: str) -> bool | None:
        house.volume("a-w", marked("a", PART="whole"))
        return True

    assert find_dead(house.engine, dead=dies_after_its_last_call) == ()


def test_remove_stack_keeps_what_a_stop_keeps(house: House) -> None:
    house.stack("a", whole=True)
    house.stack("b", whole=True)
    remove_stack(house.engine, "a")
    assert house.left() == {"a-d", "a-w", "b-c", "b-n", "b-d", "b-w"}
    removed = remove_stack(house.engine, "b", keep=())
    assert (
        removed[0].name == "b-w"
    )  # from here on a killed removal leaves a half-made playground, not a whole one
    assert house.left() == {"a-d", "a-w"}


def test_remove_all_goes_by_labels_and_never_beyond_ours(house: House) -> None:
    house.stack("a", whole=True, WORKSPACE="w1")
    house.stack("b", whole=True, WORKSPACE="w2")
    house.container("foreign", {"com.example": "x"})
    remove_all(house.engine, {labels.WORKSPACE: "w1"})
    assert house.left() == {"b-c", "b-n", "b-d", "b-w", "foreign"}
    remove_all(house.engine, {})
    assert house.left() == {"foreign"}


def test_what_resists_is_said_and_does_not_stop_the_rest(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.stack("a", kind="check")
    house.container("a-c2", marked("a", kind="check"))
    remove, lock = house.engine.remove, threading.Lock()

    def stubborn(kind: Kind, ref: str, *, patient: bool = True) -> None:
        with lock:
            if kind == "container" and house.engine.inspect(ref).name == "a-c":
                raise EngineRefused("device or resource busy")
            remove(kind, ref, patient=patient)

    monkeypatch.setattr(house.engine, "remove", stubborn)
    assert {found.name for found in sweep(house.engine, dead=dead)} == {"a-c2", "a-n", "a-d"}
    with pytest.raises(EngineRefused, match="busy"):
        remove_stack(house.engine, "a")


def test_what_fails_once_is_asked_for_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.stack("a", whole=True)
    remove, find = house.engine.remove, house.engine.find
    failing = iter([True, False, False, True])

    def sometimes(kind: Kind, ref: str, *, patient: bool = True) -> None:
        if kind == "container" and next(failing, False):
            raise EngineUnavailable("the connection broke")
        remove(kind, ref, patient=patient)

    deaf = iter([True])

    def look(kind: Kind, wanted: dict[str, str]) -> tuple[Found, ...]:
        if next(deaf, False):
            raise EngineRefused("too slow")
        return find(kind, wanted)

    monkeypatch.setattr(house.engine, "remove", sometimes)
    monkeypatch.setattr(house.engine, "find", look)
    remove_stack(house.engine, "a", keep=())
    assert house.left() == set()


def test_stop_that_meets_resistance_is_not_over(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.stack("a", whole=True)
    house.volume("a-s", marked("a", PART="stopping"))

    def never(kind: Kind, ref: str, *, patient: bool = True) -> None:
        raise EngineRefused("no")

    monkeypatch.setattr(house.engine, "remove", never)
    with pytest.raises(EngineRefused):
        remove_stack(house.engine, "a")
    assert "a-s" in house.left()


def test_a_check_that_was_kept_for_a_look_outlives_its_command_until_its_time_is_over() -> None:
    house = House()
    house.stack("kept", kind="check", whole=True, EXPIRES="1000")
    house.stack("dead", kind="check", EXPIRES="1000")
    sweep(house.engine, dead=dead, now=999)
    assert house.left() == {"kept-c", "kept-n", "kept-d", "kept-w"}
    sweep(house.engine, dead=dead, now=1001)
    assert house.left() == set()
