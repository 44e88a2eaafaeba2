"""Cold starts of PostgreSQL and Redis: none is called ready before it is, none takes longer than the limit.

python -m tests.endurance.cold_starts [--count 200]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.watchdog import guard
from roadmap_labs.errors import Problem
from roadmap_labs.stack.awaiting import SERVICE_SECONDS
from tests.engine.cold import new_run, starts


def main(arguments: list[str]) -> int:
    """Raise so many stacks, print the table; 1 where a start was too early or over the limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    wish = parser.parse_args(arguments)
    run = new_run()
    watchdog = guard(run)
    seconds: list[float] = []
    early, late = 0, 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="roadmap-labs-cold-") as scratch:
        start = starts(open_engine(), Path(scratch), run)
        for number in range(1, wish.count + 1):
            try:
                one = start()
            except Problem as problem:
                late += 1
                print(f"LATE {number}: {problem.message}", flush=True)
                continue
            seconds.append(one.seconds)
            early += len(one.too_early)
            if one.too_early:
                print(f"EARLY {number}: {one.too_early}", flush=True)
            if number % 25 == 0:
                print(
                    f"{number} starts, {early} early, {late} late, {time.monotonic() - began:.0f} s",
                    flush=True,
                )
    watchdog.done()
    seconds.sort()
    print(f"\n{wish.count} cold starts of PostgreSQL and of Redis, {time.monotonic() - began:.0f} s")
    print(f"  judged ready too early   {early}")
    print(f"  over {SERVICE_SECONDS:.0f} s or failed      {late}")
    if seconds:
        spread = (seconds[0], statistics.median(seconds), seconds[int(len(seconds) * 0.95)], seconds[-1])
        print(
            "  both ready within        least {:.2f}  median {:.2f}  p95 {:.2f}  most {:.2f} s".format(
                *spread
            )
        )
    return min(early + late, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
