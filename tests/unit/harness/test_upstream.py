"""The upstream simulator as a process, steered with the harness's words: each fault, gates, log and counts."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Request, TextMessage

from roadmap_labs.harness import LabFault, LearnerBroke, http, waiting
from roadmap_labs.harness.admin import Admin
from roadmap_labs.harness.crowd import held
from roadmap_labs.harness.upstream import Upstream

SIMULATOR = Path(__file__).parents[3] / "services" / "upstream-sim" / "image"
SEED = [{"path": "/fares/{route}", "where": {"route": "[A-Z]{3}"}, "json": {"route": "{{param:route}}"}}]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def doors() -> Iterator[tuple[int, int]]:
    data, admin = free_port(), free_port()
    environment = {
        **os.environ, "SIM_PORT": str(data), "SIM_ADMIN_PORT": str(admin), "SIM_TOKEN": "secret",
        "SIM_ROUTES": json.dumps(SEED), "SIM_NAME": "fares", "PYTHONPATH": str(SIMULATOR),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    with subprocess.Popen([sys.executable, "-m", "simulator"], env=environment) as process:
        waiting.settle(lambda: _answers(admin), 20, "the simulator listens")
        yield data, admin
        process.terminate()
        assert process.wait(10) == 0


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def fares(doors: tuple[int, int]) -> Upstream:
    found = Upstream(Admin("fares", "127.0.0.1", doors[1], "secret"))
    found.reset()
    return found


@pytest.fixture
def port(doors: tuple[int, int]) -> int:
    return doors[0]


def get(port: int, path: str, within: float = 5, **more: object) -> http.Reply:
    return http.request("fares", "127.0.0.1", port, "GET", path, within=within, **more)  # type: ignore[arg-type]


def test_the_seed_answers_and_comes_back_with_a_reset(fares: Upstream, port: int) -> None:
    assert get(port, "/fares/ABC").json == {"route": "ABC"}
    assert get(port, "/fares/abc").status == 404
    fares.route("/fares/ABC", status=500)
    assert get(port, "/fares/ABC").status == 500
    fares.reset()
    assert get(port, "/fares/ABC").status == 200


def test_routes_are_asked_newest_first_and_end_by_count(fares: Upstream, port: int) -> None:
    fares.route("/*", body="all {{method}} {{target}}")
    number = fares.route("/x/*", status=503, headers={"Retry-After": "2"}, times=2)
    assert [get(port, "/x/1").status for _ in range(3)] == [503, 503, 200]
    assert get(port, "/x/1?a=b").body == b"all GET /x/1?a=b"
    fares.forget(number)
    fares.route("/e/{one}", status=500, times_each=1)
    assert [get(port, path).status for path in ("/e/1", "/e/2", "/e/1", "/e/2")] == [500, 500, 200, 200]


def test_answers_are_filled_from_the_request(fares: Upstream, port: int) -> None:
    fares.route(
        "/bookings",
        method="POST",
        status=201,
        json={
            "id": "{{field:id}}",
            "mark": "{{digest:header:Idempotency-Key}}",
            "n": "{{number:5:7:field:id}}",
        },
    )

    def book(key: str) -> dict[str, object]:
        found = http.request(
            "fares", "127.0.0.1", port, "POST", "/bookings", headers={"Idempotency-Key": key},
            body=http.encode({"id": "b1"}),
        ).json  # fmt: skip
        assert isinstance(found, dict)
        return found

    first, again, other = book("k1"), book("k1"), book("k2")
    assert first == again
    assert first["mark"] != other["mark"]
    assert first["id"] == "b1"
    assert first["n"] in (5, 6, 7)
    seen = fares.requests("/bookings")
    assert [one.header("idempotency-key") for one in seen] == ["k1", "k1", "k2"]
    assert json.loads(seen[0].body) == {"id": "b1"}


@pytest.mark.parametrize(
    ("fault", "code"),
    [("hang", "L-TIME"), ("trickle", "L-TIME"), ("close", "L-PORT"), ("reset", "L-PORT"), ("cut", "L-HTTP"),
     ("garbage", "L-HTTP")],
)  # fmt: skip
def test_each_fault_is_felt_and_ends(fares: Upstream, port: int, fault: str, code: str) -> None:
    fares.route("/f", fault=fault, json={"a": "long enough to be cut"}, every=0.05)
    if code == "L-HTTP" and fault == "garbage":
        with socket.create_connection(("127.0.0.1", port), 5) as line:
            line.sendall(b"GET /f HTTP/1.1\r\nHost: x\r\n\r\n")
            assert not line.recv(100).startswith(b"HTTP")
    else:
        with pytest.raises(LearnerBroke) as broke:
            get(port, "/f", within=0.4)
        # A declared length that no client of ours accepts is another way to say that it would never end.
        assert broke.value.code == ("L-HTTP" if fault == "trickle" else code)
    waiting.settle(lambda: fares.in_progress("/f") == 0, 5, "nothing is in progress")
    (one,) = fares.requests("/f")
    assert one.outcome == ("went away" if fault in ("hang", "trickle") else "cut")


def test_a_gate_holds_counts_and_lets_go(fares: Upstream, port: int) -> None:
    mark = fares.mark()
    with fares.closed("/fares/*") as gate:
        crowd = held([lambda: get(port, "/fares/ABC") for _ in range(5)])
        gate.held(5)
        assert gate.steady() == 5
        assert gate.let(2) == 2
        waiting.settle(lambda: crowd.ended == 2, 5, "two are through")
        with socket.create_connection(("127.0.0.1", port), 5) as line:
            line.sendall(b"GET /fares/XYZ HTTP/1.1\r\nHost: x\r\n\r\n")
            gate.held(4)
            assert gate.targets()[-1] == "/fares/XYZ"
        waiting.settle(lambda: gate.waiting() == 3, 5, "who left waits no longer")
        fares.route("/fares/*", status=500)  # what they get is decided when they are let through
        assert gate.open() == 3
        replies = crowd.results(5)
    assert sorted(one.status for one in replies if isinstance(one, http.Reply)) == [200, 200, 500, 500, 500]
    assert (fares.count("/fares/", since=mark), fares.highest("/fares/", since=mark)) == (6, 5)


def test_refusing_is_a_refused_connection(fares: Upstream, port: int) -> None:
    with fares.refusing(), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 2)
    assert get(port, "/fares/ABC").status == 200


def test_connections_are_told_apart_and_stay_open(fares: Upstream, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        for _ in range(3):
            line.sendall(b"GET /fares/ABC HTTP/1.1\r\nHost: x\r\n\r\n")
            assert line.recv(1000).startswith(b"HTTP/1.1 200")
    get(port, "/fares/ABC")
    assert fares.connections("/fares/ABC") == 2


def test_bodies_are_read_to_the_end_whatever_their_form(fares: Upstream, port: int) -> None:
    fares.route("/up", json={"digest": "{{body_digest}}"})
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.sendall(
            b"POST /up HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        assert line.recv(1000).startswith(b"HTTP/1.1 100")
        line.sendall(b"5\r\nhello\r\n")
        assert fares.count("/up") == 0
        line.sendall(b"1\r\n!\r\n0\r\n\r\n")
        assert b"200 OK" in line.recv(1000)
    (one,) = fares.requests("/up")
    assert (one.body, one.body_length) == ("hello!", 6)


def test_a_slow_reader_is_felt(fares: Upstream, port: int) -> None:
    fares.route("/big", body_size=50_000_000)
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        line.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        (one,) = fares.requests("/big")
        assert one.ended is None
        assert one.sent < 10_000_000
    waiting.settle(lambda: fares.requests("/big")[0].outcome == "went away", 5, "its end is seen")


def test_events_are_pushed_and_ended(fares: Upstream, port: int) -> None:
    fares.route("/events", events=["one"])
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.sendall(b"GET /events HTTP/1.0\r\nHost: x\r\n\r\n")
        seen = b""
        while b"data: one\n\n" not in seen:
            seen += line.recv(1000)
        assert fares.push("two") == 1
        assert line.recv(1000) == b"data: two\n\n"
        assert fares.end_streams() == 1
        assert line.recv(1000) == b""


def test_a_websocket_echoes_and_takes_pushes(fares: Upstream, port: int) -> None:
    fares.route("/ws", websocket=True)
    wire = WSConnection(ConnectionType.CLIENT)
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.sendall(wire.send(Request(host="x", target="/ws")))
        assert isinstance(_next(wire, line), AcceptConnection)
        line.sendall(wire.send(TextMessage(data="hällo" * 1000)))
        assert _text(wire, line, 6000 - 1000) == "hällo" * 1000
        line.sendall(wire.send(BytesMessage(data=b"\x00\xff")))
        assert isinstance(_next(wire, line), BytesMessage)
        assert fares.push("news") == 1
        assert _text(wire, line, 4) == "news"
        line.sendall(wire.send(CloseConnection(code=1000)))
        assert isinstance(_next(wire, line), CloseConnection)


def _next(wire: WSConnection, line: socket.socket) -> Event:
    while True:
        for event in wire.events():
            return event
        wire.receive_data(line.recv(65536))


def _text(wire: WSConnection, line: socket.socket, length: int) -> str:
    found = ""
    while len(found) < length:
        event = _next(wire, line)
        assert isinstance(event, TextMessage)
        found += event.data
    return found


def test_a_client_that_resets_is_gone_and_nothing_breaks(fares: Upstream, port: int) -> None:
    with fares.closed("/fares/*") as gate:
        with socket.create_connection(("127.0.0.1", port), 5) as line:
            line.sendall(b"GET /fares/ABC HTTP/1.1\r\nHost: x\r\n\r\n")
            gate.held(1)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        waiting.settle(lambda: gate.waiting() == 0, 5, "it waits no longer")
    assert fares.requests("/fares/")[-1].outcome == "went away"


def test_the_admin_side_wants_its_token_and_names_what_is_wrong(
    fares: Upstream, doors: tuple[int, int]
) -> None:
    with pytest.raises(LabFault, match="401"):
        Upstream(Admin("fares", "127.0.0.1", doors[1], "wrong")).mark()
    for route in ({"statu": 1}, {"fault": "sleepy"}, {"path": "x"}, {"status": "500"}):
        with pytest.raises(LabFault, match="400"):
            fares.routes([{"path": "/x", **route}])
