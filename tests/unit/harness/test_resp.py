"""What a Redis server says, and whose fault it is, from a server of paper."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from roadmap_labs.harness.resp import Line, Refused
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke

Serve = Callable[[bytes], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answer whoever connects with these bytes, then close; gives the port."""
    made: list[tuple[socket.socket, threading.Thread]] = []

    def serving(answer: bytes) -> int:
        server = socket.create_server(("127.0.0.1", 0))

        def once() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

        thread = threading.Thread(target=once)
        thread.start()
        made.append((server, thread))
        return int(server.getsockname()[1])

    yield serving
    for server, thread in made:
        thread.join()
        server.close()


@pytest.mark.parametrize(
    "words", ["BUSY Redis is busy running a script.", "ERR max number of clients reached"]
)
def test_a_server_that_somebody_took_is_the_learners_doing(serve: Serve, words: str) -> None:
    line = Line("redis", "127.0.0.1", serve(f"-{words}\r\n".encode()))
    with pytest.raises(LearnerBroke) as ended:
        line.ask("GET", "a")
    assert ended.value.code == "L-SVC"
    assert words in ended.value.observed


def test_all_replies_are_read_before_one_of_them_speaks(serve: Serve) -> None:
    line = Line("redis", "127.0.0.1", serve(b"-BUSY a script\r\n:7\r\n+later\r\n"))
    with pytest.raises(LearnerBroke):
        line.ask_all([("GET", "a"), ("INCR", "b")])
    assert line._rest == b"+later\r\n"


def test_any_other_refusal_is_the_callers_business(serve: Serve) -> None:
    line = Line("redis", "127.0.0.1", serve(b"-WRONGTYPE a list\r\n"))
    with pytest.raises(Refused):
        line.ask("GET", "a")


def test_silence_is_ours(serve: Serve) -> None:
    line = Line("redis", "127.0.0.1", serve(b"+half a line"))
    with pytest.raises(LabFault):
        line.ask("PING")
