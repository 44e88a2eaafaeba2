"""Looks into a PostgreSQL server with the checker's account: rows, and who ran which statement how often. Knows no lab.

Counts come from pg_stat_statements. A statement is added when its portal ends, and inside a transaction that can be as
late as COMMIT, which may reach the server after the program has answered. `settled` is the barrier: a session that
shows as idle has added everything it ran.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pg8000.exceptions
import pg8000.native

from roadmap_labs.harness import waiting
from roadmap_labs.harness.service import Service
from roadmap_labs.harness.statements import Ran, Snapshot, is_work, ran_between
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke, Verdict, quote

MAX_ROWS = 20_000
PATIENCE = 5.0  # seconds for the sessions of a program to come to rest
_LOCKED_OUT, _TOOK_TOO_LONG = "55P03", "57014"  # SQLSTATE of lock_timeout and of statement_timeout

_COUNTS = """
select s.queryid::text, s.calls, left(s.query, 300)
from pg_stat_statements s join pg_roles r on r.oid = s.userid
where r.rolname = :role and s.toplevel and s.dbid = (select oid from pg_database where datname = current_database())
"""
_RESTLESS = """
select coalesce(state, 'hidden'), left(query, 200) from pg_stat_activity
where usename = :role and backend_type = 'client backend' and state is distinct from 'idle'
"""


# Who keeps the server from others: seconds in one transaction, and its last statement. Somebody who waits for a lock is
# no culprit, and without a lock (:locked) only a statement that still runs can be one.
_HOGS = """
select extract(epoch from now() - xact_start)::int, left(query, 200) from pg_stat_activity
where usename = :role and backend_type = 'client backend' and xact_start < now() - interval '5 seconds'
  and wait_event_type is distinct from 'Lock' and (:locked or state = 'active')
