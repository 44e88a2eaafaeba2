"""PostgreSQL in a role's container: whose fault a refusal is, and how a refused login is told."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from roadmap_labs.harness.postgres import Postgres, login
from roadmap_labs.harness.service import Service
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke
from roadmap_labs.stack.ready import role_answers

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
WRONG_PASSWORD = b"SFATAL\0C28P01\0Mpassword authentication failed\0\0"


@contextmanager
def server(answer: bytes) -> Iterator[int]:
    """Says one thing to whoever begins to log in, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            while True:
                try:
                    line, _ = door.accept()
                except OSError:
                    return
                with line:
                    if line.recv(4096) == SSL_REQUEST:
                        line.sendall(b"N")
                        line.recv(4096)
                    line.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


def refusal() -> bytes:
    return b"E" + struct.pack("!i", len(WRONG_PASSWORD) + 4) + WRONG_PASSWORD


def where(port: int) -> Service:
    return Service(
        "pg-1", "127.0.0.1", port, 0, {"database": "shop", "user": "app"}, "observer", "x", speaks="postgres"
    )


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def test_a_refused_login_is_its_sqlstate() -> None:
    with server(refusal()) as port:
        assert login("127.0.0.1", port, "app", "wrong", "shop") == "28P01"


def test_a_login_where_nobody_speaks_the_protocol_is_a_question_mark() -> None:
    assert login("127.0.0.1", closed_port(), "app", "x", "shop") == "?"
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert login("127.0.0.1", port, "app", "x", "shop", within=1) == "?"


def test_the_learners_server_is_the_learners_fault() -> None:
    with pytest.raises(LearnerBroke) as broke:
        Postgres(where(closed_port()), learners=True).value("select 1")
    assert broke.value.code == "L-SVC"
    assert "pg-1" in broke.value.message


def test_what_the_learners_server_said_is_told() -> None:
    with server(refusal()) as port, pytest.raises(LearnerBroke) as broke:
        Postgres(where(port), learners=True).value("select 1")
    assert broke.value.observed == "password authentication failed"


def test_our_own_server_is_our_fault() -> None:
    with pytest.raises(LabFault):
        Postgres(where(closed_port())).value("select 1")


def test_another_connection_keeps_whose_server_it_is() -> None:
    assert Postgres(where(1), learners=True).another().learners


def test_a_role_that_is_started_is_waited_for_by_nobody() -> None:
    assert role_answers("started", "127.0.0.1", closed_port())
