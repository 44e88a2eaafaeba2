"""The vocabulary of the replication checks: two hosts, who follows whom, and what shape they are in. Judges nothing by
itself, except that a host has to come up, and that a whole cluster streams."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from roadmap_labs.harness import Lab, LabFault, LearnerBroke, Role, fail, quote, seeded
from roadmap_labs.harness.postgres import Postgres
from roadmap_labs.harness.waiting import reached

T = TypeVar("T")

UP_SECONDS = 40.0  # for both hosts to be bootstrapped; the solution needs 3 s
STREAM_SECONDS = 20.0
APPLICATION = "shop_app"


def see(host: str, sql: str) -> str:
    """The line that asks a host's server in a playground."""
    return f'roadmap-labs shell {host} -- psql -U postgres shop -c "{sql}"'


SEE_FOLLOWERS = see("pg-a", "select application_name, state, sync_state, replay_lsn from pg_stat_replication")

INITIAL, SPOILED, RETURNED, REJOINED = "initial", "spoiled", "returned", "rejoined"


@dataclass
class Memory:
    """What outlives one check. `shape`: pg-a leads; unknown; pg-b leads and pg-a is back; pg-a follows pg-b."""

    shape: str = INITIAL
    nodes: dict[str, Node] = field(default_factory=dict)
    story: Any = None  # what the accident of T5 showed
    broken_story: str = ""
    diverged: tuple[str, ...] = ()  # client_refs that only pg-a has


class Node:
    """One database host: its container, and the checks' own account on its server."""

    def __init__(self, lab: Lab, name: str, role: Role) -> None:
        self.name, self.role, self._lab = name, role, lab
        self.sql: Postgres = lab.sql_at(
            role, user="lab_observer", secret="lab_observer", database="shop", program=APPLICATION
        )

    @property
    def container(self) -> str:
        return self.role.name

    def value(self, sql: str, **parameters: Any) -> Any:
        """The first column of the first row."""
        return self.sql.value(sql, **parameters)

    def rows(self, sql: str, **parameters: Any) -> list[list[Any]]:
        """The rows of a statement."""
        return self.sql.rows(sql, **parameters)

    def glimpse(self, sql: str, **parameters: Any) -> Any:
        """As `value`, but nothing where the server does not answer."""
        try:
            return self.sql.value(sql, **parameters)
        except LearnerBroke:
            return None

    def hang_up(self) -> None:
        """Close the checks' connection before the host is disturbed; the next question opens another."""
        self.sql.close()

    @property
    def position(self) -> int:
        """How far its log is written, or replayed."""
        return int(
            self.value(
                "select (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end"
                " - '0/0'::pg_lsn)::bigint"
            )
        )


