"""All hostile submissions of the mirror lab, in the order of the catalogue. Knows nothing of how they are graded."""

from __future__ import annotations

from tests.hostile.corpus import checker, exhausting, files, idle, server
from tests.hostile.submission import Hostile

CORPUS: tuple[Hostile, ...] = (*checker.ROWS, *idle.ROWS, *server.ROWS, *exhausting.ROWS, *files.ROWS)
