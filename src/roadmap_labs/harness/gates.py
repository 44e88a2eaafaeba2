"""Barriers inside PostgreSQL: sessions that hold a lock while the program's sessions queue up behind it. Knows no lab.

A lock belongs to a session, so whoever holds one gets a connection of its own, and losing it lets everybody go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from roadmap_labs.harness import waiting
from roadmap_labs.harness.postgres import Postgres
from roadmap_labs.harness.verdicts import LabFault

_BLOCKED = """
select a.pid, coalesce(host(a.client_addr), ''), left(a.query, 200) from pg_stat_activity a
where a.usename = :role and :pid = any (pg_blocking_pids(a.pid)) order by a.query_start, a.pid
"""


@dataclass(frozen=True)
class Waiter:
    """A session of the program that waits: its number, where it comes from, what it has asked."""

    pid: int
    address: str
    query: str = ""


@dataclass(frozen=True)
class GateWords:
    """How a lab's SQL closes and opens one gate and lists who waits (pid, address, role), with named parameters."""

    close: str
    open: str
    waiters: str
    pass_through: str  # what waits at a closed gate; run by the checks to prove that it does


class Gate:
    """One closed gate. Made by `closed`."""

    def __init__(self, server: Postgres, words: GateWords, parameters: dict[str, Any]) -> None:
        self._server, self._words, self._parameters = server, words, parameters
        self._holder = server.another()
        self.is_open = False

    def close(self) -> None:
        """Close it, and prove that it holds up even the checks."""
        self._holder.rows(self._words.close, **self._parameters)
        with self._server.another() as prover:
            prover.rows("set lock_timeout = '20ms'")
            if prover.refusal(self._words.pass_through, **self._given(self._words.pass_through)) != "55P03":
                raise LabFault("The gate is closed, and still a session passes.")

    def open(self) -> None:
        """Let everybody through; nothing happens the second time."""
        if not self.is_open:
            self.is_open = True
            self._holder.rows(self._words.open, **self._given(self._words.open))

    def waiters(self) -> tuple[Waiter, ...]:
        """Sessions of the program that wait now, in the order of their arrival."""
        rows = self._server.rows(self._words.waiters, **self._given(self._words.waiters))
        return tuple(
            Waiter(int(pid), str(address)) for pid, address, role in rows if role == self._server.role
        )

    def held(self, count: int, within: float) -> tuple[Waiter, ...]:
        """The barrier: the waiters as soon as there are at least `count`, or whoever waits when time is up."""
        seen: list[tuple[Waiter, ...]] = [()]

        def enough() -> bool:
            seen[0] = self.waiters()
            return len(seen[0]) >= count

        waiting.reached(enough, within, every=0.01)
        return seen[0]

    def most(self, during: float, until: Callable[[], bool] = lambda: False, enough: int = 1_000_000) -> int:
        """The highest number of waiters seen from now on; ends early at `enough`, or when `until` is true."""
        highest = 0
        deadline = time.monotonic() + during
        while True:
            last_look = time.monotonic() >= deadline
            highest = max(highest, len(self.waiters()))
            if last_look or highest >= enough or until():
                return highest
            time.sleep(0.01)  # between two looks

    def end_sessions(self, waiters: Sequence[Waiter]) -> None:
        """End the database sessions of these waiters, as a lost connection does."""
        for one in waiters:
            self._server.rows("select pg_terminate_backend(:pid)", pid=one.pid)
        pids = {one.pid for one in waiters}
        waiting.settle(
            lambda: not pids & {one.pid for one in self.waiters()}, 10, "the ended sessions had left the gate"
        )

    def _given(self, sql: str) -> dict[str, Any]:
        return {name: value for name, value in self._parameters.items() if f":{name}" in sql}

    def give_up(self) -> None:
        """Open it and let go of the session that held it, whatever state either is in."""
        try:
            self.open()
        finally:
            self._holder.close()


@contextmanager
def closed(server: Postgres, words: GateWords, **parameters: Any) -> Iterator[Gate]:
    """A gate that is closed inside the block and open after it."""
    gate = Gate(server, words, parameters)
    try:
        gate.close()
        yield gate
    finally:
        gate.give_up()


class RowLock:
    """A transaction of the checks that holds what it has locked. Made by `locked`."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._holder = server.another()
        self.pid = int(self._holder.value("select pg_backend_pid()"))

    def take(self, sql: str, **parameters: Any) -> None:
        """Begin, and lock what the statement locks; a fault of ours where there is nothing to lock."""
        self._holder.rows("begin")
        if not self._holder.rows(sql, **parameters):
            raise LabFault("There is no row to lock.")

    def take_table(self, table: str) -> None:
        """Begin, and lock a whole table against writers; it can be read. The name comes from the check."""
        self._holder.rows("begin")
        self._holder.rows(f"lock table {table} in exclusive mode")

    def waiters(self) -> tuple[Waiter, ...]:
        """Sessions of the program that wait for this transaction."""
        rows = self._server.rows(_BLOCKED, role=self._server.role, pid=self.pid)
        return tuple(Waiter(int(pid), str(address), str(query)) for pid, address, query in rows)

    def release(self) -> None:
        """Let go; nothing was changed."""
        self._holder.close()


@contextmanager
def locked(server: Postgres, sql: str, **parameters: Any) -> Iterator[RowLock]:
    """Rows that are locked inside the block, by a SELECT … FOR UPDATE."""
    lock = RowLock(server)
    try:
        lock.take(sql, **parameters)
        yield lock
    finally:
        lock.release()


@contextmanager
def table_locked(server: Postgres, table: str) -> Iterator[RowLock]:
    """A table into which nobody can write inside the block; reads go on."""
    lock = RowLock(server)
    try:
        lock.take_table(table)
        yield lock
    finally:
        lock.release()
