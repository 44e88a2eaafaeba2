"""Every call of start, check and stop is failed in every way, and the process killed there: what is left is counted.

    python -m tests.endurance.fault_loops [--operations start,check,stop] [--kinds kill,500,...] [--workers 2]

Each pair of kind and variant goes on with k = 1, 2, ... until the operation ends without reaching k.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from roadmap_labs.engine.docker_engine import open_engine
from tests.engine.faulty import KINDS, VARIANTS, Fault
from tests.engine.loops import OPERATIONS, FaultLoop, strangers
from tests.engine.stage import Stage

IMAGE = "roadmap-labs/debian:trixie"


@dataclass
class Row:
    """One line of the table."""

    operation: str
    kind: str
    variant: str
    most: int = 0  # the last k that was reached
    exits: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        exits = " ".join(f"{code}:{count}" for code, count in sorted(self.exits.items()))
        name = f"{self.operation:<6} {self.kind:<8} {self.variant:<7}"
        healed = f"healed within {self.slowest:5.1f} s"
        return f"{name} k=1..{self.most:<4} {healed}   wrong {len(self.wrong)}   exits {exits}"


def run_row(loop: FaultLoop, row: Row) -> Row:
    """All k of one row."""
    k = 0
    while True:
        k += 1
        try:
            played = loop.play(row.operation, Fault(k, row.kind, row.variant))
        except AssertionError as wrong:
            row.wrong.append(str(wrong))
            row.most = k
            print(f"WRONG {wrong}\n", flush=True)
            if len(row.wrong) >= 20:
                return row
            continue
        if not played.reached:
            return row
        row.most = k
        row.exits[played.code] += 1
        row.slowest = max(row.slowest, played.healed_seconds)


def main(arguments: list[str]) -> int:
    """Run the loops, print the table, return how many runs went wrong (at most 1 as an exit code)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", default=",".join(OPERATIONS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--workers", type=int, default=2)
    wish = parser.parse_args(arguments)
    rows = [
        Row(operation, kind, variant)
        for operation in wish.operations.split(",")
        for kind in wish.kinds.split(",")
        for variant in wish.variants.split(",")
        if (kind, variant) != ("gone", "lost")
    ]
    began, own = time.monotonic(), threading.local()
    open_stages: list[Stage] = []
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-labs-faults-") as scratch,
        strangers(secrets.token_hex(4), IMAGE) as others,
        ThreadPoolExecutor(wish.workers) as pool,
    ):
        engine = open_engine()

        def work(row: Row) -> Row:
            if not hasattr(own, "loop"):
                place = Path(scratch) / f"worker-{threading.get_ident()}"
                stage = Stage(place / "home").__enter__()
                open_stages.append(stage)
                own.loop = FaultLoop(engine, stage, place, others)
            run_row(own.loop, row)
            print(row, flush=True)
            return row

        done = list(pool.map(work, rows))
        for stage in open_stages:
            stage.__exit__()
    count = sum(sum(row.exits.values()) for row in done)
    print(f"\n{len(done)} rows, {count} faults, {time.monotonic() - began:.0f} s")
    print(*done, sep="\n")
    wrong = sum(len(row.wrong) for row in done)
    print(f"wrong: {wrong}")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
