"""Steers and reads an upstream simulator (`services/upstream-sim`) over its admin side. Knows no lab and no engine.

    fares = lab.upstream("fares")
    fares.reset()                                          its own routes only, no gates, an empty log
    fares.route("/fares/{route}", json={"route": "{{param:route}}", "price_cents": 1250})
    fares.route("/fares/abc", status=503, headers={"Retry-After": "2"}, times=1)      in front of it, once
    fares.route("/fares/abc", fault="hang")                hang, close, reset, cut, trickle, garbage
    with fares.closed("/fares/*") as gate:                 a barrier; a request gets its route when it is let through
        gate.held(8)                                       waits until 8 wait there, a lab fault if they do not
        gate.waiting(), gate.targets(), gate.steady()      how many, for what; how many once that changes no more
        gate.let(1), gate.open()                           one of them; all, and everybody who comes later
    mark = fares.mark()                                    then count what came after it
    fares.requests("/fares/", since=mark)                  method, target, headers, body, times, connection, outcome …
    fares.count(…), fares.in_progress(…), fares.highest(…), fares.connections(…)      of the same selection
    with fares.refusing():                                 nobody listens: connections are refused
    fares.push("text"), fares.end_streams()                to open server-sent events and WebSockets

Paths of a selection are the beginning of a target. Count by paths that only your check uses: what an earlier check left
under way may still arrive. All that a route can say stands in `services/upstream-sim/image/simulator/routes.py`, what
`{{…}}` means in `filled.py`, the admin side in `admin_side.py`. A simulator that was stopped and started has forgotten
all; one that is paused answers nobody, the checks included.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from roadmap_labs.harness.admin import Admin
from roadmap_labs.harness.verdicts import LabFault
from roadmap_labs.harness.waiting import factor, reached, settle

_PAGE = 200  # requests that the admin side shows at once
_STEADY = 0.4  # seconds without a change that count as "no more come"
_POLL = 0.01


@dataclass(frozen=True)
class Request:
    """One request as the simulator saw it. Times are seconds of its own clock, good for differences."""

    sequence: int
    connection: int
    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: str
    body_length: int
    body_digest: str  # SHA-256, hexadecimal
    arrived: float
    ended: float | None
    status: int | None
    outcome: str  # "answered", "went away" (the client), "cut" (the simulator), "" while in progress
    gate: str
    sent: int

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        """Every header of that name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Gate:
    """A closed barrier in a simulator."""

    def __init__(self, upstream: Upstream, name: str) -> None:
        self._upstream, self.name = upstream, name

    def _look(self) -> dict[str, Any]:
        found: dict[str, Any] = self._upstream.admin.ask("GET", f"/gates/{self.name}")
        return found

    def waiting(self) -> int:
        """How many wait now; a client that has gone away waits no longer."""
        return int(self._look()["waiting"])

    def targets(self) -> list[str]:
        """What those who wait have asked for, in the order of their arrival."""
        return [str(one) for one in self._look()["targets"]]

    def reaches(self, count: int, within: float = 10.0) -> bool:
        """Whether `count` or more wait, soon."""
        return reached(lambda: self.waiting() >= count, within, every=_POLL)[0]

    def held(self, count: int, within: float = 10.0) -> None:
        """Returns when `count` or more wait; a lab fault if they do not. For requests that the check sends itself."""
        settle(
            lambda: self.waiting() >= count,
            within,
            f"{count} requests waited at a gate of {self._upstream.name}",
        )

    def steady(self, within: float = 10.0, *, quiet: float = _STEADY) -> int:
        """How many wait once that number has not changed for `quiet` seconds; after `within` seconds in any case."""
        deadline = time.monotonic() + within * factor()
        seen, since = self.waiting(), time.monotonic()
        while time.monotonic() < min(deadline, since + quiet * factor()):
            time.sleep(_POLL)
            now = self.waiting()
            if now != seen:
                seen, since = now, time.monotonic()
        return seen

    def let(self, count: int = 1) -> int:
        """Let the first of those who wait through; the gate stays closed. How many went."""
        return int(self._upstream.admin.ask("POST", f"/gates/{self.name}/open", {"count": count})["let"])

    def open(self) -> int:
        """Let everybody through, now and from now on. How many had waited."""
        return int(self._upstream.admin.ask("POST", f"/gates/{self.name}/open")["let"])