order by xact_start limit 1
"""


class Postgres:
    """One server; threads take turns on one connection, every statement is a transaction of its own.

    `learners`: the server is the learner's, so it is the learner's side that broke where it refuses the checks.
    """

    def __init__(self, service: Service, *, learners: bool = False) -> None:
        self.service = service
        self.learners = learners
        self.role = str(service.settings.get("user", service.name))
        self._turn = threading.Lock()
        self._line: Any = None

    def rows(self, sql: str, **parameters: Any) -> list[list[Any]]:
        """The rows of a statement with `:name` parameters, at most 20,000."""
        with self._turn:
            try:
                if self._line is None:
                    self._line = self._open()
                found = self._line.run(sql, **parameters) or []
            except (OSError, KeyError, pg8000.exceptions.Error) as error:
                self._line = None
                raise self._hogged(error) or self._refused(error) from None
        if len(found) > MAX_ROWS:
            raise LabFault(
                f"A check read {len(found)} rows from {self.service.name}; at most {MAX_ROWS} are allowed."
            )
        return [list(row) for row in found]

    def value(self, sql: str, **parameters: Any) -> Any:
        """The first column of the first row, or nothing."""
        found = self.rows(sql, **parameters)
        return found[0][0] if found else None

    def _open(self) -> Any:
        one = self.service
        line = pg8000.native.Connection(
            one.user, host=one.host, port=one.port, database=str(one.settings.get("database", one.user)),
            password=one.password, timeout=30, application_name="checks",
        )  # fmt: skip
        line.run("set lock_timeout = '10s'; set statement_timeout = '25s'")
        return line

    def another(self) -> Postgres:
        """A connection of its own to the same server, for what a session holds: locks, transactions, settings."""
        return Postgres(self.service, learners=self.learners)

    def refusal(self, sql: str, **parameters: Any) -> str:
        """The SQLSTATE with which the server refuses a statement; nothing where it does not."""
        with self._turn:
            try:
                self._line = self._line or self._open()
                self._line.run(sql, **parameters)
            except pg8000.exceptions.DatabaseError as error:
                return _sqlstate(error) or "?"
            except (OSError, pg8000.exceptions.InterfaceError) as error:
                self._line = None
                raise self._refused(error) from None
        return ""

    def _hogged(self, error: Exception) -> Verdict | None:
        """What to say where the checks waited in vain, and a session of the program is what they waited for."""
        why = _sqlstate(error)
        if why not in (_LOCKED_OUT, _TOOK_TOO_LONG):
            return None
        with (
            contextlib.suppress(OSError, KeyError, pg8000.exceptions.Error),
            contextlib.closing(self._open()) as line,
        ):
            for seconds, query in line.run(_HOGS, role=self.role, locked=why == _LOCKED_OUT):
                return LearnerBroke(
                    "L-SVC",
                    f"{self.service.name} kept the checks waiting behind a session of your program.",
                    "transactions that end, so that others get their turn",
                    f"a transaction {seconds} s old, its last statement: {quote(query)}",
                )
        return None

    def _refused(self, error: Exception) -> Verdict:
        name = self.service.name
        if not self.learners:
            return LabFault(f"{name} refused the checks: {error}.", code="I-STATE")
        said = error.args[0].get("M", error) if error.args and isinstance(error.args[0], dict) else error
        return LearnerBroke(
            "L-SVC",
            f"PostgreSQL in {name} did not answer the checks.",
            "an answer",
            quote(said) or type(error).__name__,
        )

    def close(self) -> None:
        """End the connection; what it held is released, what it had begun is undone."""
        with self._turn, contextlib.suppress(OSError, pg8000.exceptions.Error):
            line, self._line = self._line, None
            if line is not None:
                line.close()

    def __enter__(self) -> Postgres:
        return self

    def __exit__(self, *_ended: object) -> None:
        self.close()

    def settled(self) -> tuple[str, ...]:
        """Waits until every session of the program is at rest; what still runs when patience ends is given back."""

        def restless() -> tuple[str, ...]:
            return tuple(f"{state}: {query}" for state, query in self.rows(_RESTLESS, role=self.role))

        seen: list[tuple[str, ...]] = []

        def quiet() -> bool:
            seen[:] = [restless()]
            return not seen[0]

        waiting.reached(quiet, PATIENCE, every=0.005)
        return seen[0]

    def snapshot(self, *, settle: bool = True) -> Snapshot:
        """The counters of the program's account now, after its sessions have come to rest."""
        restless = self.settled() if settle else ()
        dropped = int(self.value("select dealloc from pg_stat_statements_info"))
        counts = {key: (int(calls), query or "") for key, calls, query in self.rows(_COUNTS, role=self.role)}
        return Snapshot(counts, dropped, restless)

    def ran_since(self, before: Snapshot, wanted: Callable[[str], bool] = is_work) -> Ran:
        """The statements that the program has ended since `before`, session chatter left out."""
        after = self.snapshot()
        if after.dropped != before.dropped:
            raise LearnerBroke(
                "L-SVC",
                f"{self.service.name} saw so many different statements that its statistics had to forget some.",
                "statements with parameters, a handful of different ones",
                "more different statements than pg_stat_statements keeps",
            )
        return ran_between(before, after, wanted)

    def proves_itself(self) -> None:
        """A lab fault unless the counters count: our own statement must appear exactly once."""
        before = self._own_calls()
        self.rows("select 'proof' as roadmap_labs_proof")
        after = self._own_calls()
        if after != before + 1:
            raise LabFault(
                f"pg_stat_statements of {self.service.name} counted {after - before} calls instead of 1."
            )

    def _own_calls(self) -> int:
        sql = "select coalesce(sum(calls), 0)::bigint from pg_stat_statements where query like :text and toplevel"
        return int(self.value(sql, text="select $1 as roadmap_labs_proof%"))


def login(host: str, port: int, user: str, password: str, database: str, within: float = 10) -> str:
    """Try to log in; the SQLSTATE of the refusal, `?` where nobody answers the protocol, nothing where it is let in."""
    try:
        pg8000.native.Connection(
            user, host=host, port=port, database=database, password=password, timeout=within
        ).close()
    except pg8000.exceptions.DatabaseError as error:
        return _sqlstate(error) or "?"
    except (OSError, KeyError, pg8000.exceptions.Error):
        return "?"  # KeyError: pg8000 meets an answer of a server's first moments that has no such field
    return ""


def _sqlstate(error: Exception) -> str:
    """The server's code for what it refused; empty where the error is not the server's."""
    said = error.args[0] if error.args else None
    return str(said.get("C", "")) if isinstance(said, dict) else ""


@dataclass(frozen=True)
class Table:
    """The state of a table in one value, to see whether anything was written."""

    rows: int
    digest: str


def table_state(server: Postgres, table: str, order: str) -> Table:
    """Number of rows and a digest of all of them; the names come from the check, never from outside."""
    sql = f"select count(*), coalesce(md5(string_agg(t::text, '|' order by {order})), '') from {table} t"  # noqa: S608
    count, digest = server.rows(sql)[0]
    return Table(int(count), str(digest))
