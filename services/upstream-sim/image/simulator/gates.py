"""Named barriers: requests that match one wait there until it is opened. Knows nothing of answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from simulator.ledger import Entry
from simulator.routes import Pattern


@dataclass
class Gate:
    """One barrier. `waiting` holds those at it in the order of their arrival."""

    name: str
    pattern: Pattern
    is_open: bool = False
    passed: int = 0
    waiting: dict[int, tuple[Entry, asyncio.Event]] = field(default_factory=dict)

    async def wait(self, entry: Entry) -> None:
        """Returns when the gate lets this request through."""
        if self.is_open:
            self.passed += 1
            return
        let = asyncio.Event()
        self.waiting[entry.sequence] = (entry, let)
        entry.gate = self.name
        try:
            await let.wait()
        finally:
            self.waiting.pop(entry.sequence, None)

    def let(self, count: int | None) -> int:
        """Let the first `count` of those who wait through, or (None) everybody from now on. How many went."""
        chosen = list(self.waiting)[:count] if count is not None else list(self.waiting)
        self.is_open = self.is_open or count is None
        for sequence in chosen:
            self.waiting.pop(sequence)[1].set()
        self.passed += len(chosen)
        return len(chosen)

    def shown(self) -> dict[str, Any]:
        """The gate as JSON values; a client that has gone away waits no longer."""
        return {
            "name": self.name,
            "open": self.is_open,
            "waiting": len(self.waiting),
            "sequences": list(self.waiting),
            "targets": [entry.request.target for entry, _ in self.waiting.values()],
            "passed": self.passed,
        }


class Gates:
    """All gates by name; a request waits at the newest that fits it."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def close(self, name: str, pattern: Pattern) -> Gate:
        """A new closed gate; one of the same name is opened for those who wait there, and replaced."""
        self.remove(name)
        gate = self._gates[name] = Gate(name, pattern)
        return gate

    def remove(self, name: str) -> None:
        """Open it for everybody and forget it."""
        gate = self._gates.pop(name, None)
        if gate is not None:
            gate.let(None)

    def named(self, name: str) -> Gate | None:
        """The gate of that name."""
        return self._gates.get(name)

    def all(self) -> list[Gate]:
        """Every gate, oldest first."""
        return list(self._gates.values())

    def at(self, method: str, path: str) -> Gate | None:
        """The newest gate that fits a request."""
        fitting = (
            gate for gate in reversed(self._gates.values()) if gate.pattern.fits(method, path) is not None
        )
        return next(fitting, None)

    def clear(self) -> None:
        """Open and forget all."""
        for name in list(self._gates):
            self.remove(name)
