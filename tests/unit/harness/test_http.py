"""The capped client against servers that do what they like."""

from __future__ import annotations

import contextlib
import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from roadmap_labs.harness.http import Reply, request
from roadmap_labs.harness.verdicts import LearnerBroke

Act = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\n"


@dataclass
class Server:
    """Takes connections one after another; each is handed to the next act, the last one again and again."""

    acts: list[Act]
    seen: list[bytes] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def run(self) -> None:
        turn = 0
        with contextlib.suppress(OSError):
            while True:
                line, _ = self.listener.accept()
                act = self.acts[min(turn, len(self.acts) - 1)]
                turn += 1
                threading.Thread(target=self._act, args=(act, line), daemon=True).start()

    def _act(self, act: Act, line: socket.socket) -> None:
        with contextlib.suppress(OSError), line:
            self.seen.append(line.recv(65536))
            act(line)

    def get(self, within: float = 2.0) -> Reply:
        return request("app-1", "127.0.0.1", self.port, "GET", "/x", within=within)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*acts: Act | bytes) -> Server:
        server = Server([act if callable(act) else sends(act) for act in acts])
        servers.append(server)
        threading.Thread(target=server.run, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.listener.close()


def sends(raw: bytes) -> Act:
    return lambda line: line.sendall(raw)


def flood(head: bytes, piece: bytes) -> Act:
    def act(line: socket.socket) -> None:
        line.sendall(head)
        for _ in range(2000):
            line.sendall(piece)

    return act


def drip(head: bytes, piece: bytes) -> Act:
    def act(line: socket.socket) -> None:
        line.sendall(head)
        for _ in range(100):
            line.sendall(piece)
            time.sleep(0.05)

    return act


def reset(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half_then_reset(line: socket.socket) -> None:
    line.sendall(OK + b"Content-Length: 10\r\n\r\nhalf")
    time.sleep(0.05)
    reset(line)


def broken(server: Server, code: str, within: float = 2.0) -> LearnerBroke:
    with pytest.raises(LearnerBroke) as caught:
        server.get(within)
    assert caught.value.code == code, caught.value
    return caught.value


def test_an_ordinary_answer(serve: Callable[..., Server]) -> None:
    server = serve(OK + b'Content-Length: 7\r\nX-A: 1\r\nX-a: 2\r\n\r\n{"a":1}')
    reply = server.get()
    assert (reply.status, reply.json, reply.headers["x-a"]) == (200, {"a": 1}, "1, 2")
    assert b"roadmap" not in server.seen[0].lower()
    assert b"accept-encoding: identity" in server.seen[0].lower()


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n",
        OK + b"\r\n[1]",
        b"HTTP/1.0 200 fine\r\n\r\n[1]",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\n[1]",
    ],
)
def test_all_framings_are_read(serve: Callable[..., Server], raw: bytes) -> None:
    assert serve(raw).get().json == [1]


def test_an_answer_without_body(serve: Callable[..., Server]) -> None:
    reply = serve(b"HTTP/1.1 204 No Content\r\n\r\n").get()
    assert (reply.status, reply.body) == (204, b"")


def test_a_redirect_is_an_answer_like_any_other(serve: Callable[..., Server]) -> None:
    target = serve(OK + b"Content-Length: 0\r\n\r\n")
    place = f"http://127.0.0.1:{target.port}/".encode()
    reply = serve(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + place + b"\r\n\r\n").get()
    assert reply.status == 302
    assert target.seen == []


