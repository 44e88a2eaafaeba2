"""The TCP fault proxy as a process, steered with the harness's words: each fault, reset, counts."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadmap_labs.harness import LabFault, waiting
from roadmap_labs.harness.admin import Admin
from roadmap_labs.harness.fault import Fault

PROXY = Path(__file__).parents[3] / "services" / "tcp-fault" / "image"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Echo:
    """A server that sends back what it gets, and tells what that was and how connections ended."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got = b""
        self.ends: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self.listener.accept()
                threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with line:
            try:
                while piece := line.recv(65536):
                    self.got += piece
                    line.sendall(piece)
                self.ends.append("end")
            except OSError:
                self.ends.append("reset")


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.close()


@pytest.fixture(scope="module")
def doors(echo: Echo) -> Iterator[tuple[int, int]]:
    data, admin = free_port(), free_port()
    environment = {
        **os.environ, "FAULT_PORT": str(data), "FAULT_ADMIN_PORT": str(admin), "FAULT_PASSWORD": "secret",
        "FAULT_TARGET": f"127.0.0.1:{echo.port}", "PYTHONPATH": str(PROXY), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    with subprocess.Popen([sys.executable, "-m", "fault"], env=environment) as process:
        waiting.settle(lambda: _answers(admin), 20, "the proxy listens")
        yield data, admin
        process.terminate()
        assert process.wait(10) == 0


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def fault(doors: tuple[int, int]) -> Fault:
    found = Fault(Admin("amqp-fault", "127.0.0.1", doors[1], "secret"))
    found.mend()
    found.reset()
    return found


@pytest.fixture
def dial(doors: tuple[int, int]) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", doors[0]), 5) as line:
        yield line


def _echoed(line: socket.socket, piece: bytes, within: float = 5) -> bytes:
    line.settimeout(within)
    line.sendall(piece)
    got = b""
    while len(got) < len(piece):
        more = line.recv(65536)
        if not more:
            break
        got += more
    return got


def test_carries_bytes_both_ways_and_counts_them(fault: Fault, dial: socket.socket) -> None:
    before = fault.seen()
    assert _echoed(dial, b"x" * 200_000) == b"x" * 200_000
    after = fault.seen()
    assert (after.bytes_up - before.bytes_up, after.bytes_down - before.bytes_down) == (200_000, 200_000)
    standing = after.standing
    assert len(standing) == 1
    assert standing[0].reached
    assert standing[0].bytes_up == 200_000


def test_passes_an_end_on_and_keeps_the_other_direction(fault: Fault, dial: socket.socket) -> None:
    dial.sendall(b"bye")
    dial.shutdown(socket.SHUT_WR)
    dial.settimeout(5)
    assert dial.recv(10) == b"bye"
    assert dial.recv(10) == b""
    waiting.settle(lambda: not fault.seen().standing, 5, "the connection had ended")


def test_refuses_new_connections_and_leaves_old_ones(
    fault: Fault, dial: socket.socket, doors: tuple[int, int]
) -> None:
    assert _echoed(dial, b"before") == b"before"
    with fault.broken(refuse=True):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", doors[0]), 5)
        assert _echoed(dial, b"still") == b"still"
    with socket.create_connection(("127.0.0.1", doors[0]), 5) as line:
        assert _echoed(line, b"again") == b"again"


def test_frozen_nothing_moves_and_nothing_is_lost(fault: Fault, doors: tuple[int, int]) -> None:
    with socket.create_connection(("127.0.0.1", doors[0]), 5) as old:
        assert _echoed(old, b"one") == b"one"
        with fault.broken(freeze=True), socket.create_connection(("127.0.0.1", doors[0]), 5) as new:
            for line in (old, new):
                with pytest.raises(TimeoutError):
                    _echoed(line, b"two", within=0.2)
            fault.mend()
            for line in (old, new):
                line.settimeout(5)
                assert line.recv(10) == b"two"


def test_swallowed_bytes_are_gone_and_their_connection_is_reset(
    fault: Fault, dial: socket.socket, echo: Echo
) -> None:
    assert _echoed(dial, b"kept") == b"kept"
    before = fault.seen().swallowed_up
    with fault.broken(swallow="up"):
        with pytest.raises(TimeoutError):
            _echoed(dial, b"lost", within=0.2)
        assert fault.seen().swallowed_up - before == 4
    with pytest.raises(ConnectionResetError):
        dial.recv(10)
    assert b"lost" not in echo.got


def test_swallowing_one_direction_leaves_the_other(fault: Fault, dial: socket.socket, echo: Echo) -> None:
    with fault.broken(swallow="down"):
        with pytest.raises(TimeoutError):
            _echoed(dial, b"heard but unanswered", within=0.2)
        assert b"heard but unanswered" in echo.got


def test_an_end_is_passed_on_while_bytes_are_swallowed(
    fault: Fault, doors: tuple[int, int], echo: Echo
) -> None:
    with fault.broken(swallow="up"):
        before = len(echo.ends)
        with socket.create_connection(("127.0.0.1", doors[0]), 5) as line:
            line.sendall(b"lost")
        waiting.settle(lambda: len(echo.ends) > before, 5, "the target saw the end")
    assert echo.ends[-1] == "end"


def test_a_reset_reaches_both_sides(fault: Fault, dial: socket.socket, echo: Echo) -> None:
    assert _echoed(dial, b"hello") == b"hello"
    before = len(echo.ends)
    assert fault.reset() == 1
    with pytest.raises(ConnectionResetError):
        dial.recv(10)
    waiting.settle(lambda: len(echo.ends) > before, 5, "the target saw it")
    assert echo.ends[-1] == "reset"


def test_latency_delays_each_direction(fault: Fault, dial: socket.socket) -> None:
    with fault.broken(latency_ms=150):
        began = time.monotonic()
        assert _echoed(dial, b"slow") == b"slow"
        assert time.monotonic() - began >= 0.3


def test_a_rate_slows_down(fault: Fault, dial: socket.socket) -> None:
    with fault.broken(rate=50_000):
        began = time.monotonic()
        assert len(_echoed(dial, b"x" * 25_000)) == 25_000
        assert time.monotonic() - began >= 0.3


def test_an_unknown_fault_is_ours(fault: Fault) -> None:
    with pytest.raises(LabFault, match="there is no fault 'explode'"):
        fault.break_by(explode=True)


def test_the_admin_side_wants_its_password(doors: tuple[int, int]) -> None:
    with pytest.raises(LabFault, match="401"):
        Fault(Admin("amqp-fault", "127.0.0.1", doors[1], "guess")).seen()


def test_a_target_that_is_away_ends_the_connection(fault: Fault) -> None:
    data, admin = free_port(), free_port()
    environment = {
        **os.environ, "FAULT_PORT": str(data), "FAULT_ADMIN_PORT": str(admin), "PYTHONPATH": str(PROXY),
        "FAULT_TARGET": f"127.0.0.1:{free_port()}", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    with subprocess.Popen([sys.executable, "-m", "fault"], env=environment) as process:
        waiting.settle(lambda: _answers(admin), 20, "the proxy listens")
        with socket.create_connection(("127.0.0.1", data), 5) as line, pytest.raises(ConnectionResetError):
            line.recv(1)
        assert Fault(Admin("amqp-fault", "127.0.0.1", admin, "")).seen().failed == 1
        process.terminate()
