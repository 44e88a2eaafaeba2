"""Where a server of the lab is, and the account that the checks have on it. Knows no protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Service:
    """One server of the lab: where the checks reach it, how the learner's side reaches it, and the accounts."""

    name: str
    host: str
    port: int
    internal_port: int
    settings: Mapping[str, str]
    user: str
    password: str = field(repr=False)
    ports: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # further ports by name: host, port
    speaks: str = ""  # "redis", "postgres", "http:/path", "tcp": what a short greeting must look like


def service_of(name: str, found: Mapping[str, Any]) -> Service:
    """A server as the orchestrator describes it."""
    account = found.get("checker") or {}
    return Service(
        name,
        found["host"],
        int(found["port"]),
        int(found.get("internal_port", 0)),
        dict(found.get("settings") or {}),
        str(account.get("user", "checker")),
        str(account.get("password", "")),
        further(found),
        str(found.get("speaks", "")),
    )


def further(found: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """The further ports of a server or a role: host and port by name."""
    return {name: (str(one["host"]), int(one["port"])) for name, one in (found.get("ports") or {}).items()}
