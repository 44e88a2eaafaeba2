"""T3 Connections, slow clients, long answers: nobody outside keeps an application busy, and streams stream."""

from __future__ import annotations

import contextlib
import time

from door import SEE_ALL, SEE_POOL, Door, answered, expect, in_rows, reached

from roadmap_labs.harness import LabFault, LearnerBroke, fail, needs, quote, waiting
from roadmap_labs.harness.http1 import Site, Talk
from roadmap_labs.harness.websocket import NoWebSocket, opened

# What the kernel holds on the way depends on the machine (tcp_rmem, tcp_wmem): 7 MB were seen where 33 are allowed.
BIG = 40_000_000
FREE_SECONDS = 20.0  # for an application to get rid of an answer; the solution needs 0.5 s
IDLE_SECONDS = 3.8  # longer than the answer limit of 3 s
EVENT_SECONDS = 5.0


def test_t3_keepalive(door: Door) -> None:
    """200 requests do not open 200 connections to the pool"""
    n, count, rows = door.nonce(), 200, 2
    path = f"/api/{n}"
    in_rows(door, path, count, rows)
    opened_there = {name: app.connections(path) for name, app in door.apps.items()}
    if sum(opened_there.values()) > 40:
        shown = ", ".join(f"{name}: {number}" for name, number in opened_there.items())
        fail(
            "connection-per-request",
            f"{count} GETs were sent, one after another on each of {rows} connections.",
            expected="at most 40 connections to the applications",
            observed=f"{sum(opened_there.values())} ({shown})",
            look=SEE_POOL,
            hint=2,
        )


def test_t3_events_flow(door: Door) -> None:
    """An event reaches the client when it happens, and the stream outlives silence"""
    for site in (door.kiosk, door.api):
        n = door.nonce()
        door.route(f"/events/{n}", events=[f"first {n}"])
        idle = IDLE_SECONDS if site is door.kiosk else 0.0
        with site.talk() as talk:
            _events(door, talk, n, idle)


def _events(door: Door, talk: Talk, n: str, idle: float) -> None:
    what = f"GET /events/{n} from {talk.site}: the application sent one event at once."
    talk.begin(
        "GET",
        f"/events/{n}",
        headers={"Accept": "text/event-stream"},
        within=EVENT_SECONDS * waiting.factor(),
    )
    try:
        talk.end()
        status = talk.head().status
        if status != 200:
            fail("stream-refused", what, expected="200", observed=str(status), look=SEE_ALL, hint=2)
        _until(talk, f"first {n}")
    except LearnerBroke as broke:
        fail("event-held-back", what, expected=f"the client has it within {EVENT_SECONDS:g} s",
             observed=broke.observed, look=SEE_ALL, hint=2)  # fmt: skip
    time.sleep(idle)  # silence is what is tested
    what += f" Then nothing for {idle:g} s, then another one."
    pushed = sum(app.push(f"second {n}") for app in door.apps.values())
    if not pushed:
        fail("stream-cut", what, expected="the stream lasts as long as both sides want it",
             observed="the application's connection was gone by then", look=SEE_ALL, hint=3)  # fmt: skip
    try:
        talk.patience(EVENT_SECONDS * waiting.factor())
        _until(talk, f"second {n}")
        for app in door.apps.values():
            app.end_streams()
        talk.rest()
    except LearnerBroke as broke:
        fail("stream-cut", what, expected="the client gets it, and then the end of the stream", observed=broke.observed,
             look=SEE_ALL, hint=3)  # fmt: skip


def _until(talk: Talk, text: str) -> None:
    seen = b""
    while text.encode() not in seen:
        piece = talk.piece()
        if not piece:
            raise LearnerBroke(
                "L-HTTP", "The stream has ended.", text, f"the stream ended after {quote(seen)}"
            )
        seen += piece


def test_t3_websocket(door: Door) -> None:
    """A WebSocket opens, and outlives silence"""
    door.route("/ws", websocket=True)
    _echo(door, door.api, 0.0)
    _echo(door, door.kiosk, IDLE_SECONDS)