def test_no_proxy_of_the_environment_is_used(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(b"HTTP/1.1 500 no\r\n\r\n")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert serve(OK + b"Content-Length: 0\r\n\r\n").get().status == 200
    assert proxy.seen == []


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\x1b[2J\x00\r\n", "SSH-2.0"),
        (OK + b"Content-Length: 10000000000000\r\n\r\n", "10000000000000 bytes (at most 1048576)"),
        (OK + b"".join(b"X-%d: 1\r\n" % n for n in range(101)) + b"\r\n", "101 headers (at most 100)"),
        (OK + b"X-Long: " + b"x" * 1024 * 1024 + b"\r\n\r\n", "no HTTP/1.1"),
        (
            flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
            "more than 1048576",
        ),
        (flood(OK + b"\r\n", b"x" * 65536), "more than 1048576"),
        (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(10**7)), "encoded body (gzip)"),
        (b"HTTP/1.1 500 x\r\nContent-Encoding: br\r\n\r\nxx", "encoded body (br)"),
        (b"HTTP/1.1 99 what\r\n\r\n", "99 what"),
        (b"HTTP/1.1 abc\r\n\r\n", "abc"),
        (OK + b"X-Nul: a\x00b\r\n\r\n", "no HTTP/1.1"),
        (OK + b"Content-Length: 10\r\n\r\nhalf", "no HTTP/1.1"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "no HTTP/1.1"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", "no HTTP/1.1"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "101 Switching"),
        (b"HTTP/1.1 103 Early\r\n\r\n" * 30, "interim"),
        (half_then_reset, "reset in the middle"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "act",
)
def test_what_is_no_answer_is_refused(serve: Callable[..., Server], act: Act | bytes, says: str) -> None:
    began = time.monotonic()
    error = broken(serve(act, OK + b"Content-Length: 0\r\n\r\n"), "L-HTTP")
    assert says in error.message + error.observed
    assert "\x1b" not in error.observed
    assert time.monotonic() - began < 2


def test_after_a_broken_answer_the_next_request_is_fresh(serve: Callable[..., Server]) -> None:
    server = serve(
        OK + b"Content-Length: 2\r\n\r\n{}" + OK + b"Content-Length: 3\r\n\r\n666", OK + b"\r\n[2]"
    )
    assert server.get().json == {}
    assert server.get().json == [2]


@pytest.mark.parametrize(
    "act",
    [
        drip(b"", b"H"),
        drip(OK, b"x"),
        drip(OK + b"Content-Length: 1000\r\n\r\n", b"x"),
        drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        lambda _line: time.sleep(5),
    ],
    ids=["status", "headers", "body", "chunks", "silence"],
)
def test_the_deadline_is_for_the_whole_answer(serve: Callable[..., Server], act: Act) -> None:
    began = time.monotonic()
    error = broken(serve(act), "L-TIME", within=0.2)
    assert time.monotonic() - began < 1.2
    assert "0.2 s" in error.message


def test_a_server_that_never_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as full:
        for _ in range(4):
            filler = full.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        with pytest.raises(LearnerBroke, match="L-TIME"):
            request("app-1", "127.0.0.1", listener.getsockname()[1], "GET", "/", within=0.2)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(LearnerBroke, match="L-PORT") as caught:
        request("app-1", "127.0.0.1", port, "GET", "/")
    assert "0.0.0.0:$PORT" in caught.value.message


@pytest.mark.parametrize("act", [lambda _line: None, reset], ids=["closed", "reset"])
def test_a_relay_without_a_peer_closes(serve: Callable[..., Server], act: Act) -> None:
    assert "before one byte" in broken(serve(act), "L-PORT").message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[" * 200_000, "nested deeper than 64"),
        (b'{"a":1,"a":2}', "twice"),
        (b"<html>", "Expecting value"),
        (b"", "an empty body"),
    ],
)
def test_a_body_that_is_no_json(serve: Callable[..., Server], body: bytes, says: str) -> None:
    reply = serve(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body).get()
    with pytest.raises(LearnerBroke, match="L-HTTP") as caught:
        _ = reply.json
    assert says in caught.value.message + caught.value.observed


def test_an_answer_given_before_the_request_was_read(serve: Callable[..., Server]) -> None:
    server = serve(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    reply = request("app-1", "127.0.0.1", server.port, "PUT", "/x", body=b"x" * 30_000, within=2)
    assert reply.status == 413
