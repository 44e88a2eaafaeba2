"""The front door as one check sees it: both names, both ports, two clients, and the three applications behind it.

Every check gets a server that remembers nothing, and proves first that the configuration that was handed in is the one
that answers. Judges nothing else.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from roadmap_labs.harness import Lab, LabFault, LearnerBroke, Reply, Role, fail, http, quote, seeded, together
from roadmap_labs.harness.http1 import Headers, Site
from roadmap_labs.harness.line import Secure
from roadmap_labs.harness.upstream import Request, Upstream

T = TypeVar("T")

KIOSK, API = "kiosk.test", "api.kiosk.test"
APPS = ("app-1", "app-2", "app-3")
CLIENTS = ("client-1", "client-2")
PORTS = ("8080", "8443")
FOLDER = "/etc/nginx/lab"
POOL = "upstreams.d/pool.conf"
RELOAD = f"{FOLDER}/ops/reload.sh"
LOG = "/var/log/nginx/access.json"
PROGRAM = "/usr/sbin/nginx"
MASTER = f"nginx: master process nginx -c {FOLDER}/nginx.conf -g daemon off;"

SEE_ERRORS = "roadmap-labs logs proxy"
SEE_ACCESS = f"roadmap-labs shell proxy tail -n 5 {LOG}"
SEE_POOL = "roadmap-labs shell proxy -- sh -c 'for n in 1 2 3; do curl -s http://app-$n:9001/log; done'"
SEE_ALL = f"{SEE_ERRORS}\n{SEE_POOL}"


@dataclass(frozen=True)
class Door:
    """What a check holds in its hand."""

    lab: Lab
    proxy: Role
    apps: dict[str, Upstream]
    kiosk: Site
    api: Site
    plain: Site  # kiosk.test on port 8080

    @property
    def random(self) -> random.Random:
        return self.lab.random

    def nonce(self) -> str:
        """Letters and digits that nobody has seen before."""
        return seeded.nonce(self.random)

    @cached_property
    def addresses(self) -> dict[str, str]:
        """The address of each application and client on the lab's network, as the front door sees it."""
        return {name: self._address(name) for name in (*APPS, *CLIENTS)}

    def _address(self, name: str) -> str:
        said = self.inside("getent", "ahostsv4", name)
        if said.exit_code or not said.output.split():
            raise LabFault(f"The front door does not know {name}: {quote(said.output)}")
        return said.output.split()[0].decode()

    def inside(self, *command: str, within: float = 30) -> Any:
        """Run a command in the front door's container."""
        return self.lab.inside(self.proxy.name, command, within=within)

    def from_client(self, client: str, site: Site) -> Site:
        """A site as a client with an address of its own reaches it."""
        return site.at(self.lab.door(client), client)

    # -- the applications

    def route(self, path: str, **route: Any) -> None:
        """The same new route on all applications, in front of all others."""
        for app in self.apps.values():
            app.route(path, **route)

    def seen(self, path: str, *, method: str = "") -> list[tuple[str, Request]]:
        """Every request whose target begins so, and the application that it reached."""
        return [(name, one) for name, app in self.apps.items() for one in app.requests(path, method=method)]

    def count(self, path: str, *, method: str = "") -> int:
        """How many such requests have reached the pool."""
        return sum(app.count(path, method=method) for app in self.apps.values())

    def spread(self, path: str) -> dict[str, int]:
        """How many of them each application got."""
        return {name: app.count(path) for name, app in self.apps.items()}

    @contextlib.contextmanager
    def all_down(self) -> Iterator[None]:
        """No application takes a connection inside the block."""
        with contextlib.ExitStack() as stack:
            for app in self.apps.values():
                stack.enter_context(app.refusing())
            yield

    # -- the access log

    def log_lines(self) -> list[str]:
        """What the access log holds now."""
        return [
            line for line in self.inside("cat", LOG).output.decode("utf-8", "replace").split("\n") if line
        ]

    def rewritten_pool(self, change: Callable[[str], str]) -> contextlib.AbstractContextManager[None]:
        """pool.conf is changed as the running server would read it; proven before the block begins."""
        content = self.lab.submitted(POOL)
        if content is None:
            fail("no-pool-file", f"The pool is to be changed while the server runs: its members stand in {POOL}.",
                 expected=f"a file {POOL}", observed="none", hint=1)  # fmt: skip
        return self._rewritten(change(content.decode("utf-8", "replace")).encode())

    @contextlib.contextmanager
    def _rewritten(self, content: bytes) -> Iterator[None]:
        with self.lab.rewritten(POOL, content):
            if self.inside("cat", f"{FOLDER}/{POOL}").output != content:
                raise LabFault(f"The server does not see the changed {POOL}.")
            yield


def fresh_door(lab: Lab) -> Door:
    """A server that was started just now, whose sockets are held by the configuration that was handed in."""
    apps = {name: lab.upstream(name) for name in APPS}
    for app in apps.values():
        app.reset()
    for client in CLIENTS:
        lab.fault(client).mend()
    proxy = lab.run("proxy", fresh=True)
    tls = proxy.door("tls")
    kiosk = Site(proxy.name, *tls, KIOSK, Secure(KIOSK))
    api = Site(proxy.name, *tls, API, Secure(API))
    door = Door(lab, proxy, apps, kiosk, api, Site(proxy.name, proxy.host, proxy.port, KIOSK))
    prove_graded(door)
    return door


