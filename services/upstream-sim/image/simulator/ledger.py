"""What reached the data side: one entry a request, and the counts that follow from them. Knows no routes, no gates."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulator.wire import Request

MOST_ENTRIES = 20_000
SHOWN_BODY = 2048


@dataclass
class Entry:
    """One request. Times are seconds of this machine's monotonic clock."""

    sequence: int
    connection: int
    request: Request
    arrived: float
    ended: float | None = None
    status: int | None = None
    outcome: str = ""  # "answered", "went away" (the client), "cut" (we), "" while it is in progress
    gate: str = ""
    sent: int = 0

    def shown(self) -> dict[str, Any]:
        """The entry as JSON values."""
        one = self.request
        return {
            "sequence": self.sequence,
            "connection": self.connection,
            "method": one.method,
            "target": one.target,
            "version": one.version,
            "headers": [list(pair) for pair in one.headers],
            "body": one.body[:SHOWN_BODY].decode("utf-8", "backslashreplace"),
            "body_length": one.length,
            "body_digest": one.digest,
            "arrived": self.arrived,
            "ended": self.ended,
            "status": self.status,
            "outcome": self.outcome,
            "gate": self.gate,
            "sent": self.sent,
        }


class Ledger:
    """All entries since the last reset, oldest first; the oldest fall out when there are too many."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=MOST_ENTRIES)
        self.sequence = 0
        self.connections_opened = 0
        self.connections_open = 0

    def arrived(self, connection: int, request: Request, when: float) -> Entry:
        """A request has been read whole."""
        self.sequence += 1
        entry = Entry(self.sequence, connection, request, when)
        self.entries.append(entry)
        return entry

    def ended(self, entry: Entry, outcome: str) -> None:
        """Nothing more will be sent for it."""
        if entry.ended is None:
            entry.ended, entry.outcome = time.monotonic(), outcome

    def chosen(self, path: str = "", since: int = 0, method: str = "") -> Iterator[Entry]:
        """Entries after sequence number `since` whose target begins with `path`."""
        for entry in self.entries:
            one = entry.request
            if entry.sequence > since and one.target.startswith(path) and method in ("", one.method):
                yield entry

    def counts(self, path: str = "", since: int = 0, method: str = "") -> dict[str, Any]:
        """How many requests there were, are in progress, and were in progress at most at one moment."""
        chosen = list(self.chosen(path, since, method))
        steps = [(entry.arrived, 1) for entry in chosen]
        steps += [(entry.ended, -1) for entry in chosen if entry.ended is not None]
        now = highest = 0
        for _, step in sorted(steps):  # of one moment, ends come first
            now += step
            highest = max(highest, now)
        return {
            "requests": len(chosen),
            "in_progress": sum(entry.ended is None for entry in chosen),
            "highest": highest,
            "connections_used": len({entry.connection for entry in chosen}),
            "connections_opened": self.connections_opened,
            "connections_open": self.connections_open,
            "sequence": self.sequence,
        }

    def clear(self) -> None:
        """Forgets what is over. Sequence and connection numbers go on."""
        self.entries = deque((entry for entry in self.entries if entry.ended is None), MOST_ENTRIES)
