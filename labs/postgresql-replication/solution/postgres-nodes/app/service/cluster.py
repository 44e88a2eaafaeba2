"""Asks both hosts again and again who is the primary, who follows, how far behind. Knows no orders and no HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from service.lanes import Lanes, Line, TooLate
from service.settings import settings

EVERY = 0.2  # seconds between two looks at a host
PATIENCE = 2.5  # seconds for one look; a host that is only busy must not look dead
# Connections to each host. Readers have their own: a writer that waits keeps one for as long as it takes.
READERS = WRITERS = 16

_LOOK = """
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer END,
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
           - '0/0'::pg_lsn)::bigint
"""
_FOLLOWERS = "SELECT application_name, state FROM pg_stat_replication"


@dataclass(frozen=True)
class Sight:
    """What one host said of itself."""

    standby: bool
    timeline: int
    position: int  # in the log: written by a primary, replayed by a standby
    followers: Mapping[str, str]  # name -> state


@dataclass(frozen=True)
class Replica:
    """A host that is not the primary."""

    name: str
    state: str
    lag: int | None
    in_rotation: bool


@dataclass(frozen=True)
class View:
    """All hosts at one moment."""

    primary: str | None
    timeline: int | None
    replicas: tuple[Replica, ...]

    @property
    def readers(self) -> tuple[str, ...]:
        """Whom to ask for an order, the best first."""
        fit = tuple(one.name for one in self.replicas if one.in_rotation)
        return (*fit, self.primary) if self.primary else fit


class Host:
    """One database host: the connections to it, and what it said when it was asked last."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.readers, self.writers = Lanes(name, port, READERS), Lanes(name, port, WRITERS)
        self._looker = Lanes(name, port, 1)
        self.sight: Sight | None = None

    def watch(self) -> None:
        """Look for ever."""
        while True:
            try:
                self.sight = self._looker.ask(_look, PATIENCE, hang_up=True)
            except (TooLate, psycopg.Error):
                self.sight = None
            if self.sight is None or self.sight.standby:
                self.writers.hang_up()  # nobody there will say a word that counts
            time.sleep(EVERY)

    def doubt(self) -> None:
        """A standby that did not answer a reader is asked by no other before it was seen again."""
        if self.sight is not None and self.sight.standby:
            self.sight = None


def _look(line: Line) -> Sight:
    row = line.execute(_LOOK).fetchone()
    if row is None or row[2] is None:
        raise psycopg.OperationalError("a host in between")
    followers = {} if row[0] else dict(line.execute(_FOLLOWERS).fetchall())
    return Sight(row[0], row[1], row[2], followers)


hosts = {name: Host(name, port) for name, port in settings.hosts}


def watch() -> None:
    """Begin to look at the hosts."""
    for host in hosts.values():
        threading.Thread(target=host.watch, daemon=True).start()


def view() -> View:
    """What is known now. Of two that call themselves primary, the one with the newer timeline is."""
    seen = {name: host.sight for name, host in hosts.items()}
    primaries = {name: sight for name, sight in seen.items() if sight is not None and not sight.standby}
    primary = max(primaries, key=lambda name: primaries[name].timeline, default=None)
    lead = primaries[primary] if primary else None
    replicas = tuple(_replica(name, sight, lead) for name, sight in seen.items() if name != primary)
    return View(primary, lead.timeline if lead else None, replicas)


def _replica(name: str, sight: Sight | None, lead: Sight | None) -> Replica:
    if sight is None:
        return Replica(name, "unreachable", None, False)
    if lead is None:  # nobody writes: what a standby has is all there is
        return Replica(name, "no primary", None, sight.standby)
    state = lead.followers.get(name, "not following")
    lag = max(lead.position - sight.position, 0)
    fit = sight.standby and state == "streaming" and lag <= settings.max_replica_lag
    return Replica(name, state, lag, fit)


def document() -> dict[str, Any]:
    """The answer of GET /replication."""
    now = view()
    replicas: list[dict[str, Any]] = []
    for one in now.replicas:
        lag = {} if one.lag is None else {"lag_bytes": one.lag}
        replicas.append({"node": one.name, "state": one.state, **lag, "in_rotation": one.in_rotation})
    return {"primary": now.primary, "timeline": now.timeline, "replicas": replicas}
