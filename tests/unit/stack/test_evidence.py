"""Why a role is silent: exit codes, memory, and where it listens instead."""

from __future__ import annotations

import dataclasses

import pytest

from roadmap_labs.engine.protocol import ContainerState, Limits
from roadmap_labs.stack import evidence
from roadmap_labs.stack.evidence import Listener

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10001        0 1 1
   1: 0B00007F:A3C1 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0500D50A:1F90 0200D50A:C350 01 00000000:00000000 00:00000000 00000000 10001        0 3 1
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 0 0 0
"""


def _state(**changes: object) -> ContainerState:
    state = ContainerState(
        id="x", name="x", image="x", labels={}, status="exited", exit_code=0, out_of_memory=False, started_at="",
        finished_at="", pid=0, addresses={}, published={}, error="",
    )  # fmt: skip
    return dataclasses.replace(state, **changes)  # type: ignore[arg-type]


def test_listening_sockets_are_read_from_the_kernels_table() -> None:
    assert evidence.listeners(TABLE) == (
        Listener("127.0.0.1", 8080),
        Listener("127.0.0.11", 41921),
        Listener("::", 8081),
    )


def test_a_server_on_loopback_is_told_where_it_listens() -> None:
    broke = evidence.nothing_listens("shop-1", 8000, evidence.listeners(TABLE))
    assert broke.code == "L-PORT"
    assert broke.observed == "it listens on 127.0.0.1:8080, :::8081"
    assert "127.0.0.11" not in broke.observed


def test_no_socket_at_all() -> None:
    assert evidence.nothing_listens("shop-1", 8000, ()).observed == "no listening socket at all"


def test_the_right_port_that_says_nothing_is_a_matter_of_time() -> None:
    assert evidence.nothing_listens("shop-1", 8000, (Listener("0.0.0.0", 8000),)).code == "L-TIME"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"exit_code": 0}, "L-EXIT", "exited with code 0"),
        ({"exit_code": 3}, "L-EXIT", "exited with code 3"),
        ({"exit_code": 139}, "L-EXIT", "ended by signal 11"),
        ({"exit_code": 137, "out_of_memory": True}, "L-OOM", "memory limit 256 MiB exceeded"),
    ],
)
def test_an_end_is_named(changes: dict[str, object], code: str, words: str) -> None:
    broke = evidence.ended("shop-1", _state(**changes), Limits(), ("boom",), "before it was ready")
    assert broke is not None
    assert broke.code == code
    assert words in broke.message
    assert broke.observed == "boom"


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "L-DISK", "64m in /tmp"),
        ("Error: ENOSPC: no space left on device, write", "L-DISK", "16k files"),
        ("accept4: too many open files", "L-EXIT", "1024 open files"),
        ("RuntimeError: can't start new thread", "L-PIDS", "128 processes and threads"),
        ("sh: 1: Cannot fork: Resource temporarily unavailable", "L-PIDS", "128 processes and threads"),
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable", "L-EXIT", "exited with code 1"),
    ],
)
def test_a_limit_that_a_program_died_of_is_named(line: str, code: str, words: str) -> None:
    state = _state(exit_code=1)
    broke = evidence.ended("shop-1", state, Limits(), (line,), "during this check", {"/tmp": "64m"})
    assert broke is not None
    assert broke.code == code
    assert words in broke.message


def test_as_many_processes_as_may_be_explain_silence() -> None:
    broke = evidence.crowded("shop-1", 128, Limits())
    assert broke is not None
    assert (broke.code, "at most 128" in broke.expected) == ("L-PIDS", True)
    assert evidence.crowded("shop-1", 127, Limits()) is None


def test_a_running_role_has_not_ended() -> None:
    assert evidence.ended("shop-1", _state(status="running"), Limits(), (), "") is None


def test_learner_text_is_made_safe() -> None:
    assert evidence.clean("a\x1b[31mb\tc") == "a\ufffd[31mb c"
    assert len(evidence.clean("x" * 1000)) == 301
