"""The volumes of a stack that hold no file of the learner's: data, and what services share. Starts nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import Engine
from roadmap_labs.stack.plan import Seat, ServicePlan


class Volumes:
    """Makes volumes with the seat's labels, and finds those again that a playground keeps."""

    def __init__(self, engine: Engine, seat: Seat) -> None:
        self._engine, self._seat = engine, seat
        self._of_replicas: dict[str, str] = {}

    def share(self, plans: Iterable[ServicePlan]) -> None:
        """Make the volumes that services fill for roles."""
        for plan in plans:
            if plan.manifest.shared:
                self._engine.create_volume(self.shared(plan.name), self._seat.labels("shared", plan.name))

    def shared(self, service: str) -> str:
        """The volume that this service fills."""
        return self._seat.name(f"{service}-shared")

    def kept(self, name: str) -> str:
        """The data of a service or a replica; a playground goes on with what it has."""
        marks = self._seat.labels("data", name)
        found = self._engine.find(
            "volume", {key: marks[key] for key in (labels.STACK, labels.PART, labels.SERVICE)}
        )
        if found:
            return found[0].name
        # Named by the run: what still removes a dead run's volume must never mean this one.
        volume = self._seat.name(f"{name}-data-{self._seat.run}")
        self._engine.create_volume(volume, marks)
        return volume

    def fresh(self, replica: str) -> str:
        """Empty data for a replica of a check, gone with it."""
        volume = self._seat.name(f"{replica}-data-{secrets.token_hex(3)}")
        self._engine.create_volume(volume, self._seat.labels("data", replica))
        self._of_replicas[replica] = volume
        return volume

    def drop(self, replica: str) -> None:
        """Remove a replica's data, if it has any."""
        volume = self._of_replicas.pop(replica, None)
        if volume is not None:
            self._engine.remove("volume", volume)
