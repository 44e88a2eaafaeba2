"""One capped HTTP/1.1 request on a connection of its own. Knows nothing of labs, and trusts nothing that answers.

No redirects, no proxies, no environment, no decompression; limits on time, headers and body.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import h11

from roadmap_labs.harness import strictjson, waiting
from roadmap_labs.harness.verdicts import LearnerBroke, quote

MAX_BODY = 1024 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
WITHIN = 10.0  # seconds for a request that names no limit of its own; grows with the time factor
CLIENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True)
class Reply:
    """What came back, whole. `headers` has lower-case names; of repeated ones the values joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    asked: str  # "catalog-1: GET /products/7"

    @property
    def json(self) -> Any:
        """The body as strictly parsed JSON."""
        try:
            return strictjson.parse(self.body)
        except strictjson.NotJson as error:
            raise LearnerBroke(
                "L-HTTP",
                f"{self.asked} answered {self.status} with a body that is no valid JSON: {error}.",
                "a JSON body",
                quote(self.body) if self.body else "an empty body",
            ) from None

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 are shown escaped."""
        return self.body.decode("utf-8", "backslashreplace")


@dataclass
class _Talk:
    """One connection while a request is under way: the socket, its deadline and what has arrived."""

    line: socket.socket
    deadline: float
    within: float
    asked: str
    started: float
    wire: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT, MAX_HEADER_BYTES))
    first: bytes = b""

    def left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def next_event(self) -> Any:
        while (event := self.wire.next_event()) is h11.NEED_DATA:
            self.line.settimeout(self.left())
            piece = self.line.recv(65536)
            if len(self.first) < 200:
                self.first += piece[:200]
            if not piece and not self.first:
                raise _NobodyThere("closed")
            self.wire.receive_data(piece)
        return event


class _NobodyThere(Exception):
    """The connection ended before one byte of an answer."""


class _Refused(Exception):
    """The answer is nothing that we read on."""


def request(
    name: str,
    host: str,
    port: int,
    method: str,
    path: str,
    *,
    within: float | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    sent: Callable[[], object] = lambda: None,
) -> Reply:
    """Send one request and read the whole answer, all of it in `within` seconds. `sent` is called in between."""
    seconds = WITHIN * waiting.factor() if within is None else within
    asked = f"{name}: {method} {path}"
    started = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=seconds) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            talk = _Talk(line, started + seconds, seconds, asked, started)
            return _exchange(talk, method, path, _headers(host, port, headers, body), body, sent)
    except TimeoutError:
        raise LearnerBroke(
            "L-TIME",
            f"{asked} was not answered completely in {seconds:g} s.",
            f"a whole answer within {seconds:g} s",
            f"nothing, or only a part of it, after {time.monotonic() - started:.1f} s",
        ) from None
    except ConnectionRefusedError:
        raise _nobody(asked, "the connection was refused") from None


def _headers(host: str, port: int, extra: Mapping[str, str] | None, body: bytes) -> list[tuple[str, str]]:
    found = {
        "Host": f"{host}:{port}",
        "User-Agent": CLIENT,
        "Accept": "application/json, */*;q=0.8",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if body:
        found["Content-Type"] = "application/json"
        found["Content-Length"] = str(len(body))
    found.update(extra or {})
    return list(found.items())


def _exchange(
    talk: _Talk,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    body: bytes,
    told: Callable[[], object],
) -> Reply:
    wire = talk.wire
    sent = wire.send(h11.Request(method=method, target=path, headers=headers)) or b""
    if body:
        sent += wire.send(h11.Data(data=body)) or b""
    sent += wire.send(h11.EndOfMessage()) or b""
    try:
        _send(talk, sent)
        told()
        head = _head(talk)
        return _read_body(talk, head)
    except _NobodyThere as error:
        raise _nobody(talk.asked, f"the connection was {error} before one byte of an answer") from None
    except (ConnectionResetError, BrokenPipeError):
        if not talk.first:
            raise _nobody(talk.asked, "the connection was reset before one byte of an answer") from None
        raise _broken(talk, "the connection was reset in the middle of the answer") from None
    except h11.RemoteProtocolError as error:
        raise _broken(talk, f"this is no HTTP/1.1: {error}") from None
    except _Refused as error:
        raise _broken(talk, str(error)) from None


def _send(talk: _Talk, sent: bytes) -> None:
    talk.line.settimeout(talk.left())
    try:
        talk.line.sendall(sent)
    except (ConnectionResetError, BrokenPipeError):
        # A server may answer before it has read everything and hang up: what it said is still to be read.
        if not sent:
            raise


def _head(talk: _Talk) -> h11.Response:
    for _ in range(10):
        event = talk.next_event()
        if isinstance(event, h11.Response):
            break
        if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
            raise _Refused("it is no answer to this request")
    else:
        raise _Refused("more than 10 interim answers")
    if len(event.headers) > MAX_HEADERS:
        raise _Refused(f"{len(event.headers)} headers (at most {MAX_HEADERS})")
    found = dict(event.headers)
    if found.get(b"content-encoding", b"identity").lower() not in (b"", b"identity"):
        raise _Refused(f"an encoded body ({quote(found[b'content-encoding'], 40)}) that nobody asked for")
    if int(found.get(b"content-length", b"0")) > MAX_BODY:
        raise _Refused(f"a body of {quote(found[b'content-length'], 30)} bytes (at most {MAX_BODY})")
    return event


def _read_body(talk: _Talk, head: h11.Response) -> Reply:
    body = bytearray()
    while True:
        event = talk.next_event()
        if isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise _Refused(f"a body of more than {MAX_BODY} bytes")
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            raise _Refused("the answer stops in the middle")
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Reply(head.status_code, headers, bytes(body), time.monotonic() - talk.started, talk.asked)


def _nobody(asked: str, how: str) -> LearnerBroke:
    return LearnerBroke(
        "L-PORT",
        f"{asked} got no answer: {how}. Either nothing listens on 0.0.0.0:$PORT, or the program hung up.",
        "an HTTP answer",
        how,
    )


def _broken(talk: _Talk, reason: str) -> LearnerBroke:
    first = talk.first.split(b"\r\n", 1)[0].split(b"\n", 1)[0]
    return LearnerBroke(
        "L-HTTP",
        f"{talk.asked} got an answer that can't be read: {reason}.",
        "one complete HTTP/1.1 answer",
        f"first line: {quote(first)}",
    )


def encode(value: Any) -> bytes:
    """A JSON request body."""
    return json.dumps(value, ensure_ascii=False).encode()
