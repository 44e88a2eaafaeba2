"""What the data side answers: routes, newest first. Pure but for the counts of those that end by themselves.

A route is a JSON object. Which requests it is for:

    path      "/fares/{route}" with parameters, "/fares/*" for everything that begins so; decides without the query
    method    "GET"; any, if missing
    where     {"route": "[A-Z]{3}"}: regular expressions that parameters must fit as a whole
    times     it is for that many requests and then gone ("fail the next three")
    times_each  it is for that many requests of each path

and what they get:

    status, headers   200; an object, or a list of pairs where a name appears twice
    json | body       a JSON value or a text; both are filled in, see filled.py
    body_size         that many bytes of filler instead; `chunked: true` sends without Content-Length
    echo              true: a JSON object that tells what arrived
    delay             seconds before anything is sent
    fault             "hang"     takes the request and says nothing
                      "close"    closes the connection without an answer;   "reset" with a reset
                      "cut"      head and half of the body, then closes
                      "trickle"  head at once, then one byte every `every` seconds (0.3), for ever
                      "garbage"  bytes that are no HTTP, then closes
    events            server-sent events: those of the list at once, then what is pushed, until it is ended
    websocket         true: shakes hands and echoes every frame
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

ECHO = '[{"path": "/*", "echo": true}]'
FAULTS = ("hang", "close", "reset", "cut", "trickle", "garbage")
_KNOWN = {
    "path": str, "method": str, "where": dict, "times": int, "times_each": int, "status": int,
    "headers": (dict, list), "json": object, "body": str, "body_size": int, "chunked": bool, "echo": bool,
    "delay": (int, float), "fault": str, "every": (int, float), "events": list, "websocket": bool,
}  # fmt: skip
_PARAMETER = re.compile(r"\{([a-z_]+)\}")


class BadRoute(Exception):
    """A route that can't be understood."""


@dataclass(frozen=True)
class Pattern:
    """Which requests something is for."""

    method: str
    path: re.Pattern[str]
    where: dict[str, re.Pattern[str]]

    def fits(self, method: str, path: str) -> dict[str, str] | None:
        """The parameters, or None where it is for something else."""
        found = self.path.fullmatch(path)
        if found is None or self.method not in ("", method):
            return None
        params = found.groupdict()
        if any(not one.fullmatch(params.get(name, "")) for name, one in self.where.items()):
            return None
        return params


def pattern(given: dict[str, Any]) -> Pattern:
    """The pattern of a route or a gate."""
    path = given.get("path", "/*")
    if not isinstance(path, str) or not path.startswith("/"):
        raise BadRoute(f"path: {path!r} does not begin with a slash")
    body, star = (path[:-1], ".*") if path.endswith("*") else (path, "")
    parts = _PARAMETER.split(body)
    text = "".join(
        f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )
    try:
        where = {name: re.compile(one) for name, one in (given.get("where") or {}).items()}
        return Pattern(given.get("method", ""), re.compile(text + star), where)
    except (re.error, TypeError) as error:
        raise BadRoute(f"path or where: {error}") from None


@dataclass
class Route:
    """One route and how often it still holds."""

    id: int
    pattern: Pattern
    given: dict[str, Any]
    used: int = 0
    used_each: Counter[str] = field(default_factory=Counter)

    def take(self, method: str, path: str) -> dict[str, str] | None:
        """The parameters if this request is for it, and counts it."""
        params = self.pattern.fits(method, path)
        if params is None or self.used >= self.given.get("times", self.used + 1):
            return None
        if self.used_each[path] >= self.given.get("times_each", self.used_each[path] + 1):
            return None
        self.used += 1
        if "times_each" in self.given:
            self.used_each[path] += 1
        return params

    def shown(self) -> dict[str, Any]:
        """The route as JSON values."""
        return {"id": self.id, "used": self.used, **self.given}


class Table:
    """All routes; the seed's are the oldest and come back with every reset."""

    def __init__(self, seed: list[dict[str, Any]], name: str) -> None:
        self.name = name
        self._numbers = itertools.count(1)
        self._seed = [self._route(one) for one in seed]
        self._added: list[Route] = []

    def _route(self, given: Any) -> Route:
        if not isinstance(given, dict):
            raise BadRoute(f"no object: {given!r}")
        for key, value in given.items():
            if key not in _KNOWN:
                raise BadRoute(f"unknown key {key!r}; known are {', '.join(_KNOWN)}")
            if not isinstance(value, _KNOWN[key]):  # type: ignore[arg-type]
                raise BadRoute(f"{key}: {value!r} is of the wrong type")
        if given.get("fault", "hang") not in FAULTS:
            raise BadRoute(f"fault: {given['fault']!r} is none of {', '.join(FAULTS)}")
        return Route(next(self._numbers), pattern(given), given)

    def add(self, given: list[Any]) -> list[int]:
        """New routes, in front of all others; of several, the first is asked first. Their ids."""
        made = [self._route(one) for one in given]
        self._added = made + self._added
        return [route.id for route in made]

    def remove(self, number: int) -> bool:
        """Whether there was an added route with that id; it is gone."""
        before = len(self._added)
        self._added = [route for route in self._added if route.id != number]
        return len(self._added) < before

    def clear(self) -> None:
        """Only the seed is left."""
        self._added = []

    def all(self) -> list[Route]:
        """In the order in which they are asked."""
        return [*self._added, *self._seed]

    def choose(self, method: str, path: str) -> tuple[dict[str, Any], dict[str, str]]:
        """What a request gets, and its parameters; 404 where no route is for it."""
        for route in self.all():
            params = route.take(method, path)
            if params is not None:
                return route.given, params
        return {"status": 404, "json": {"error": "not_found"}}, {}