def _echo(door: Door, site: Site, idle: float) -> None:
    first, second, pushed = door.nonce(), door.nonce(), door.nonce()
    what = f"A WebSocket was opened at wss://{site.name}/ws."
    try:
        with opened(site, "/ws") as socket:
            socket.send(first)
            _same(socket.receive(), first, what)
            time.sleep(idle)  # silence is what is tested
            what += f" It was used, then left alone for {idle:g} s."
            socket.send(second)
            _same(socket.receive(), second, what)
            for app in door.apps.values():
                app.push(pushed)
            _same(socket.receive(), pushed, what)
    except NoWebSocket as refused:
        fail("no-websocket", what, expected=refused.expected, observed=refused.observed, look=SEE_ALL, hint=2)
    except LearnerBroke as broke:
        fail("websocket-cut", what, expected="messages pass in both directions", observed=broke.observed,
             look=SEE_ALL, hint=3)  # fmt: skip


def _same(seen: str, sent: str, what: str) -> None:
    if seen != sent:
        fail("websocket-garbled", what, expected=sent, observed=quote(seen), look=SEE_ALL, hint=2)


@needs("t3_events_flow")
def test_t3_slow_reader(door: Door) -> None:
    """A client that reads slowly does not keep an application busy"""
    target, fault = f"/api/big/{door.nonce()}", door.lab.fault("client-1")
    door.route("/api/big/*", body_size=BIG)
    site = door.from_client("client-1", door.kiosk)
    what = f"A phone asked for {BIG // 1_000_000} MB and went into a tunnel: it takes nothing for a while."
    with contextlib.ExitStack() as gates, site.talk() as talk:
        before = fault.seen().bytes_down
        # The client stops before the first byte: what flows freely at first makes the kernel's buffers grow.
        closed = [gates.enter_context(app.closed("/api/big/*")) for app in door.apps.values()]
        answered(lambda: (talk.begin("GET", target, within=50 * waiting.factor()), talk.end()), what)
        if not waiting.reached(lambda: any(gate.waiting() for gate in closed), FREE_SECONDS)[0]:
            fail("not-forwarded", what, expected="the request reaches the pool", observed="it does not",
                 look=SEE_ALL, hint=1)  # fmt: skip
        with fault.broken(freeze=True):
            for gate in closed:
                gate.open()
            free = waiting.reached(lambda: _written(door, target), FREE_SECONDS)[0]
            taken = fault.seen().bytes_down - before
        if taken > BIG / 10:
            raise LabFault(f"The client that takes nothing has taken {taken} bytes.")
        if not free:
            sent = sum(one.sent for _, one in door.seen(target))
            fail(
                "slow-client-holds-app",
                what,
                expected=f"the application has written its last byte within {FREE_SECONDS * waiting.factor():.0f} s",
                observed=f"it has written {sent} bytes of {BIG}, and waits",
                look=SEE_POOL,
                hint=1,
            )


def _written(door: Door, target: str) -> bool:
    return any(one.outcome == "answered" for _, one in door.seen(target))


@needs("t3_events_flow")
def test_t3_slow_sender(door: Door) -> None:
    """A client that sends slowly does not keep an application busy"""
    for site in (door.kiosk, door.api):
        _drips(door, site, b"x" * 5_000, 20)


def _drips(door: Door, site: Site, piece: bytes, pieces: int) -> None:
    target, length = f"/api/upload/{door.nonce()}", len(piece) * pieces
    what = f"A client sent {length // 1000} KB to {site.name} in drips."
    with site.talk() as talk:
        before = _connections(door)
        answered(lambda: talk.begin("POST", target, length=length, within=50 * waiting.factor()), what)
        for number in range(pieces - 1):
            talk.push(piece)
            if number < pieces // 2:
                time.sleep(0.08)  # so slow is the client
        if _connections(door) != before or door.count(target):
            fail(
                "slow-sender-holds-app",
                f"{what} Its last {len(piece) // 1000} KB were still missing.",
                expected="no application is asked before the upload is complete",
                observed="an application was given a connection for it",
                look=SEE_POOL,
                hint=1,
            )
        talk.push(piece)
        talk.end()
        reply = answered(talk.answer, what)
    expect(reply, 200, what=what, code="upload-failed")
    arrived = reached(door, target)
    if arrived.body_length != length:
        fail("upload-changed", what, expected=f"{length} bytes arrive", observed=f"{arrived.body_length}",
             look=SEE_POOL, hint=2)  # fmt: skip


def _connections(door: Door) -> int:
    """How many connections the applications have accepted in all."""
    return sum(int(app.admin.ask("GET", "/counts")["connections_opened"]) for app in door.apps.values())
