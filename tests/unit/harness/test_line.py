"""The connection of single steps, and HTTP/1.1 and WebSockets on it, against servers that do what they like."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from ssl import TLSVersion

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from roadmap_labs.harness import websocket
from roadmap_labs.harness.http1 import HungUp, Site
from roadmap_labs.harness.line import Cut, NoHandshake, Secure, connect, speaks
from roadmap_labs.harness.verdicts import LearnerBroke

Act = Callable[[socket.socket], None]
PEM = Path(__file__).parent / "tls"
ROOT = (PEM / "root.crt").read_text()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Hands each connection to one act, in TLS where a context is given."""

    def __init__(self, act: Act, tls: ssl.SSLContext | None) -> None:
        self.act, self.tls = act, tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError), line:
            talk = self.tls.wrap_socket(line, server_side=True) if self.tls else line
            with talk:
                self.act(talk)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(act: Act, tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(act, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.listener.close()


def certified(*alpn: str) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(PEM / "leaf.crt", PEM / "leaf.key")
    if alpn:
        found.set_alpn_protocols(list(alpn))
    return found


def says(answer: bytes) -> Act:
    def act(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(answer)

    return act


def site(server: Server, secure: Secure | None = None) -> Site:
    return Site("proxy-1", "127.0.0.1", server.port, "shop.test", secure)


# -- TLS


def test_a_verified_handshake_tells_names_version_and_protocol(serve: Callable[..., Server]) -> None:
    server = serve(says(OK), certified("h2"))
    with site(server, Secure("shop.test", root=ROOT, alpn=("h2", "http/1.1"))).open() as line:
        assert (line.names, line.version, line.alpn) == (("shop.test",), "TLSv1.3", "h2")


def test_a_server_that_is_not_believed_is_told_apart(serve: Callable[..., Server]) -> None:
    server = serve(says(OK), certified())
    with pytest.raises(NoHandshake) as caught:
        site(server, Secure("other.test", root=ROOT)).open()
    assert caught.value.unverified
    assert caught.value.code == "L-TLS"
    assert "other.test" in caught.value.reason


def test_without_a_root_everybody_is_believed(serve: Callable[..., Server]) -> None:
    server = serve(says(OK), certified())
    assert site(server, Secure("other.test")).get("/").text == "ok"


def test_a_refused_version_is_no_handshake(serve: Callable[..., Server]) -> None:
    server = serve(says(OK), certified())
    with pytest.raises(NoHandshake) as caught:
        site(server, Secure("shop.test", old=True, lowest=TLSVersion.TLSv1, highest=TLSVersion.TLSv1)).open()
    assert not caught.value.unverified


@pytest.mark.parametrize("version", [TLSVersion.TLSv1, TLSVersion.TLSv1_1])
def test_old_versions_can_be_spoken_with_who_allows_them(
    serve: Callable[..., Server], version: TLSVersion
) -> None:
    assert speaks(version)
    tls = certified()
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        tls.minimum_version = TLSVersion.TLSv1
    server = serve(says(OK), tls)
    with site(server, Secure("shop.test", old=True, lowest=version, highest=version)).open() as line:
        assert line.version == version.name.replace("_", ".")


@pytest.mark.parametrize("version", [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3])
def test_a_session_goes_on(serve: Callable[..., Server], version: TLSVersion) -> None:
    server = serve(says(OK), certified())
    shop = site(server, Secure("shop.test", root=ROOT, lowest=version, highest=version))
    with shop.open() as first:
        first.send(b"x")
        while first.receive():
            pass
        session = first.session
        assert not first.reused
    with shop.open(session=session) as second:
        assert second.reused


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(LearnerBroke) as caught:
        connect("proxy-1", "127.0.0.1", port)
    assert caught.value.code == "L-PORT"


# -- HTTP/1.1


def test_several_requests_on_one_connection(serve: Callable[..., Server]) -> None:
    seen: list[bytes] = []

    def act(line: socket.socket) -> None:
        while piece := line.recv(65536):
            seen.append(piece)
            line.sendall(OK)

    with site(serve(act)).talk() as talk:
        assert [talk.request("GET", f"/{number}").status for number in (1, 2)] == [200, 200]
    assert [piece.split(b" ")[1] for piece in seen] == [b"/1", b"/2"]
    assert b"Host: shop.test\r\n" in seen[0]


def test_a_host_of_ones_own_takes_the_place_of_the_usual_one(serve: Callable[..., Server]) -> None:
    seen: list[bytes] = []

    def act(line: socket.socket) -> None:
        seen.append(line.recv(65536))
        line.sendall(OK)

    site(serve(act)).get("/", headers={"Host": "evil.test"})
    assert seen[0].lower().count(b"host:") == 1
    assert b"Host: evil.test" in seen[0]


def test_an_early_answer_is_read_although_the_upload_was_not_taken(serve: Callable[..., Server]) -> None:
    def act(line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        line.shutdown(socket.SHUT_WR)
        while line.recv(65536):
            pass

    assert site(serve(act)).post("/upload", b"x" * 3_000_000).status == 413


def test_pieces_of_a_stream_come_one_by_one(serve: Callable[..., Server]) -> None:
    go_on = threading.Event()

    def act(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        go_on.wait(5)
        line.sendall(b"6\r\nsecond\r\n0\r\n\r\n")

    with site(serve(act)).talk() as talk:
        talk.begin("GET", "/events")
        talk.end()
        assert (talk.head().status, talk.piece()) == (200, b"first")
        go_on.set()
        assert talk.rest() == b"second"


def test_a_stream_that_is_cut_is_no_end(serve: Callable[..., Server]) -> None:
    with site(
        serve(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"))
    ).talk() as talk:
        talk.begin("GET", "/events")
        talk.end()
        talk.head()
        assert talk.piece() == b"first"
        with pytest.raises(LearnerBroke) as caught:
            talk.piece()
    assert caught.value.code == "L-HTTP"


def test_raw_bytes_may_be_hung_up_on(serve: Callable[..., Server]) -> None:
    assert site(serve(says(b""))).raw(b"GET / HTTP/1.0\r\n\r\n") is None
    found = site(serve(says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))).raw(
        b"GET / HTTP/1.0\r\n\r\n"
    )
    assert found is not None
    assert found.status == 400


def test_silence_and_nonsense_have_codes(serve: Callable[..., Server]) -> None:
    for act, code in (
        (lambda line: line.recv(1) and threading.Event().wait(2), "L-TIME"),
        (says(b"hello\r\n\r\n"), "L-HTTP"),
    ):
        with pytest.raises(LearnerBroke) as caught:
            site(serve(act)).get("/", within=0.3)
        assert caught.value.code == code
    with pytest.raises(HungUp):
        site(serve(says(b""))).get("/")


def test_a_reset_is_a_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = connect("proxy-1", "127.0.0.1", listener.getsockname()[1])
        other, _ = listener.accept()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        other.close()
        with line, pytest.raises(Cut):
            line.receive()


# -- WebSocket


def echo(line: socket.socket) -> None:
    wire = WSConnection(ConnectionType.SERVER)
    while piece := line.recv(65536):
        wire.receive_data(piece)
        for event in wire.events():
            if isinstance(event, Request):
                line.sendall(wire.send(AcceptConnection()))
            elif isinstance(event, TextMessage):
                answer = CloseConnection(code=1001) if event.data == "end" else TextMessage(data=event.data)
                line.sendall(wire.send(answer))


def test_a_websocket_echoes_and_ends(serve: Callable[..., Server]) -> None:
    with websocket.opened(site(serve(echo)), "/ws") as found:
        found.send("Łódź")
        assert found.receive() == "Łódź"
        found.send("end")
        with pytest.raises(LearnerBroke, match="1001"):
            found.receive()


def test_what_is_no_websocket_says_its_status(serve: Callable[..., Server]) -> None:
    with pytest.raises(websocket.NoWebSocket) as caught, websocket.opened(site(serve(says(OK))), "/ws"):
        pass
    assert caught.value.status == 200
