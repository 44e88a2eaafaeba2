"""Random walks of start, stop, check and of hands at the engine: `status` equals what the engine has after each step.

    python -m tests.endurance.drift [--sequences 500] [--steps 4] [--workers 2] [--seed 1] [--fake 2000]

First on the fake engine, where calls fail at random as well, then on the real one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.engine.drift import Walk
from tests.engine.stage import Stage
from tests.unit.test_playground_walk import Playground


def on_the_fake(sequences: int) -> None:
    """Raises where a sequence goes wrong, with the shortest one that does."""
    began = time.monotonic()
    often = settings(max_examples=sequences, stateful_step_count=12, deadline=None, database=None)
    run_state_machine_as_test(Playground, settings=often)
    print(f"{sequences} sequences on the fake engine, {time.monotonic() - began:.0f} s, wrong: 0", flush=True)


def main(arguments: list[str]) -> int:
    """Walk, print what went wrong and the table; 1 where anything did."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sequences", type=int, default=500)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fake", type=int, default=2000, help="sequences on the fake engine")
    wish = parser.parse_args(arguments)
    if wish.fake:
        on_the_fake(wish.fake)
    own, stages = threading.local(), []
    steps: Counter[str] = Counter()
    began, wrong, done = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(prefix="roadmap-labs-drift-") as scratch:

        def walk(seed: int) -> tuple[list[str], str]:
            if not hasattr(own, "stage"):
                own.stage = Stage(Path(scratch) / f"home-{threading.get_ident()}").__enter__()
                stages.append(own.stage)
            folder = Path(scratch) / f"walk-{seed}"
            folder.mkdir()
            one = Walk(own.stage, folder, seed)
            try:
                one.run(wish.steps)
            except Exception as error:  # noqa: BLE001 - counted, and the walks go on
                return one.told, f"{type(error).__name__}: {error}"
            return one.told, ""

        with ThreadPoolExecutor(wish.workers) as pool:
            for told, problem in pool.map(walk, range(wish.seed, wish.seed + wish.sequences)):
                done += 1
                steps.update(step.split(" ")[0] for step in told[1:])
                if problem:
                    wrong += 1
                    print(f"WRONG {problem}\n", flush=True)
                if done % 25 == 0:
                    print(f"{done} sequences, {wrong} wrong, {time.monotonic() - began:.0f} s", flush=True)
        for stage in stages:
            stage.__exit__()
    print(
        f"\n{done} sequences of {wish.steps} steps, {sum(steps.values())} steps, {time.monotonic() - began:.0f} s"
    )
    for step, count in steps.most_common():
        print(f"  {step:<12} {count}")
    print(f"wrong: {wrong}")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
