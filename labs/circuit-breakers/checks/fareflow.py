"""The vocabulary of the circuit-breakers checks: partners that are well or ill, routes that only one check knows, what
an answer of the service says. Judges nothing by itself, except that an answer has the form of the contract."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from roadmap_labs.harness import (
    Lab,
    Reply,
    Role,
    fail,
    quote,
    seeded,
    together,
    waiting,
)

PATIENT = 55.0  # for a request that the check itself keeps waiting; a check takes 60 s at most
NEVER = "1000000"  # BREAKER_MIN_CALLS where the breaker has to stay out of the way

SEE_LOG = "roadmap-labs shell fares sim log"
SEE_BREAKERS = "curl -s $APP/breakers"
LOGS = "roadmap-labs logs quotes"


@dataclass(frozen=True)
class Answer:
    """What GET /quotes said: `fares` is where the fare came from, "live", "stale" or "none"; "" for another answer."""

    reply: Reply
    fares: str
    reviews: str = ""
    price: int | None = None
    as_of: str = ""
    degraded: bool = False

    def __str__(self) -> str:
        return f"{self.reply.status} {quote(self.reply.body, 140)}"


class Fareflow:
    """What one check sees. Its routes begin with a word that nobody else uses, and are well until it says otherwise."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.random: random.Random = lab.random
        self.word = seeded.nonce(lab.random, 8)
        self.fares, self.reviews = lab.upstream("fares"), lab.upstream("reviews")
        self.price = seeded.cents(lab.random, 4_900)
        self.as_of = (
            f"2031-0{lab.random.randint(1, 9)}-1{lab.random.randint(0, 9)}T08:3{lab.random.randint(0, 9)}:00Z"
        )
        self.text = seeded.name(lab.random)
        self._numbers = itertools.count(1)
        for partner in (self.fares, self.reviews):
            partner.reset()
        self.well()

    # -- the service

    def quotes(self, *, fresh: bool = False, **environment: object) -> Role:
        """The service with these variables changed; `fresh` for one that has seen nothing yet."""
        changed = {name: str(value) for name, value in environment.items()}
        return self.lab.run("quotes", environment=changed, fresh=fresh)

    def closed_quotes(self, **environment: object) -> Role:
        """The same, with a breaker that is closed and a window that holds nothing but successes."""
        role = self.quotes(**environment)
        if "BREAKER_OPEN_MS" in environment:  # it may have been left open, and is about to try
            waiting.reached(lambda: self._well_and_closed(role), 4, every=0.1)
        if self.state(role) != "closed":
            role = self.quotes(fresh=True, **environment)
        self.succeed(role, 20)
        return role

    def _well_and_closed(self, role: Role) -> bool:
        return self.state(role) == "closed" or (
            self.ask(role, self.route("back")).fares == "live" and self.state(role) == "closed"
        )

    # -- the partners

    def well(self) -> None:
        """Both partners know every route of this check, but those of `unknown`."""
        mine = {"route": f"{self.word}.*"}
        fare = {"route": "{{param:route}}", "price_cents": self.price, "as_of": self.as_of}
        said = {"route": "{{param:route}}", "reviews": [{"stars": 4, "text": self.text}]}
        self.fares.routes(
            [
                {"path": f"/fares/{self.word}-unknown*", "status": 404, "json": self.not_found()},
                {"path": f"/fares/{self.word}-bad*", "status": 500, "json": {"error": "internal"}},
                {"path": "/fares/{route}", "where": mine, "json": fare},
                {"path": "/bookings", "method": "POST", "status": 201,
                 "json": {"booking_id": "{{field:booking_id}}"}},
            ]
        )  # fmt: skip
        self.reviews.route("/reviews/{route}", where=mine, json=said)

    def not_found(self) -> dict[str, str]:
        """What the partner says about a route that does not exist."""
        return {"error": "not_found", "said": self.word}

    def ill(self, kind: str = "", **route: Any) -> None:
        """From now on the routes of one kind (all) fail in this way; with 500, if nothing else is said."""
        self.fares.route(
            f"/fares/{self.word}-{kind}*", **(route or {"status": 500, "json": {"error": "internal"}})
        )

    def route(self, kind: str = "") -> str:
        """A route that nobody has asked for in this run. Those of kind `bad` fail, `unknown` do not exist."""
        return f"{self.word}-{kind}{next(self._numbers):04d}"  # none is the beginning of another

    def seen(self, kind: str = "") -> int:
        """How many calls for fares of one kind of routes have reached the partner."""
        return self.fares.count(self.path(kind))

    def path(self, kind: str = "") -> str:
        """How calls for fares of one kind of routes begin."""
        return f"/fares/{self.word}-{kind}"

    # -- requests

    def ask(self, role: Role, route: str, within: float | None = None) -> Answer:
        """GET a quote, and ends the check where the answer has not the form of the contract."""
        return self.read(role.get(f"/quotes/{route}", within=within), route)

    def read(self, reply: Reply, route: str) -> Answer:
        """An answer to GET /quotes/{route}."""
        if reply.status == 200:
            return self._offer(reply, route)
        if reply.status == 503:
            found = reply.json
            if not isinstance(found, dict) or found.get("error") != "unavailable":
                _malformed(reply, '{"error": "unavailable", ...}')
            return Answer(reply, "none")
        return Answer(reply, "")

    def _offer(self, reply: Reply, route: str) -> Answer:
        found = reply.json
        try:
            fare, sources = found["fare"], found["sources"]
            one = Answer(
                reply,
                sources["fares"],
                sources["reviews"],
                fare["price_cents"],
                fare["as_of"],
                found["degraded"],
            )
            sound = (
                found["route"] == route
                and one.fares in ("live", "stale")
                and one.reviews in ("live", "none")
                and type(one.price) is int
                and isinstance(one.as_of, str)
                and isinstance(one.degraded, bool)
                and isinstance(found["reviews"], list if one.reviews == "live" else type(None))
            )
        except (KeyError, TypeError):
            sound = False
        if not sound:
            _malformed(reply, '{"route", "fare": {"price_cents", "as_of"}, "reviews", "degraded", "sources"}')
        return one

    def live(self, role: Role, route: str | None = None, *, after: str = "") -> Answer:
        """GET a quote whose partners are well; ends the check when the fare is not live, or is not the right one."""
        route = route or self.route()
        before = self.fares.count(f"/fares/{route}")
        answer = self.ask(role, route)
        self._expect_live(answer, after)
        if self.fares.count(f"/fares/{route}") == before:
            fail("not-asked", f"{answer.reply.asked} was answered with a live fare.", expected="a call at fares",
                 observed="none", look=SEE_LOG)  # fmt: skip
        return answer

    def _expect_live(self, answer: Answer, after: str = "") -> None:
        if answer.fares != "live":
            fail(
                "not-live",
                f"Both partners are well{after}, and {answer.reply.asked} was asked for.",
                expected="200 with the partner's fare, sources.fares live",
                observed=str(answer),
                look=LOGS,
            )
        if (answer.price, answer.as_of) != (self.price, self.as_of):
            fail("wrong-fare", f"{answer.reply.asked} was asked for.", expected=f"{self.price}, {self.as_of}",
                 observed=f"{answer.price}, {quote(answer.as_of, 40)}", look=LOGS)  # fmt: skip

    def succeed(self, role: Role, count: int) -> None:
        """So many calls that succeed, each of a route of its own, four at a time."""
        before = self.seen("ok")
        for answer in together([lambda: self.ask(role, self.route("ok"))] * count, threads=4):
            self._expect_live(answer)
        if self.seen("ok") - before != count:
            fail("not-asked", f"{count} quotes were asked for and answered with live fares.",
                 expected=f"{count} calls at fares", observed=f"{self.seen('ok') - before}", look=SEE_LOG)  # fmt: skip

    def fail_calls(self, role: Role, count: int, kind: str = "bad") -> list[Answer]:
        """So many requests for routes whose calls fail, one after another."""
        return [self.ask(role, self.route(kind)) for _ in range(count)]

    def opened(self, role: Role) -> None:
        """Returns when the breaker of fares is open: of four failing calls not all reach the partner any more."""
        for _ in range(15):
            before = self.seen("bad")
            # Four at once are more than may try when it is half-open.
            together([lambda: self.ask(role, self.route("bad"))] * 4)
            if self.seen("bad") < before + 4:
                return
        fail(
            "never-opens",
            "Sixty calls for fares failed with status 500, four at a time.",
            expected="an open breaker: after BREAKER_MIN_CALLS failures no call reaches the partner",
            observed="the last four calls reached the partner, too",
            look=SEE_LOG,
            hint=2,
        )

    # -- what the service says of itself

    def breaker(self, role: Role, name: str = "fares") -> dict[str, Any]:
        """One entry of GET /breakers."""
        reply = role.get("/breakers")
        found = reply.json if reply.status == 200 else None
        one = found.get(name) if isinstance(found, dict) else None
        if (
            not isinstance(one, dict)
            or one.get("state") not in ("closed", "open", "half_open")
            or type(one.get("rejected")) is not int
            or type(one.get("calls_in_progress")) is not int
        ):
            _malformed(reply, '{"fares": {"state", "rejected", "calls_in_progress"}, "reviews": {...}}')
        return one

    def state(self, role: Role, name: str = "fares") -> str:
        """The state of one breaker."""
        return str(self.breaker(role, name)["state"])

    def expect_state(self, role: Role, wanted: Sequence[str], what: str, *, code: str, hint: int = 2) -> None:
        """Ends the check unless the breaker of fares is in one of these states."""
        state = self.state(role)
        if state not in wanted:
            fail(code, what, expected=f"state {' or '.join(wanted)}", observed=f"state {state}",
                 look=SEE_BREAKERS, hint=hint)  # fmt: skip

    def becomes_closed(self, role: Role, what: str, *, code: str, hint: int = 2) -> None:
        """Asks one route after another until the fare is live and the breaker closed; ends the check if it never is."""

        def once() -> bool:
            return self.ask(role, self.route("back")).fares == "live" and self.state(role) == "closed"

        if not waiting.reached(once, 20, every=0.1)[0]:
            fail(code, what, expected="the breaker closes again, and fares are live",
                 observed=f"after {20 * waiting.factor():.0f} s: {self.ask(role, self.route('back'))},"
                 f" state {self.state(role)}", look=f"{SEE_BREAKERS}\n{SEE_LOG}", hint=hint)  # fmt: skip


def _malformed(reply: Reply, wanted: str) -> None:
    fail(
        "wrong-form",
        f"{reply.asked} was answered in a form that the contract does not know.",
        expected=wanted,
        observed=f"{reply.status} {quote(reply.body, 200)}",
        look=LOGS,
    )
