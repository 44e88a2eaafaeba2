"""The order service as the checks use it: orders, reads, what /replication says, who served. Judges single answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from cluster import Cluster, Node, see

from roadmap_labs.harness import LearnerBroke, Reply, Role, difference, fail, quote
from roadmap_labs.harness.crowd import gathered
from roadmap_labs.harness.statements import Ran, Snapshot
from roadmap_labs.harness.strictjson import NotJson, parse
from roadmap_labs.harness.waiting import factor, reached

TOKEN = "X-Consistency-Token"
POSITION = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
READS = r"^(?![\s\S]*\b(?:insert|update|delete)\b)[\s\S]*\borders\b"
INSERTS = r"\binsert\b[\s\S]*\borders\b"
SHORT = {"WRITE_TIMEOUT_MS": "2000"}  # where a 503 is what has to come
PATIENCE = 30.0  # for a 201 on a loaded machine; the contract's own limit is the service's to keep
ANSWER_SECONDS = 15.0  # for a 503, whatever is broken
SEE_REPLICATION = "curl -s http://127.0.0.1:PORT/replication"
SEE_READS = see("pg-b", "select calls, query from pg_stat_statements where query like '%orders%'")


@dataclass(frozen=True)
class Placed:
    """An order that was answered with 201."""

    id: int
    token: str
    body: dict[str, Any]

    @property
    def card(self) -> dict[str, Any]:
        return {"id": self.id, **self.body}


class Shop:
    """Both instances of the service."""

    def __init__(self, cluster: Cluster, **environment: str) -> None:
        self.cluster = cluster
        self.first, self.second = cluster.lab.replicas("app", 2, environment=environment)

    @property
    def both(self) -> tuple[Role, Role]:
        return self.first, self.second

    def other(self, role: Role) -> Role:
        return self.second if role == self.first else self.first

    def turns(self, count: int) -> list[Role]:
        """The instances, one after the other."""
        return [self.both[number % 2] for number in range(count)]

    # -- orders

    def place(self, role: Role, body: dict[str, Any], *, within: float | None = None) -> Placed:
        """POST an order that has to be answered with 201, an id and a token."""
        return placed(role.post("/orders", body, within=within or PATIENCE * factor()), body)

    def place_patiently(
        self, role: Role, body: dict[str, Any], within: float, *, code: str, story: str
    ) -> Placed:
        """POST the same order again and again until it is a 201; the check is over where it never is."""
        last: list[str] = ["nothing"]

        def gave_up() -> NoReturn:
            fail(code, story, expected=f"201 within {within * factor():g} s", observed=f"last: {last[0]}",
                 look="roadmap-labs logs app", hint=3)  # fmt: skip

        def tried() -> Placed | None:
            reply = answered(role, body)
            last[:] = [shown(reply)]
            if isinstance(reply, Reply) and reply.status not in (201, 503):
                gave_up()
            return placed(reply, body) if isinstance(reply, Reply) and reply.status == 201 else None

        done, found = reached(tried, within, every=0.2)
        if not done or found is None:
            gave_up()
        return found

    def refused(self, bodies: Sequence[dict[str, Any]], *, code: str, story: str, hint: int = 1) -> None:
        """POST orders all at once; each has to be a 503 that says not_acknowledged, in time."""
        calls = [
            partial(answered, role, body) for role, body in zip(self.turns(len(bodies)), bodies, strict=True)
        ]
        replies = gathered(calls)
        confirmed = [reply for reply in replies if isinstance(reply, Reply) and reply.status == 201]
        if confirmed:
            fail(
                code,
                f"{story} {len(confirmed)} of {len(bodies)} orders were confirmed with 201.",
                expected=f"{len(bodies)} x 503: nobody but one host has these orders",
                observed=shown(confirmed[0]),
                look="roadmap-labs logs pg-a",
                hint=hint,
            )
        wrong = [reply for reply in replies if not is_refusal(reply)]
        if wrong:
            fail(
                "no-clear-refusal",
                f"{story} {len(wrong)} of {len(bodies)} orders were not answered as the contract says.",
                expected=f'503 {{"error": "not_acknowledged"}} within {ANSWER_SECONDS:g} s',
                observed=shown(wrong[0]),
                look="roadmap-labs logs app",
                hint=3,
            )

    # -- reads

    def read(
        self, role: Role, card: dict[str, Any], token: str | None = None, within: float | None = None
    ) -> Reply:
        """GET an order that exists; its answer has to be 200 and the order."""
        limit = {} if within is None else {"within": within}
        reply = role.get(
            f"/orders/{card['id']}", headers={TOKEN: token} if token is not None else {}, **limit
        )
        if reply.status != 200:
            fail(
                "order-not-read",
                f"{reply.asked} was asked for an order that exists{' with its token' if token else ''}.",
                expected="status 200",
                observed=shown(reply),
                look="roadmap-labs logs app",
                hint=1,
            )
        wrong = difference(card, reply.json)
        if wrong:
            fail("wrong-order", f"{reply.asked} answered another order than the one that is stored.",
                 expected="id, client_ref, sku and qty as they were ordered", observed=wrong, hint=None)  # fmt: skip
        return reply

    # -- who is what

    def replication(self, role: Role) -> dict[str, Any]:
        """GET /replication, in the shape of the contract."""
        reply = role.get("/replication")
        found = reply.json if reply.status == 200 else None
        replicas = found.get("replicas") if isinstance(found, dict) else None
        if not isinstance(replicas, list) or not all(
            isinstance(one, dict) and "node" in one for one in replicas
        ):
            fail("wrong-replication", f"{reply.asked} did not answer as the contract says.",
                 expected='200 {"primary": …, "timeline": …, "replicas": [{"node": …, …}]}', observed=shown(reply),
                 look=SEE_REPLICATION, hint=None)  # fmt: skip
        return dict(found)  # type: ignore[arg-type]

    def until(
        self,
        wanted: Callable[[dict[str, Any]], bool],
        within: float,
        *,
        code: str,
        story: str,
        expected: str,
        hint: int,
    ) -> None:
        """Wait until both instances say so in GET /replication."""
        for role in self.both:
            last: list[Any] = [None]

            def says(role: Role = role, last: list[Any] = last) -> bool:
                last[:] = [self.replication(role)]
                return wanted(last[0])

            if not reached(says, within, every=0.1)[0]:
                fail(code, story, expected=f"{expected}, within {within * factor():g} s, from {role.name}",
                     observed=quote(str(last[0]), 300), look=SEE_REPLICATION, hint=hint)  # fmt: skip

    def in_rotation(self, name: str = "pg-b", within: float = 20) -> None:
        """Wait until both instances read from that host."""
        self.until(
            lambda found: bool(replica(found, name).get("in_rotation")),
            within,
            code="not-in-rotation",
            story=f"{name} streams, has replayed everything, and should answer reads.",
            expected=f'{name} with "in_rotation": true',
            hint=2,
        )


def answered(role: Role, body: dict[str, Any]) -> Reply | LearnerBroke:
    """POST an order; what came back, or why nothing did."""
    try:
        return role.post("/orders", body, within=ANSWER_SECONDS)
    except LearnerBroke as broke:
        return broke


def placed(reply: Reply, body: dict[str, Any]) -> Placed:
    """A 201 as the contract has it; anything else ends the check."""
    if reply.status != 201:
        fail("order-refused", f"{reply.asked} was to store an order while everything is well.", expected="status 201",
             observed=shown(reply), look="roadmap-labs logs app", hint=1)  # fmt: skip
    found = reply.json
    number = found.get("id") if isinstance(found, dict) else None
    token = reply.headers.get(TOKEN.lower(), "")
    if type(number) is not int or not POSITION.fullmatch(token):
        fail("wrong-confirmation", f"{reply.asked} confirmed an order in another way than the contract says.",
             expected=f'201 {{"id": …}} and the header {TOKEN} with a log position such as 0/3000148',
             observed=f"{shown(reply)}, {TOKEN}: {quote(token, 40) or 'missing'}", hint=2)  # fmt: skip
    return Placed(number, token, body)


def is_refusal(reply: object) -> bool:
    """A 503 that says that nobody knows."""
    if not isinstance(reply, Reply) or reply.status != 503:
        return False
    try:
        found = parse(reply.body)
    except NotJson:
        return False
    return isinstance(found, dict) and found.get("error") == "not_acknowledged"


def shown(reply: object) -> str:
    """An answer in a few words."""
    if isinstance(reply, Reply):
        return f"status {reply.status}, body {quote(reply.body, 120) if reply.body else 'empty'}"
    return quote(reply.observed if isinstance(reply, LearnerBroke) else repr(reply), 200)


def replica(found: dict[str, Any], name: str) -> dict[str, Any]:
    """What /replication says of one host; empty where it says nothing."""
    return next((one for one in found["replicas"] if one.get("node") == name), {})


class Counted:
    """What the service's account asks both hosts while the block runs."""

    def __init__(self, *nodes: Node) -> None:
        self._nodes = nodes
        self._before: dict[str, Snapshot] = {}
        self.ran: dict[str, Ran] = {}

    def __enter__(self) -> Counted:
        for node in self._nodes:
            self._before[node.name] = node.sql.snapshot()
        return self

    def __exit__(self, kind: object, *_ended: object) -> None:
        if kind is None:
            for node in self._nodes:
                self.ran[node.name] = node.sql.ran_since(self._before[node.name])

    def reads(self, node: Node) -> int:
        """Statements that read shop.orders there."""
        return self.ran[node.name].of(READS)

    def inserts(self, node: Node) -> int:
        """Statements that write new orders there."""
        return self.ran[node.name].of(INSERTS)

    def __str__(self) -> str:
        return "\n".join(f"{name}: {ran}" for name, ran in self.ran.items())


def refs_on(node: Node, refs: Iterable[str]) -> dict[str, int]:
    """client_ref -> id of those that a host has."""
    wanted = ",".join(refs)
    rows = node.rows("select client_ref, id from shop.orders where client_ref = any (string_to_array(:refs, ','))",
                     refs=wanted)  # fmt: skip
    return {str(ref): int(number) for ref, number in rows}


def elapsed(since: float) -> str:
    """Seconds, for a message."""
    return f"{time.monotonic() - since:.1f} s"
