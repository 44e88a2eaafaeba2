"""One problem of a lab's files, and where it stands. Knows no rule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Flaw:
    """What is wrong, in which line (from 1; 1 where it is about the whole file), and what to change."""

    file: Path
    line: int
    rule: str
    sentence: str
    cure: str = ""
