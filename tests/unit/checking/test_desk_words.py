"""What the desk answers to each word of a check, on a stack made of paper."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from roadmap_labs.checking.desk import Desk, Refusal
from roadmap_labs.content.submission import submission_of
from roadmap_labs.engine.protocol import ExecResult
from roadmap_labs.files import File
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.network import Door
from roadmap_labs.stack.running import Replica


class Paper:
    """A stack with one service, a role in an image of ours (`node`) and one that may have its own (`app`)."""

    def __init__(self) -> None:
        self.roles: Mapping[str, Any] = {
            "node": SimpleNamespace(role=SimpleNamespace(ports={"admin": 9001}, runs_in="pg")),
            "app": SimpleNamespace(role=SimpleNamespace(ports={}, runs_in=None)),
        }
        self.replicas = {"node-1": object(), "app-1": object()}
        self.containers = {"db": "d", "node-1": "n", "app-1": "a"}
        self.doors = {"node-1:admin": Door("127.0.0.1", 7)}
        self.services = (
            SimpleNamespace(
                name="db",
                settings={"database": "lab"},
                manifest=SimpleNamespace(port=5432),
                url=lambda host, port, settings: f"{host}:{port}/{settings['database']}",
            ),
        )
        self.plans = SimpleNamespace(secrets={"replication": "s3cret"})
        self.submission = submission_of([File("schema.sql", b"select 1;")])
        self.engine = SimpleNamespace(run_inside=self._inside)
        self.commands: list[tuple[str, ...]] = []
        self.code = 0
        self.rewritten: list[tuple[str, bytes | None]] = []
        self.broke = False
        self.crowded: dict[str, RoleBroke] = {}
        self.ended: dict[str, RoleBroke] = {}
        self.raised: list[bool] = []

    def _inside(self, container: str, command: tuple[str, ...], *, seconds: float) -> ExecResult:
        self.commands.append((container, *command))
        return ExecResult(self.code, b"done")

    def role(
        self, name: str, count: int, environment: Mapping[str, str], *, fresh: bool
    ) -> tuple[Replica, ...]:
        self.raised.append(fresh)
        if self.broke:
            raise RoleBroke("L-EXIT", f"{name} exited.")
        return (Replica(f"{name}-1", "n", Door("127.0.0.1", 5), "10.0.0.9", environment),)

    def once(
        self, role: str, command: tuple[str, ...], environment: Mapping[str, str], seconds: float
    ) -> Any:
        self.commands.append((role, *command))
        return (None if self.code else 0), b"said"

    def crowded_roles(self) -> dict[str, RoleBroke]:
        return self.crowded

    def ended_roles(self) -> dict[str, RoleBroke]:
        return self.ended

    def drop(self, name: str) -> None:
        self.replicas.pop(name)
        self.containers.pop(name)

    def rewrite(self, path: str, content: bytes | None) -> None:
        self.rewritten.append((path, content))


@pytest.fixture
def paper() -> Paper:
    return Paper()


@pytest.fixture
def desk(paper: Paper) -> Desk:
    raised: Future[Any] = Future()
    raised.set_result(paper)
    return Desk(raised)


def test_further_ports_are_told(desk: Desk) -> None:
    (replica,) = desk.serve("run", {"role": "node"})["replicas"]  # type: ignore[misc]
    assert replica["ports"] == {"admin": {"host": "127.0.0.1", "port": 7}}  # type: ignore[index]


def test_fresh_comes_through(desk: Desk, paper: Paper) -> None:
    desk.serve("run", {"role": "node"})
    desk.serve("run", {"role": "node", "fresh": True})
    assert paper.raised == [False, True]


def test_a_role_that_never_came_up_is_waited_for_twice_at_most(desk: Desk, paper: Paper) -> None:
    paper.broke = True
    for number in range(5):
        with pytest.raises(Refusal):
            desk.serve("run", {"role": "app", "environment": {"N": str(number)}})
    assert len(paper.raised) == 2


def test_a_role_that_was_up_once_is_tried_with_each_new_variable(desk: Desk, paper: Paper) -> None:
    desk.serve("run", {"role": "app"})
    paper.broke = True
    for number in range(5):
        with pytest.raises(Refusal):
            desk.serve("run", {"role": "app", "environment": {"N": str(number)}})
    assert len(paper.raised) == 6


def test_an_address_with_other_settings(desk: Desk) -> None:
    found = desk.serve("address", {"service": "db", "settings": {"database": "x1"}})
    assert found == {"address": "db:5432/x1"}
    with pytest.raises(Refusal, match="no setting"):
        desk.serve("address", {"service": "db", "settings": {"databse": "x1"}})


def test_secrets_and_files(desk: Desk) -> None:
    assert desk.serve("secret", {"name": "replication"}) == {"secret": "s3cret"}
    content = desk.serve("submitted", {"path": "schema.sql"})["content"]
    assert base64.b64decode(str(content)) == b"select 1;"
    assert desk.serve("submitted", {"path": "other.sql"}) == {"content": None}


def test_a_command_inside_has_a_limit_of_its_own(desk: Desk, paper: Paper) -> None:
    found = desk.serve("inside", {"name": "node-1", "command": ["ops/promote.sh"], "within": 5})
    assert (found["exit_code"], base64.b64decode(str(found["output"]))) == (0, b"done")
    assert paper.commands == [("n", "timeout", "-k", "1", "5.0", "ops/promote.sh")]
    paper.code = 124
    assert desk.serve("inside", {"name": "node-1", "command": ["x"], "within": 5})["exit_code"] is None


def test_a_command_that_finds_no_room_for_its_process_is_the_learners_fault(desk: Desk, paper: Paper) -> None:
    paper.code = 125
    assert desk.serve("inside", {"name": "node-1", "command": ["x"], "within": 5})["exit_code"] == 125
    paper.crowded = {"node-1": RoleBroke("L-PIDS", "node-1 runs 64 processes and threads.")}
    with pytest.raises(Refusal) as refusal:
        desk.serve("inside", {"name": "node-1", "command": ["x"], "within": 5})
    assert refusal.value.error["code"] == "L-PIDS"


def test_a_command_whose_container_ended_under_it_is_told_that_end(desk: Desk, paper: Paper) -> None:
    paper.code = 137
    assert desk.serve("inside", {"name": "node-1", "command": ["x"], "within": 5})["exit_code"] is None
    paper.ended = {"node-1": RoleBroke("L-EXIT", "node-1 ended during this check.")}
    with pytest.raises(Refusal) as refusal:
        desk.serve("inside", {"name": "node-1", "command": ["x"], "within": 5})
    assert refusal.value.error["code"] == "L-EXIT"


def test_nothing_is_run_inside_an_image_that_may_be_the_learners(desk: Desk) -> None:
    with pytest.raises(Refusal, match="learner's own") as refusal:
        desk.serve("inside", {"name": "app-1", "command": ["id"], "within": 5})
    assert refusal.value.error["code"] == "I-CHECKER"


def test_a_command_of_its_own(desk: Desk, paper: Paper) -> None:
    found = desk.serve("once", {"role": "app", "command": ["ops/replay"], "within": 5})
    assert (found["exit_code"], base64.b64decode(str(found["output"]))) == (0, b"said")


def test_dropped_replicas_are_gone(desk: Desk, paper: Paper) -> None:
    assert desk.serve("drop", {"role": "app"}) == {"dropped": ["app-1"]}
    assert "app-1" not in paper.replicas
    assert desk.serve("drop", {"role": "db"}) == {"dropped": []}, "a server is no role"


def test_what_a_check_rewrote_is_put_back_after_it(desk: Desk, paper: Paper) -> None:
    desk.serve("rewrite", {"path": "pool.conf", "content": base64.b64encode(b"x").decode()})
    desk.put_right("t1_a")
    desk.put_right("t1_b")
    assert paper.rewritten == [("pool.conf", b"x"), ("pool.conf", None)]


@pytest.mark.parametrize("verb", ["rewrite", "drop", "inside", "once"])
def test_a_check_that_is_over_changes_nothing(desk: Desk, verb: str) -> None:
    turn = desk.turn
    desk.put_right("t1_a")
    with pytest.raises(Refusal, match="is over"):
        desk.serve(verb, {}, turn)