class Cluster:
    """What one check sees of the two hosts and of the service."""

    def __init__(self, lab: Lab, memory: Memory) -> None:
        self.lab, self.memory = lab, memory
        self.random: random.Random = lab.random
        self._paused_replay = False

    @property
    def a(self) -> Node:
        return self.memory.nodes["pg-a"]

    @property
    def b(self) -> Node:
        return self.memory.nodes["pg-b"]

    def ref(self, kind: str = "order") -> str:
        """A client_ref that nobody has seen before."""
        return f"{kind}-{seeded.nonce(self.random)}"

    # -- shapes

    def up(self) -> Node:
        """Both hosts as they begin; a fresh pair where a check left them in another shape. Gives pg-a."""
        fresh = self.memory.shape != INITIAL
        if fresh:
            for node in self.memory.nodes.values():
                node.hang_up()
            self.lab.drop("app")  # a service may rightly remember the newest timeline that it has seen
            for name in ("pg-a", "pg-b"):
                self.lab.drop(name)
        for name in ("pg-a", "pg-b"):
            role = self.lab.run(name)
            known = self.memory.nodes.get(name)
            if fresh or known is None or known.role != role:
                self.memory.nodes[name] = Node(self.lab, name, role)
        self.memory.shape = INITIAL
        if fresh:
            self.memory.diverged = ()
        self.answering(self.a)
        return self.a

    def whole(self) -> Node:
        """pg-a leads and pg-b streams from it. Gives pg-a."""
        self.up()
        self.streams(self.a, "pg-b")
        self.answering(self.b)
        return self.a

    def spoil(self) -> None:
        """From here on the hosts are in no shape that another check could use."""
        self.memory.shape = SPOILED

    def answering(self, node: Node, within: float = UP_SECONDS) -> None:
        """Wait until a host lets the checks log in; ends the check where it has died or stays silent."""
        seen: list[LearnerBroke] = []

        def answers() -> bool:
            try:
                return node.value("select 1") == 1
            except LearnerBroke as broke:
                seen[:] = [broke]
                self.must_run(node)
                return False

        if not reached(answers, within, every=0.05)[0]:
            raise LearnerBroke(
                "L-SVC",
                f"{node.name} did not let the checks log in within {within:g} s. {self.doing(node)}",
                "a server with the database shop",
                f"{seen[0].observed if seen else ''}\n{quote(self.lab.logs(node.container, 3), 300)}",
            )

    def must_run(self, node: Node) -> None:
        """The check is over where a host has ended by itself."""
        state = self.lab.state(node.container)
        if state["status"] in ("exited", "dead"):
            raise LearnerBroke(
                "L-EXIT",
                f"The host {node.name} ended by itself.",
                "a host that stays up",
                f"exit code {state.get('exit_code')}; last lines: {quote(self.lab.logs(node.container, 4), 600)}",
            )

    def doing(self, node: Node) -> str:
        """What the first process of a host is at, in words."""
        words = {
            "bootstrapping": "bootstrap.sh is still running.",
            "starting": "The server is starting.",
            "idle": "The host is up without a server.",
        }
        return words.get(self.status(node), "")

    def status(self, node: Node) -> str:
        """`bootstrapping`, `starting`, `running`, `stopping`, `idle` (no server), or `gone`."""
        if self.lab.state(node.container)["status"] != "running":
            return "gone"
        return self.lab.inside(node.container, ["/lab/status"]).output.decode("utf-8", "replace").strip()

    def streams(self, primary: Node, name: str, within: float = STREAM_SECONDS) -> None:
        """Wait until a standby of that name streams; a fault of this check's own ground, judged by t1_streaming."""
        sql = (
            "select count(*) from pg_stat_replication where state = 'streaming' and application_name = :name"
        )
        done, _ = reached(lambda: primary.glimpse(sql, name=name) == 1, within, every=0.05)
        if not done:
            fail(
                "not-streaming",
                f"This needs {name} to follow {primary.name}, and it did not within {within:g} s.",
                expected=f"a row of pg_stat_replication on {primary.name}: {name}, streaming",
                observed=followers(primary),
                look=SEE_FOLLOWERS,
                hint=None,
            )

    def caught_up(self, primary: Node, standby: Node, within: float = 30.0) -> tuple[bool, int]:
        """Whether the standby soon has replayed what the primary has written by now; and the bytes that are missing."""
        target = primary.position
        sql = "select (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint"
        done, _ = reached(lambda: (standby.glimpse(sql) or 0) >= target, within, every=0.02)
        return done, 0 if done else target - int(standby.glimpse(sql) or 0)

    # -- the checks' own hand in the database

    def insert(self, node: Node, count: int = 1, kind: str = "check") -> list[tuple[int, dict[str, Any]]]:
        """Orders that never went through the service: id, and what GET has to answer. They wait for no standby."""
        found = []
        for _ in range(count):
            body = self.body(kind)
            number = int(
                node.value(
                    "insert into shop.orders (client_ref, sku, qty) values (:client_ref, :sku, :qty) returning id",
                    **body,
                )
            )
            found.append((number, {"id": number, **body}))
        return found

    def body(self, kind: str = "order") -> dict[str, Any]:
        """An order that nobody has seen before."""
        return {
            "client_ref": self.ref(kind),
            "sku": f"SEAT-{self.random.randint(1, 99_999)}",
            "qty": self.random.randint(1, 8),
        }

    def fill(self, node: Node, size: int) -> None:
        """Bytes in the log that change no table, at most a megabyte at once."""
        while size > 0:
            piece = min(size, 1_000_000)
            node.value(
                "select pg_logical_emit_message(false, 'lab', repeat('x', cast(:n as integer)))::text",
                n=piece,
            )
            size -= piece

    def pause_replay(self) -> None:
        """pg-b goes on to receive the log and shows nothing of it. Undone when the check is over."""
        self._paused_replay = True
        self.b.rows("select pg_wal_replay_pause()")
        done, state = reached(lambda: self.b.value("select pg_get_wal_replay_pause_state()") == "paused", 10)
        if not done:
            raise LabFault(f"Replay on pg-b was to be paused, and is not: {state}.")

    def resume_replay(self) -> None:
        """pg-b shows what it has received."""
        if self._paused_replay:
            self.b.rows("select pg_wal_replay_resume()")
            self._paused_replay = False

    def leave(self) -> None:
        """What a check changed inside a server, and nobody else would undo."""
        if self._paused_replay:
            try:
                self.resume_replay()
            except LearnerBroke:
                self.spoil()
        for node in self.memory.nodes.values():
            node.hang_up()


def followers(node: Node) -> str:
    """pg_stat_replication in a line or two."""
    try:
        rows = node.rows("select application_name, usename, state, sync_state from pg_stat_replication")
    except LearnerBroke as broke:
        return f"{node.name} does not answer: {broke.observed}"
    shown = "\n".join(", ".join(quote(str(field), 40) for field in row) for row in rows[:4])
    return shown or f"pg_stat_replication on {node.name} is empty"


def in_words(call: Callable[[], T]) -> T | str:
    """What a call gives, or what the learner's side said instead."""
    try:
        return call()
    except LearnerBroke as broke:
        return broke.observed