def prove_graded(door: Door) -> None:
    """Whoever listens on 8080 and 8443 is the server that the lab started, with the configuration of this folder."""
    said = door.inside("who-listens")
    try:
        found = json.loads(said.output)
        first, ports = found["first"], found["ports"]
    except (ValueError, KeyError, TypeError):
        raise LabFault(f"who-listens gave no answer: {said.exit_code} {quote(said.output)}") from None
    for port in PORTS:
        holders = ports.get(port)
        if holders is None:
            fail("nobody-listens", f"The server was started, and nobody listens on port {port}.",
                 expected="8080 and 8443 are listened on", observed=f"listening: {', '.join(ports) or 'nobody'}",
                 look=SEE_ERRORS, hint=1)  # fmt: skip
        strangers = [one for one in holders if not _graded(one, first)]
        if strangers or not any(one["pid"] == first for one in holders):
            shown = "; ".join(f"{one['program']} ({one['command']})" for one in strangers or holders)
            fail(
                "another-server-answers",
                f"Port {port} is held by a process that is not the server which reads this folder's nginx.conf.",
                expected=f"the process started as  nginx -c {FOLDER}/nginx.conf -g 'daemon off;'  and its workers",
                observed=quote(shown or "a process of somebody else", 400),
                look="roadmap-labs shell proxy who-listens",
                hint=None,
            )


def _graded(one: dict[str, Any], first: int) -> bool:
    if one["program"] != PROGRAM:
        return False
    return one["command"] == MASTER if one["pid"] == first else one["parent"] == first


def member_line(name: str) -> re.Pattern[str]:
    """What a line of pool.conf that names this member looks like."""
    return re.compile(rf"\b{re.escape(name)}\b")


def without(text: str, member: str) -> str:
    """pool.conf with the lines taken out that name a member."""
    return "".join(line for line in text.splitlines(keepends=True) if not member_line(member).search(line))


def answered(
    ask: Callable[[], T], what: str, *, code: str = "no-answer", look: str = SEE_ALL, hint: int = 1
) -> T:
    """The result of a request; the check fails where the front door gives none that can be read."""
    try:
        return ask()
    except LearnerBroke as broke:
        fail(
            code,
            f"{what} {broke.message}",
            expected=broke.expected,
            observed=broke.observed,
            look=look,
            hint=hint,
        )


def get(site: Site, target: str, what: str, *, headers: Headers = (), within: float | None = None) -> Reply:
    """GET on a connection of its own."""
    return answered(lambda: site.get(target, headers=headers, within=within), what)


def expect(reply: Reply, *statuses: int, what: str, code: str, look: str = SEE_ALL, hint: int = 1) -> None:
    """End the check where an answer has another status."""
    if reply.status not in statuses:
        fail(
            code,
            f"{what} {reply.asked}",
            expected=" or ".join(map(str, statuses)),
            observed=f"{reply.status} {quote(reply.body, 120)}",
            look=look,
            hint=hint,
        )


def every_ok(
    door: Door, count: int, path: str, what: str, code: str, *, hint: int, within: float | None = None
) -> None:
    """So many GETs of kiosk.test one after another, each on a connection of its own; all must be answered with 200."""
    for number in range(1, count + 1):
        target = f"{path}?n={number}"
        reply = answered(
            lambda target=target: door.kiosk.get(target, within=within), f"{what} GET {number} of {count}:",
            code=code, hint=hint,
        )  # fmt: skip
        expect(reply, 200, what=f"{what} GET {number} of {count}:", code=code, hint=hint)


def in_rows(door: Door, path: str, count: int, rows: int) -> None:
    """So many GETs of kiosk.test over a few connections side by side; all must be answered with 200."""

    def row(first: int) -> list[Reply]:
        with door.kiosk.talk() as talk:
            return [talk.request("GET", f"{path}?n={number}") for number in range(first, count, rows)]

    calls = [lambda first=first: row(first) for first in range(rows)]
    for replies in answered(lambda: together(calls), f"{count} GETs were sent."):
        for reply in replies:
            expect(reply, 200, what=f"One of {count} GETs:", code="request-failed")


def reached(door: Door, path: str) -> Request:
    """The one request with such a target that reached the pool; a failed check where there is none, or more."""
    found = [one for _, one in door.seen(path)]
    if len(found) != 1:
        arrived = [f"{one.method} {one.target}" for _, one in door.seen("")][-5:]
        fail(
            "not-forwarded" if not found else "forwarded-twice",
            f"A request for {path} was sent to the front door once.",
            expected="it reaches one application, once",
            observed=f"{len(found)} times; the pool saw {quote(', '.join(arrived) or 'nothing', 300)}",
            look=SEE_ALL,
            hint=1,
        )
    return found[0]


def trusted(door: Door, site: Site, **offer: Any) -> Site:
    """The same site for a client that believes the lab's root, and nobody else."""
    host, port = door.lab.door("ca")
    try:
        reply = http.request("ca", host, port, "GET", "/root.crt")
    except LearnerBroke as broke:
        raise LabFault(f"The certificate authority does not answer: {broke.message}") from None
    if reply.status != 200 or b"BEGIN CERTIFICATE" not in reply.body:
        raise LabFault(f"The certificate authority has no root: {reply.status}")
    return replace(site, secure=Secure(site.name, root=reply.text, **offer))
