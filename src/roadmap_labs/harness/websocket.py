"""A WebSocket client (RFC 6455) over a connection that stands already. Knows no lab.

with opened(site, "/ws") as socket:
    socket.send("hello"), socket.receive()
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from roadmap_labs.harness.http1 import Site
from roadmap_labs.harness.line import WITHIN, Cut, Line
from roadmap_labs.harness.verdicts import LearnerBroke
from roadmap_labs.harness.waiting import factor


class NoWebSocket(LearnerBroke):
    """The handshake was answered with something else; `status` is 0 where that was no HTTP."""

    def __init__(self, asked: str, status: int, how: str) -> None:
        super().__init__(
            "L-HTTP", f"{asked} did not become a WebSocket: {how}.", "101 Switching Protocols", how
        )
        self.status = status


class WebSocket:
    """One that is open."""

    def __init__(self, asked: str, line: Line) -> None:
        self.asked, self._line = asked, line
        self._wire = WSConnection(ConnectionType.CLIENT)

    def shake_hands(self, host: str, target: str, deadline: float) -> None:
        """Ask for it; `NoWebSocket` where it is refused."""
        try:
            self._line.send(self._wire.send(Request(host=host, target=target)))
            event = self._next(deadline)
        except RemoteProtocolError as error:
            raise NoWebSocket(self.asked, 0, str(error)) from None
        except Cut as cut:
            raise NoWebSocket(self.asked, 0, str(cut)) from None
        if isinstance(event, RejectConnection):
            raise NoWebSocket(self.asked, event.status_code, f"it was answered with {event.status_code}")
        if not isinstance(event, AcceptConnection):
            raise NoWebSocket(self.asked, 0, f"{type(event).__name__} came instead")

    def send(self, text: str) -> None:
        """One text message."""
        self._say(TextMessage(data=text))

    def receive(self, *, within: float | None = None) -> str:
        """The next message as text. LearnerBroke where the connection ends, or none comes in time."""
        limit = WITHIN * factor() if within is None else within
        found, deadline = "", time.monotonic() + limit
        while True:
            try:
                event = self._next(deadline)
            except (Cut, RemoteProtocolError) as error:
                raise self._ended(str(error)) from None
            if isinstance(event, Ping):
                self._say(event.response())
            elif isinstance(event, CloseConnection):
                raise self._ended(f"it was closed with code {event.code}")
            elif isinstance(event, TextMessage | BytesMessage):
                data = event.data
                found += data if isinstance(data, str) else bytes(data).decode("utf-8", "backslashreplace")
                if event.message_finished:
                    return found

    def _say(self, event: Event) -> None:
        try:
            self._line.send(self._wire.send(event))
        except Cut as cut:
            raise self._ended(str(cut)) from None

    def _next(self, deadline: float) -> Event:
        while True:
            for event in self._wire.events():
                return event
            piece = self._line.receive(within=deadline - time.monotonic())
            if not piece:
                raise Cut("the connection was closed")
            self._wire.receive_data(piece)

    def _ended(self, how: str) -> LearnerBroke:
        return LearnerBroke(
            "L-HTTP", f"{self.asked}: the WebSocket has ended: {how}.", "an open WebSocket", how
        )


@contextmanager
def opened(site: Site, target: str, *, within: float | None = None) -> Iterator[WebSocket]:
    """A WebSocket for as long as the block lasts."""
    limit = WITHIN * factor() if within is None else within
    with site.open(within=limit) as line:
        found = WebSocket(f"{site.who}: {site.name}{target}", line)
        found.shake_hands(site.name, target, time.monotonic() + limit)
        yield found
