"""A TCP proxy in front of a server, told what to break and asked what passed. Knows no protocol and no lab.

The server is `services/tcp-fault`. In lab.yaml:

    amqp-fault: {recipe: tcp-fault, settings: {target: "rabbitmq:5672"}}     the learner connects to amqp-fault:9000

A connection that comes while the target is gone is closed with RST, as soon as that is known. Words for checks, all
from `fault = lab.fault("amqp-fault")`:

    with fault.broken(swallow="up"):      inside the block; every fault is off after it. The faults are
        refuse=True                       the listener is closed; connections that stand are left alone
        freeze=True                       connecting works, no byte moves, nothing is lost: it all comes later
        swallow="up" | "down" | "both"    bytes from the client ("up") or from the target ("down") are thrown away; an
                                          end (FIN, RST) is passed on. When this is off, what lost bytes is reset
        latency_ms=300                    each direction is late by so much
        rate=2000                         bytes a second, each direction of each connection
    fault.reset()                         RST on both sides of every connection; how many there were
    fault.seen()                          counts: opened, closed, failed, bytes_up, bytes_down, swallowed_up (_down);
                                          `connections`: number, client, began, ended, bytes_up, bytes_down

The admin side, port 9001 (`Authorization: Bearer <password>` in a check, open in a playground), answers each of these
with its whole state:

    GET /state
    PUT /faults {"swallow": "up"}         what is left out is off
    DELETE /faults
    POST /reset                           `cut` in the answer is the number of connections
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from roadmap_labs.harness.admin import Admin
from roadmap_labs.harness.verdicts import LabFault


@dataclass(frozen=True)
class Passage:
    """One connection through the proxy; `ended` is None while it stands, `reached` whether the target was."""

    number: int
    client: str
    began: float
    ended: float | None
    reached: bool
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True)
class Passed:
    """What went through the proxy since it started. Numbers only grow; compare two."""

    opened: int
    closed: int
    failed: int
    bytes_up: int
    bytes_down: int
    swallowed_up: int
    swallowed_down: int
    connections: tuple[Passage, ...]

    @property
    def standing(self) -> tuple[Passage, ...]:
        """The connections that are open now."""
        return tuple(one for one in self.connections if one.ended is None)


class Fault:
    """One proxy. Everything it is told is in force when the word returns."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def seen(self) -> Passed:
        """Connections and bytes until now."""
        return _passed(self._admin.ask("GET", "/state"))

    def reset(self) -> int:
        """End every connection that stands, with RST on both sides; how many there were."""
        return int(self._admin.ask("POST", "/reset")["cut"])

    def break_by(self, **faults: Any) -> None:
        """Put these faults in force and all others off, and prove it."""
        self._prove(self._admin.ask("PUT", "/faults", faults), faults)

    def mend(self) -> None:
        """All faults off."""
        self._prove(self._admin.ask("DELETE", "/faults"), {})

    @contextmanager
    def broken(self, **faults: Any) -> Iterator[None]:
        """These faults are in force inside the block, none after it."""
        self.break_by(**faults)
        try:
            yield
        except BaseException:
            with suppress(LabFault):  # the check has its verdict; a second problem must not take its place
                self.mend()
            raise
        self.mend()

    def _prove(self, state: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        in_force = {name: value for name, value in state["faults"].items() if value}
        if in_force != {name: value for name, value in wanted.items() if value}:
            raise LabFault(f"{self._admin.name} has {in_force} in force instead of {dict(wanted)}.")
        if state["listening"] == bool(wanted.get("refuse")):
            raise LabFault(f"{self._admin.name} listens: {state['listening']}, with {in_force} in force.")


def _passed(state: Mapping[str, Any]) -> Passed:
    carried, lost = state["bytes"], state["swallowed"]
    connections = tuple(
        Passage(
            one["number"],
            one["client"],
            one["began"],
            one["ended"],
            one["reached"],
            one["bytes"]["up"],
            one["bytes"]["down"],
        )
        for one in state["connections"]
    )
    return Passed(
        state["opened"],
        state["closed"],
        state["failed"],
        carried["up"],
        carried["down"],
        lost["up"],
        lost["down"],
        connections,
    )