class Upstream:
    """One simulator, by its admin side."""

    def __init__(self, admin: Admin) -> None:
        self.name, self.admin = admin.name, admin
        self._numbers = itertools.count(1)

    # -- what it does

    def reset(self) -> None:
        """As it was at the start. Requests in progress are cut off, idle connections stay open."""
        self.admin.ask("POST", "/reset")

    def route(self, path: str, **route: Any) -> int:
        """A new route in front of all others; its keywords are the keys of a route. Its id."""
        return self.routes([{"path": path, **route}])[0]

    def routes(self, routes: Sequence[Mapping[str, Any]]) -> list[int]:
        """New routes in front of all others; the first of them is asked first. Their ids."""
        return [int(one) for one in self.admin.ask("POST", "/routes", [dict(one) for one in routes])["ids"]]

    def forget(self, route: int) -> None:
        """Remove a route again."""
        self.admin.ask("DELETE", f"/routes/{route}")

    @contextlib.contextmanager
    def closed(self, path: str, *, method: str = "") -> Iterator[Gate]:
        """A gate that is closed for these requests inside the block; afterwards everybody passes."""
        gate = Gate(self, f"g{next(self._numbers)}")
        self.admin.ask("PUT", f"/gates/{gate.name}", {"path": path, "method": method})
        try:
            yield gate
        finally:
            with contextlib.suppress(LabFault):  # it may be stopped; then the gate is gone as well
                self.admin.ask("DELETE", f"/gates/{gate.name}")

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody listens inside the block; connections that there were are cut off."""
        self.admin.ask("PUT", "/listener", {"open": False})
        try:
            yield
        finally:
            self.admin.ask("PUT", "/listener", {"open": True})

    def push(self, text: str) -> int:
        """One more event or text frame to every open stream. How many there are."""
        return int(self.admin.ask("POST", "/streams/push", {"text": text})["streams"])

    def end_streams(self) -> int:
        """End every open stream. How many there were."""
        return int(self.admin.ask("POST", "/streams/end")["streams"])

    # -- what it saw

    def mark(self) -> int:
        """The number of the latest request; `since=` it counts what comes later."""
        return int(self.admin.ask("GET", "/counts")["sequence"])

    def requests(self, path: str = "", *, since: int = 0, method: str = "") -> tuple[Request, ...]:
        """Requests in the order of their arrival, those in progress included."""
        found: list[Request] = []
        while True:
            page = self.admin.ask("GET", f"/log?limit={_PAGE}&{_selection(path, since, method)}")["requests"]
            found += [Request(**{**one, "headers": tuple(map(tuple, one["headers"]))}) for one in page]
            if len(page) < _PAGE:
                return tuple(found)
            since = found[-1].sequence

    def _counts(self, path: str, since: int, method: str) -> dict[str, Any]:
        found: dict[str, Any] = self.admin.ask("GET", f"/counts?{_selection(path, since, method)}")
        return found

    def count(self, path: str = "", *, since: int = 0, method: str = "") -> int:
        """How many requests have arrived."""
        return int(self._counts(path, since, method)["requests"])

    def in_progress(self, path: str = "", *, since: int = 0, method: str = "") -> int:
        """How many of them have no end yet: not answered, not cut off, and the client still there."""
        return int(self._counts(path, since, method)["in_progress"])

    def highest(self, path: str = "", *, since: int = 0, method: str = "") -> int:
        """How many of them were in progress at most at one moment."""
        return int(self._counts(path, since, method)["highest"])

    def connections(self, path: str = "", *, since: int = 0, method: str = "") -> int:
        """How many connections they came over."""
        return int(self._counts(path, since, method)["connections_used"])


def _selection(path: str, since: int, method: str) -> str:
    return urlencode({"path": path, "since": since, "method": method})
