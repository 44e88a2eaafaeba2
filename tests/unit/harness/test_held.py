"""Crowds that are kept waiting, gates on paper, and words that disturb: each proves itself before it counts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from roadmap_labs.harness import held
from roadmap_labs.harness.disturbing import Disturber, answers
from roadmap_labs.harness.gates import GateWords, closed
from roadmap_labs.harness.service import Service
from roadmap_labs.harness.verdicts import LabFault

WORDS = GateWords(close="close :id :mode", open="open :id", waiters="waiters :id", pass_through="pass :id")


class PaperServer:
    """A PostgreSQL that only remembers what it was told; every connection tells the same list."""

    role = "toy"

    def __init__(self, *, refuses: str = "55P03", told: list[str] | None = None) -> None:
        self.told: list[str] = [] if told is None else told
        self.refuses = refuses
        self.waiting: list[list[Any]] = []

    def another(self) -> PaperServer:
        return PaperServer(refuses=self.refuses, told=self.told)

    def rows(self, sql: str, **parameters: Any) -> list[list[Any]]:
        self.told.append(" ".join([sql.split(" ")[0], *map(str, parameters.values())]))
        if sql.startswith("select pg_terminate"):
            self.waiting = [row for row in self.waiting if row[0] != parameters["pid"]]
        return self.waiting if sql.startswith("waiters") else []

    def refusal(self, sql: str, **parameters: Any) -> str:
        return self.refuses

    def close(self) -> None:
        self.told.append("closed")

    def __enter__(self) -> PaperServer:
        return self

    def __exit__(self, *_ended: object) -> None:
        self.close()


def test_held_calls_go_on_while_the_check_does() -> None:
    door = threading.Event()

    def wait(value: int) -> int:
        door.wait(10)
        if value == 3:
            raise ValueError("three")
        return value

    crowd = held([lambda value=value: wait(value) for value in (1, 2, 3)])  # type: ignore[misc]
    assert crowd.ended == 0
    assert all(isinstance(result, TimeoutError) for result in crowd.results(0.01))
    door.set()
    first, second, third = crowd.results(10)
    assert (first, second) == (1, 2)
    assert isinstance(third, ValueError)
    assert crowd.ended == 3


def test_held_knows_an_answer_that_is_none_from_no_answer() -> None:
    crowd = held([lambda: None])
    assert crowd.results(10) == [None]
    assert crowd.ended == 1


def test_a_gate_is_opened_once_and_its_session_let_go_whatever_happens() -> None:
    server = PaperServer()
    with pytest.raises(RuntimeError), closed(server, WORDS, id=7, mode="wait"):  # type: ignore[arg-type]
        raise RuntimeError
    assert server.told == ["close 7 wait", "set", "closed", "open 7", "closed"]


def test_a_gate_that_lets_somebody_pass_is_our_fault() -> None:
    server = PaperServer(refuses="")
    with pytest.raises(LabFault, match="passes"), closed(server, WORDS, id=7, mode="wait"):  # type: ignore[arg-type]
        pytest.fail("the block must not be entered")
    assert server.told[-2:] == ["open 7", "closed"]


def test_a_gate_tells_the_program_from_the_checks_and_counts_the_most() -> None:
    server = PaperServer()
    server.waiting = [[1, "10.0.0.5", "toy"], [2, "", "checker"], [3, "10.0.0.6", "toy"]]
    with closed(server, WORDS, id=7, mode="wait") as gate:  # type: ignore[arg-type]
        assert [one.pid for one in gate.waiters()] == [1, 3]
        assert [one.address for one in gate.held(2, 5)] == ["10.0.0.5", "10.0.0.6"]
        assert len(gate.held(3, 0.02)) == 2
        assert gate.most(5, enough=2) == 2
        gate.end_sessions(gate.waiters()[:1])
        assert [one.pid for one in gate.waiters()] == [3]


class PaperChannel:
    """Answers `state` and `disturb` with what the test wants the engine to show."""

    def __init__(self, **state: Any) -> None:
        self.state = {"status": "running", "networks": 1, "started_at": "1", **state}
        self.asked: list[str] = []

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        self.asked.append(str(arguments.get("how", verb)))
        return dict(self.state)


@pytest.fixture
def server() -> Iterator[Service]:
    """Something that says one byte to everybody who speaks."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line:
                line.recv(100)
                line.sendall(b"+")

    threading.Thread(target=serve, daemon=True).start()
    yield Service("redis", "127.0.0.1", listener.getsockname()[1], 0, {}, "", "", "redis")
    listener.close()


def _disturber(channel: PaperChannel, service: Service | None, lost: list[str]) -> Disturber:
    return Disturber(channel, lambda name: service if name == "redis" else None, lost.append)  # type: ignore[arg-type]


def test_a_pause_that_the_engine_does_not_show_is_our_fault() -> None:
    with pytest.raises(LabFault, match="effect of 'pause'"):
        _disturber(PaperChannel(), None, []).pause("redis")


def test_a_pause_after_which_it_still_answers_is_our_fault(server: Service) -> None:
    with pytest.raises(LabFault, match="still answers"):
        _disturber(PaperChannel(status="paused"), server, []).pause("redis")


def test_what_did_not_answer_before_can_not_be_disturbed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        one = Service("redis", "127.0.0.1", silent.getsockname()[1], 0, {}, "", "", "redis")
        assert not answers(one, 0.05)


def test_a_block_that_ends_badly_leaves_the_undoing_to_the_orchestrator() -> None:
    channel, lost = PaperChannel(status="exited"), list[str]()
    with pytest.raises(RuntimeError), _disturber(channel, None, lost).stopped("toy-1"):
        raise RuntimeError
    assert channel.asked == ["stop"]
    assert lost == ["toy-1", "toy-1"]


def test_a_kill_waits_for_the_end_and_a_signal_does_not() -> None:
    channel = PaperChannel(status="exited")
    one = _disturber(channel, None, [])
    one.kill("toy-1")
    one.signal("toy-1", "SIGTERM")
    assert channel.asked == ["kill", "state", "signal"]
