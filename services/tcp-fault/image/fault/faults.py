"""What the proxy is told to do wrong, and how such a wish is read. Knows nothing of sockets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

UP, DOWN = "up", "down"  # from the client to the target, and back
SWALLOWS = ("", UP, DOWN, "both")


class Nonsense(Exception):
    """A wish that can't be granted; says why."""


@dataclass(frozen=True)
class Faults:
    """All faults that are in force; the defaults are none."""

    refuse: bool = False  # the listener is closed: connecting fails. Connections that stand are left alone
    freeze: bool = False  # connecting works, no byte moves in either direction, and nothing is lost
    swallow: str = ""  # bytes of this direction are read and thrown away: "up", "down" or "both"
    latency_ms: int = 0  # each direction is late by so much
    rate: int = 0  # bytes a second for each direction of a connection; 0 is no limit

    def swallows(self, direction: str) -> bool:
        """Whether bytes of this direction are thrown away."""
        return self.swallow in (direction, "both")

    def told(self) -> dict[str, object]:
        """As JSON has it."""
        return asdict(self)


def wished(wish: object) -> Faults:
    """The faults that a JSON object asks for; what it leaves out is off."""
    if not isinstance(wish, dict):
        raise Nonsense("the faults are a JSON object")
    kinds = {field.name: type(getattr(Faults(), field.name)) for field in fields(Faults)}
    for name, value in wish.items():
        if name not in kinds:
            raise Nonsense(f"there is no fault {name!r}; there are {', '.join(kinds)}")
        if type(value) is not kinds[name]:
            raise Nonsense(f"{name} is a {kinds[name].__name__}")
    faults = replace(Faults(), **wish)
    if faults.swallow not in SWALLOWS:
        raise Nonsense("swallow is 'up', 'down', 'both' or ''")
    if not 0 <= faults.latency_ms <= 600_000 or not 0 <= faults.rate <= 10**9:
        raise Nonsense("latency_ms is 0 to 600000, rate is 0 to 1000000000")
    return faults
