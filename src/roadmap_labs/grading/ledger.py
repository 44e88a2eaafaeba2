"""The truth about what was graded: one SQLite file. Knows no engine, no lab, and no way to judge.

A submission is claimed in one transaction and committed in another; what a dead process had claimed is free again. So
a batch that is killed anywhere and run again ends with the same rows as one that was left alone, and no row twice.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from roadmap_labs.errors import CannotWrite, WrongUse

State = Literal["waiting", "running", "graded", "ungraded"]

VERSION = 1
MOST_ATTEMPTS = 3  # an infrastructure fault is tried again twice, then it is "ungraded", never a zero
_SCHEMA = """
CREATE TABLE batch (lab TEXT NOT NULL, lab_digest TEXT NOT NULL, seed INTEGER NOT NULL, checks TEXT NOT NULL);
CREATE TABLE job (
    id TEXT PRIMARY KEY, digest TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', attempts INTEGER NOT NULL DEFAULT 0,
    owner TEXT NOT NULL DEFAULT '', result TEXT, claimed REAL, committed REAL
) WITHOUT ROWID;
CREATE TABLE recheck (id TEXT PRIMARY KEY REFERENCES job, same INTEGER NOT NULL, result TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Batch:
    """What a ledger is about; a second run must be about the same."""

    lab: str
    lab_digest: str
    seed: int
    checks: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One submission as the ledger has it. `result` is its whole document, once there is one."""

    id: str
    digest: str  # of the submission's files; of the refusal, where it was refused
    state: State
    attempts: int
    result: Mapping[str, Any] | None = None


class Ledger:
    """One batch's ledger; any thread may call."""

    def __init__(self, file: Path, is_dead: Callable[[str], bool | None]) -> None:
        self._file, self._is_dead = file, is_dead
        self._lock = threading.Lock()
        try:
            self._base = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            version = int(self._base.execute("PRAGMA user_version").fetchone()[0])
            if version == 0:
                with self._transaction():
                    for statement in _SCHEMA.split(";"):
                        self._base.execute(statement)
                    self._base.execute(f"PRAGMA user_version={VERSION}")
        except sqlite3.Error as error:
            raise CannotWrite(
                f"The ledger {file} can't be opened: {error}.",
                cure="If it is damaged, move it away: the results beside it stay, and the batch is graded anew.",
            ) from error
        if version not in (0, VERSION):
            raise WrongUse(
                f"The ledger {file} was written by another version of roadmap-labs.",
                cure="Choose another --out.",
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def open_batch(self, batch: Batch) -> Batch:
        """Begin, or go on with, a batch; returns it as it was begun. `WrongUse` where the ledger is about another."""
        with self._transaction():
            row = self._base.execute("SELECT lab, lab_digest, seed, checks FROM batch").fetchone()
            if row is None:
                self._base.execute(
                    "INSERT INTO batch VALUES (?, ?, ?, ?)",
                    (batch.lab, batch.lab_digest, batch.seed, json.dumps(batch.checks)),
                )
                return batch
        begun = Batch(row[0], row[1], row[2], tuple(json.loads(row[3])))
        if begun.lab != batch.lab:
            raise WrongUse(f"{self._file.parent} holds grades of {begun.lab}, not of {batch.lab}.",
                           cure="Choose another --out.")  # fmt: skip
        if (begun.lab_digest, begun.checks) != (batch.lab_digest, batch.checks):
            raise WrongUse(
                f"The lab {batch.lab} has changed since {self._file.parent} was begun; grades would not compare.",
                cure="Choose another --out, and all are graded by the same checks.",
            )
        return begun

    def batch(self) -> Batch:
        """What it is about; `WrongUse` where nothing was begun yet."""
        with self._lock:
            row = self._base.execute("SELECT lab, lab_digest, seed, checks FROM batch").fetchone()
        if row is None:
            raise WrongUse(
                f"{self._file} is empty.", cure="Grade first:  roadmap-labs grade LAB SUBMISSIONS --out OUT"
            )
        return Batch(row[0], row[1], row[2], tuple(json.loads(row[3])))

    def enter(self, id_: str, digest: str) -> Job:
        """Make sure of a row for this submission; one that is there stays as it is, also where the digest differs."""
        with self._transaction():
            self._base.execute("INSERT OR IGNORE INTO job (id, digest) VALUES (?, ?)", (id_, digest))
        return self.job(id_)

    def begin_again(self, id_: str, digest: str) -> None:
        """Forget a result: the submission is to be judged (again), with these files."""
        with self._transaction():
            self._base.execute(
                "UPDATE job SET digest=?, state='waiting', attempts=0, owner='', result=NULL WHERE id=?",
                (digest, id_),
            )
            self._base.execute("DELETE FROM recheck WHERE id=?", (id_,))

    def claim(self, owner: str, id_: str | None = None) -> Job | None:
        """The next submission that waits, or this one, now running for `owner`; None where it does not wait."""
        with self._transaction():
            row = self._base.execute(
                "UPDATE job SET state='running', attempts=attempts+1, owner=?, claimed=? "
                "WHERE id=(SELECT id FROM job WHERE state='waiting' AND (? IS NULL OR id=?) "
                "ORDER BY attempts, id LIMIT 1) RETURNING id, digest, state, attempts",
                (owner, time.time(), id_, id_),
            ).fetchone()
        return Job(*row) if row else None

    def free_the_dead(self) -> int:
        """Submissions that a dead process had claimed wait again, and that attempt does not count; how many."""
        with self._transaction():
            owners = [
                row[0] for row in self._base.execute("SELECT DISTINCT owner FROM job WHERE state='running'")
            ]
            gone = [owner for owner in owners if self._is_dead(owner) is True]
            count = 0
            for owner in gone:
                count += self._base.execute(
                    "UPDATE job SET state='waiting', attempts=attempts-1, owner='' WHERE state='running' AND owner=?",
                    (owner,),
                ).rowcount
            return count

    def commit(
        self, id_: str, owner: str, result: Mapping[str, Any], *, judged: bool, digest: str | None = None
    ) -> State:
        """Write a result, once. Not `judged` means a fault of ours: the submission waits again, or is ungraded.

        `digest` is that of the files that were judged, where these are not the ones that were entered.
        """
        with self._transaction():
            row = self._base.execute(
                "SELECT attempts FROM job WHERE id=? AND state='running' AND owner=?", (id_, owner)
            ).fetchone()
            if row is None:
                return self._state(id_)  # somebody else was faster, and the first word stands
            state: State = "graded" if judged else "waiting" if row[0] < MOST_ATTEMPTS else "ungraded"
            self._base.execute(
                "UPDATE job SET state=?, owner='', result=?, committed=?, digest=coalesce(?, digest) WHERE id=?",
                (state, json.dumps(result, ensure_ascii=False), time.time(), digest, id_),
            )
            return state

    def give_back(self, owner: str, id_: str | None = None) -> None:
        """What `owner` has claimed (or this of it) and not finished waits again; such an attempt does not count."""
        with self._transaction():
            self._base.execute(
                "UPDATE job SET state='waiting', attempts=attempts-1, owner='' "
                "WHERE state='running' AND owner=? AND (? IS NULL OR id=?)",
                (owner, id_, id_),
            )

    def note_recheck(self, id_: str, result: Mapping[str, Any], *, same: bool) -> None:
        """Keep what a second judgement of the same files said."""
        with self._transaction():
            self._base.execute(
                "INSERT OR REPLACE INTO recheck VALUES (?, ?, ?)",
                (id_, int(same), json.dumps(result, ensure_ascii=False)),
            )

    def rechecks(self) -> dict[str, bool]:
        """The submissions that were judged twice, and whether both said the same."""
        with self._lock:
            return {
                row[0]: bool(row[1]) for row in self._base.execute("SELECT id, same FROM recheck ORDER BY id")
            }

    def job(self, id_: str) -> Job:
        """One submission; `KeyError` where it was never entered."""
        found = self._jobs("WHERE id=?", (id_,))
        if not found:
            raise KeyError(id_)
        return found[0]

    def jobs(self) -> tuple[Job, ...]:
        """All of them, in the order of their ids."""
        return self._jobs("", ())

    def ids(self, state: State) -> tuple[str, ...]:
        """The submissions in a state, those with the fewest attempts first."""
        with self._lock:
            rows = self._base.execute(
                "SELECT id FROM job WHERE state=? ORDER BY attempts, id", (state,)
            ).fetchall()
        return tuple(row[0] for row in rows)

    def count(self) -> dict[State, int]:
        """How many submissions are in each state."""
        with self._lock:
            rows = self._base.execute("SELECT state, count(*) FROM job GROUP BY state").fetchall()
        counted: dict[State, int] = {"waiting": 0, "running": 0, "graded": 0, "ungraded": 0}
        return counted | dict(rows)

    def close(self) -> None:
        with self._lock:
            self._base.close()

    def _state(self, id_: str) -> State:
        row = self._base.execute("SELECT state FROM job WHERE id=?", (id_,)).fetchone()
        if row is None:
            raise KeyError(id_)
        state: State = row[0]
        return state

    def _jobs(self, where: str, values: Iterable[str]) -> tuple[Job, ...]:
        with self._lock:
            rows = self._base.execute(
                f"SELECT id, digest, state, attempts, result FROM job {where} ORDER BY id",  # noqa: S608 (our own words)
                tuple(values),
            ).fetchall()
        return tuple(
            Job(id_, digest, state, attempts, json.loads(result) if result else None)
            for id_, digest, state, attempts, result in rows
        )
