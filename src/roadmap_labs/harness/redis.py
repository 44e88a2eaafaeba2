"""Looks into a Redis server with the checker's account: keys, lifetimes, the stream of commands. Knows no lab."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

from roadmap_labs.harness import resp
from roadmap_labs.harness.monitor import Monitor
from roadmap_labs.harness.service import Service
from roadmap_labs.harness.verdicts import LearnerBroke, quote

MAX_KEYS = 50_000
GONE, IMMORTAL = -2, -1


class Redis:
    """One server. Keys are bytes, times are milliseconds of the server's clock."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._ours: set[str] = set()
        self._opening = threading.Lock()
        self._monitor: Monitor | None = None
        self._line = self._open()

    def _open(self) -> resp.Line:
        one = self.service
        line = resp.Line(one.name, one.host, one.port, one.user, one.password)
        found = dict(pair.split(b"=", 1) for pair in line.ask("CLIENT", "INFO").split() if b"=" in pair)
        self._ours.add(found[b"addr"].decode())
        return line

    def ask(self, *command: resp.Argument) -> Any:
        """Any command; its reply in bytes, numbers and lists."""
        return self._line.ask(*command)

    def ask_all(self, commands: Sequence[Sequence[resp.Argument]]) -> list[Any]:
        """Many commands in one round trip."""
        return self._line.ask_all(commands)

    @property
    def monitor(self) -> Monitor:
        """The recording of this run; it begins when it is first asked for."""
        with self._opening:
            if self._monitor is None:
                self._monitor = Monitor(self._open(), lambda nonce: self.ask("ECHO", nonce), self.is_ours)
            return self._monitor

    def is_ours(self, client: str) -> bool:
        """Whether a connection that MONITOR names belongs to the checks."""
        return client in self._ours

    def scan(self, pattern: str = "*") -> list[bytes]:
        """All keys that match, sorted; by SCAN."""
        found: set[bytes] = set()
        cursor: bytes = b"0"
        while True:
            cursor, page = self.ask("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            found.update(page)
            if len(found) > MAX_KEYS:
                raise LearnerBroke(
                    "L-SVC", f"{self.service.name} holds more keys than the checks can read.",
                    f"at most {MAX_KEYS}", f"more than {len(found)}",
                )  # fmt: skip
            if cursor == b"0":
                return sorted(found)

    def now(self) -> int:
        """The server's clock."""
        seconds, micros = self.ask("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def expires_at(self, keys: Iterable[str | bytes]) -> dict[bytes, int]:
        """For each key the moment of its end; GONE (-2) or IMMORTAL (-1) where there is none."""
        names = [key if isinstance(key, bytes) else key.encode() for key in keys]
        return (
            dict(zip(names, self.ask_all([("PEXPIRETIME", name) for name in names]), strict=True))
            if names
            else {}
        )

    def lives_for(self, key: str | bytes) -> int:
        """How long a key still lives, or GONE, or IMMORTAL."""
        return int(self.ask("PTTL", key))

    def exists(self, key: str | bytes) -> bool:
        """Whether the key is there now."""
        return bool(self.ask("EXISTS", key))


def key_text(key: bytes) -> str:
    """A key as a person reads it."""
    return quote(key, 100)
