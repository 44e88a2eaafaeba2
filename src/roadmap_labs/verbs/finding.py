"""One thing that was looked at on this machine. Knows nothing of how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `ok` None where it could not be measured."""

    name: str
    ok: bool | None
    seen: str
    cure: str = ""
