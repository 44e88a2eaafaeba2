"""T4 Protect: a storm on the login harms nobody else."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from door import (
    SEE_ACCESS,
    SEE_POOL,
    Door,
    answered,
    expect,
)

from roadmap_labs.harness import Reply, fail, held, needs, together, waiting
from roadmap_labs.harness.http1 import Site

AT_ONCE = 10  # the first, and a burst of 9
A_TOKEN = 2.0  # seconds: 30 a minute
PROMPT = 5.0


@dataclass(frozen=True)
class Storm:
    """What many logins at once were answered with, and how long it took from the first to the last."""

    replies: list[Reply]
    seconds: float

    @property
    def accepted(self) -> int:
        return sum(reply.status == 200 for reply in self.replies)

    def most(self) -> int:
        """How many may be accepted, with the tokens that came back meanwhile."""
        return AT_ONCE + math.ceil(self.seconds / A_TOKEN) + 1


def _storm(door: Door, site: Site, count: int) -> Storm:
    """Logins from one address at one moment."""
    path = f"/login?n={door.nonce()}"
    began = time.monotonic()
    ask = [lambda: site.post(path, b'{"user": "anna"}', within=40 * waiting.factor())] * count
    replies = answered(lambda: together(ask), f"{count} logins came from one address at once.")
    return Storm(replies, time.monotonic() - began)


def test_t4_login_limit(door: Door) -> None:
    """Ten logins at once from one address, then 30 a minute; the rest hears 429"""
    for client, site, count in (("client-1", door.kiosk, 40), ("client-2", door.api, 20)):
        before = door.count("/login", method="POST")
        storm = _storm(door, door.from_client(client, site), count)
        reached = door.count("/login", method="POST") - before
        what = f"{count} logins at {site.name} came from one address within {storm.seconds:.1f} s."
        others = sorted({reply.status for reply in storm.replies} - {200, 429})
        if others:
            fail("login-answered-otherwise", what, expected="200 or 429", observed=", ".join(map(str, others)),
                 look=SEE_ACCESS, hint=2)  # fmt: skip
        if storm.accepted > storm.most():
            fail("login-storm-let-in", what,
                 expected=f"{AT_ONCE} to {storm.most()} of them are let in, the rest gets 429",
                 observed=f"{storm.accepted} were let in", look=SEE_ACCESS, hint=2)  # fmt: skip
        if storm.accepted < AT_ONCE:
            fail("login-too-strict", what,
                 expected=f"{AT_ONCE} to {storm.most()} of them are let in: a burst of 9 is fine",
                 observed=f"{storm.accepted} were let in", look=SEE_ACCESS, hint=2)  # fmt: skip
        slowest = max(reply.seconds for reply in storm.replies)
        if slowest > PROMPT * waiting.factor():
            fail("login-queued", what, expected=f"an answer to each within {PROMPT:g} s: a yes or a no, no queue",
                 observed=f"the slowest took {slowest:.1f} s", look=SEE_ACCESS, hint=3)  # fmt: skip
        if reached != storm.accepted:
            fail("login-count-differs", what, expected=f"the pool sees the {storm.accepted} that got 200",
                 observed=f"it sees {reached}", look=SEE_POOL, hint=2)  # fmt: skip


@needs("t4_login_limit")
def test_t4_limit_is_per_client(door: Door) -> None:
    """The limit counts addresses, and believes no header that a client invents"""
    first, second = (door.from_client(client, door.kiosk) for client in ("client-1", "client-2"))
    began = time.monotonic()
    _storm(door, first, 20)
    reply = answered(lambda: second.post("/login", b"{}"), "A login from another address followed a storm.")
    expect(reply, 200, what="One address made a storm of logins. Another address logs in, once:",
           code="limit-hits-others", look=SEE_ACCESS, hint=2)  # fmt: skip
    replies = []
    for _ in range(10):
        claimed = ".".join(str(door.random.randint(1, 254)) for _ in range(4))
        headers = {"X-Forwarded-For": claimed, "X-Real-IP": claimed, "Forwarded": f"for={claimed}"}
        replies.append(
            answered(
                lambda headers=headers: first.post("/login", b"{}", headers=headers), "A login was sent."
            )
        )
    accepted = sum(reply.status == 200 for reply in replies)
    most = 1 + math.ceil((time.monotonic() - began) / A_TOKEN)
    if accepted > most:
        fail(
            "limit-believes-header",
            "After a storm of logins, 10 more came from the same address, each with another X-Forwarded-For.",
            expected=f"at most {most} of them are let in",
            observed=f"{accepted} were let in",
            look=SEE_ACCESS,
            hint=3,
        )


@needs("t4_login_limit")
def test_t4_limit_is_local(door: Door) -> None:
    """A storm of logins does not touch the catalogue"""
    site, count, n = door.from_client("client-1", door.kiosk), 20, door.nonce()
    door.route("/catalog/*", body="{{target}}", headers={"Cache-Control": "max-age=60"})
    storm = held([lambda: _storm(door, site, 40)])
    replies = answered(
        lambda: together(
            [lambda number=number: site.get(f"/catalog/{n}/{number}") for number in range(count)], threads=4
        ),
        "Pages of the catalogue were asked for during a storm of logins.",
    )
    ended = storm.results(40 * waiting.factor())[0]
    if isinstance(ended, Exception):
        raise ended
    refused = [reply.status for reply in replies if reply.status != 200]
    if refused:
        fail(
            "limit-hits-catalog",
            f"While 40 logins came from one address, {count} pages of the catalogue were asked for from there.",
            expected=f"{count} times 200",
            observed=f"{len(refused)} times {refused[0]}",
            look=SEE_ACCESS,
            hint=2,
        )
