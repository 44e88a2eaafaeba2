"""HTTP/1.1 as single steps: heads, pieces of bodies, bytes that no library would send, several requests a connection.

Knows nothing of labs, and trusts nothing that answers. `harness/http.py` is for everyday requests to a role; this is
for what stands between clients and servers. All of it over plain TCP or TLS:

    site = Site("proxy-1", host, port, "shop.test", Secure("shop.test"))
    site.get("/a?b=c"), site.request("POST", "/x", body=b"…", headers=[("Cookie", "sid=1")])     a connection each
    site.raw(b"GET / HTTP/1.0\\r\\n\\r\\n")             the answer, or None where the other side just hangs up
    with site.talk() as talk:                        one connection
        talk.request("GET", "/1"), talk.request("GET", "/2")
        talk.begin("POST", "/upload", length=100_000); talk.push(b"…"); talk.end(); talk.answer()
        talk.begin("GET", "/events/x"); talk.end(); talk.head(); talk.piece(); talk.patience(5); talk.rest()

What goes wrong is a LearnerBroke: L-PORT, L-TIME, L-HTTP, L-TLS.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import h11

from roadmap_labs.harness.http import CLIENT, MAX_BODY, MAX_HEADER_BYTES, MAX_HEADERS, Reply
from roadmap_labs.harness.line import WITHIN, Cut, Line, Secure, connect
from roadmap_labs.harness.verdicts import LearnerBroke, quote
from roadmap_labs.harness.waiting import factor

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
_MOST_INTERIM = 10


@dataclass(frozen=True)
class Head:
    """The beginning of an answer. `headers` has lower-case names; of repeated ones the values joined by a comma."""

    status: int
    headers: Mapping[str, str]
    pairs: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """Every header of that name."""
        return [value for key, value in self.pairs if key == name.lower()]


class Talk:
    """Requests and answers over one connection, one after the other."""

    def __init__(self, who: str, site: str, line: Line) -> None:
        self.who, self.site, self.line = who, site, line
        self._wire = h11.Connection(h11.CLIENT, MAX_HEADER_BYTES)
        self.asked, self._started, self._deadline = who, time.monotonic(), 0.0
        self._got: Head | None = None

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Headers = (),
        body: bytes = b"",
        within: float | None = None,
    ) -> Reply:
        """One request and its whole answer; the connection stays open for the next one, unless a header says no."""
        self.begin(method, target, headers=headers, length=len(body) if body else None, within=within)
        if body:
            self.push(body)
        self.end()
        return self.answer()

    def begin(
        self,
        method: str,
        target: str,
        *,
        headers: Headers = (),
        length: int | None = None,
        within: float | None = None,
    ) -> None:
        """Send a head. `length` is that of the body; `within` is for all of this request and its answer."""
        if self._wire.our_state is h11.DONE:
            self._wire.start_next_cycle()
        self.asked = f"{self.who}: {method} {self.site}{target}"
        self._started, self._got = time.monotonic(), None
        self._deadline = self._started + (WITHIN * factor() if within is None else within)
        own = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        said = {name.lower() for name, _ in own}
        found = [
            ("Host", self.site),
            ("User-Agent", CLIENT),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
        ]
        if length is not None:
            found.append(("Content-Length", str(length)))
        found = [(name, value) for name, value in found if name.lower() not in said]
        self._send(self._wire.send(h11.Request(method=method, target=target, headers=found + own)))

    def push(self, piece: bytes) -> None:
        """Send a piece of the body. Where the other side has hung up, what it said before can still be read."""
        self._send(self._wire.send(h11.Data(data=piece)))

    def end(self) -> None:
        """The request is complete."""
        self._send(self._wire.send(h11.EndOfMessage()))

    def raw(self, sent: bytes, *, within: float | None = None) -> None:
        """Send these bytes as they are; after that, an answer may be read."""
        self._wire.send(h11.Request(method="GET", target="/", headers=[("Host", "raw")]))
        self._wire.send(h11.EndOfMessage())
        self.asked = f"{self.who}: {quote(sent, 80)}"
        self._started, self._got = time.monotonic(), None
        self._deadline = self._started + (WITHIN * factor() if within is None else within)
        self._send(sent)

    def patience(self, within: float) -> None:
        """The rest of this answer may take so long from now on."""
        self._deadline = time.monotonic() + within

    def head(self) -> Head:
        """The head of the answer; interim ones are passed over."""
        for _ in range(_MOST_INTERIM):
            event = self._next()
            if isinstance(event, h11.Response):
                pairs = tuple(
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers
                )
                if len(pairs) > MAX_HEADERS:
                    raise self._broken(f"{len(pairs)} headers (at most {MAX_HEADERS})")
                self._got = Head(event.status_code, _joined(pairs), pairs)
                return self._got
            if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                break
        raise self._broken("it does not begin as an answer to this request does")

    def piece(self) -> bytes:
        """The next piece of the body as it comes; nothing at its end."""
        event = self._next()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return b""
        raise self._broken("the answer stops in the middle")

    def rest(self) -> bytes:
        """All of the body that is still to come."""
        body = bytearray()
        while piece := self.piece():
            body += piece
            if len(body) > MAX_BODY:
                raise self._broken(f"a body of more than {MAX_BODY} bytes")
        return bytes(body)

    def answer(self) -> Reply:
        """Head and body."""
        head = self._got or self.head()
        body = self.rest()
        return Reply(head.status, head.headers, body, time.monotonic() - self._started, self.asked)

    def close(self) -> None:
        """Hang up."""
        self.line.close()

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._late()
        return left

    def _send(self, sent: bytes | None) -> None:
        if sent:
            try:
                self.line.send(sent, within=self._left())
            except Cut:
                return  # a server may answer before it has read everything, and hang up

    def _next(self) -> Any:
        try:
            while (event := self._wire.next_event()) is h11.NEED_DATA:
                piece = self.line.receive(within=self._left())
                if not piece and self._got is None and not self._wire.trailing_data[0]:
                    raise self._nobody("the connection was closed before one byte of an answer")
                self._wire.receive_data(piece)
        except Cut as cut:
            if self._got is None:
                raise self._nobody(f"{cut} before an answer") from None
            raise self._broken(f"{cut} in the middle of the answer") from None
        except h11.RemoteProtocolError as error:
            raise self._broken(str(error)) from None
        except LearnerBroke as broke:
            raise (self._late() if broke.code == "L-TIME" else broke) from None
        return event

    def _late(self) -> LearnerBroke:
        took = time.monotonic() - self._started
        return LearnerBroke(
            "L-TIME", f"{self.asked} was not answered completely in {took:.1f} s.", "a whole answer in time",
            f"{self.line.received} bytes after {took:.1f} s",
        )  # fmt: skip

    def _nobody(self, how: str) -> LearnerBroke:
        return HungUp(self.asked, how)

    def _broken(self, why: str) -> LearnerBroke:
        return LearnerBroke(
            "L-HTTP",
            f"{self.asked} got an answer that can't be read: {why}.",
            "one complete HTTP/1.1 answer",
            why,
        )


class HungUp(LearnerBroke):
    """The other side took the request and ended the connection without one byte of an answer."""

    def __init__(self, asked: str, how: str) -> None:
        super().__init__("L-HTTP", f"{asked} got no answer: {how}.", "an HTTP answer", how)


@dataclass(frozen=True)
class Site:
    """A site as a client reaches it: the door, the name in `Host`, and (for TLS) what the client offers."""

    who: str
    host: str
    port: int
    name: str
    secure: Secure | None = None

    def at(self, door: tuple[str, int], who: str = "") -> Site:
        """The same site, reached through another door."""
        return replace(self, host=door[0], port=door[1], who=who or self.who)

    def open(self, *, within: float | None = None, session: Any = None) -> Line:
        """A connection, and nothing said yet."""
        return connect(self.who, self.host, self.port, self.secure, within=within, session=session)

    @contextmanager
    def talk(self, *, within: float | None = None) -> Iterator[Talk]:
        """A connection for several requests, closed after the block."""
        with self.open(within=within) as line:
            yield Talk(self.who, self.name, line)

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Headers = (),
        body: bytes = b"",
        within: float | None = None,
    ) -> Reply:
        """One request on a connection of its own. `headers` may name `Host`; a mapping, or pairs."""
        limit = WITHIN * factor() if within is None else within
        started = time.monotonic()
        own = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        with self.talk(within=limit) as talk:
            left = max(limit - (time.monotonic() - started), 0.001)
            return talk.request(
                method, target, headers=[*own, ("Connection", "close")], body=body, within=left
            )

    def get(self, target: str, *, headers: Headers = (), within: float | None = None) -> Reply:
        """GET."""
        return self.request("GET", target, headers=headers, within=within)

    def post(
        self, target: str, body: bytes = b"", *, headers: Headers = (), within: float | None = None
    ) -> Reply:
        """POST."""
        return self.request("POST", target, headers=headers, body=body, within=within)

    def raw(self, sent: bytes, *, within: float | None = None) -> Reply | None:
        """What these bytes are answered with on a connection of their own; None where the other side hangs up."""
        with self.talk(within=within) as talk:
            try:
                talk.raw(sent, within=within)
                return talk.answer()
            except HungUp:
                return None


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
