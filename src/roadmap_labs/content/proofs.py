"""Reads the proof that lies beside a lab. Knows nothing of how a lab is proven."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "proof.json"
SCHEMA = "roadmap-labs.proof/v1"


def read(folder: Path) -> Mapping[str, Any] | None:
    """The proof beside a lab; None where there is none that can be read."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def measured(folder: Path) -> dict[str, float]:
    """The longest time in seconds that each check needed in the lab's proof; empty without one."""
    times = (read(folder) or {}).get("solution", {}).get("longest_checks", {})
    return {str(check): float(seconds) for check, seconds in times.items()}
