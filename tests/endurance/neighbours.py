"""A reference solution beside each of the sharpest hostile ones has the verdicts of one that is alone, every time.

    python -m tests.endurance.neighbours [--rounds 30] [--only NAME …]

On the mirror lab, on one engine: first so many references alone, then as many beside each hostile submission, which is
judged again and again until they are done. A fork bomb, a log flood, a full disk, spinning cores, a server kept busy, a
flood of questions to the engine's resolver. Prints the seconds of the references, too; they depend on the machine and
are not judged.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadmap_labs.content import shelf
from roadmap_labs.content.submission import take_in
from roadmap_labs.engine import labels
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.watchdog import guard
from roadmap_labs.grading.batch import footing, vector
from roadmap_labs.grading.judging import Bench, bench, judged
from roadmap_labs.grading.work import Assignment
from tests.hostile.corpus import exhausting
from tests.hostile.submission import LAB, TOYS, Ground, Hostile, write_hostile, write_reference

SHARPEST = (
    exhausting.FORK_BOMB,
    exhausting.LOG_FLOOD,
    exhausting.DISK_FILL,
    exhausting.SPIN,
    exhausting.SERVICE_HOG,
    exhausting.DNS_FLOOD,
)
SECONDS = 20 * 60  # how long one hostile submission may go on at most


@dataclass(frozen=True)
class Seen:
    """What the references beside one hostile submission (or none) came to."""

    beside: str
    vectors: tuple[tuple[tuple[str, str, str], ...], ...]
    seconds: tuple[float, ...]
    hostile: int  # judgements of the hostile one that were begun meanwhile

    def differing(self, alone: Seen) -> int:
        """How many differ from what one alone came to."""
        return sum(found != alone.vectors[0] for found in self.vectors)


def _assignment(folder: Path, seed: int = 1) -> Assignment:
    files = take_in(folder)
    return Assignment(folder.name, 1, seed, files, files.digest, folder)


@contextmanager
def _again_and_again(at: Bench, hostile: Assignment | None) -> Iterator[list[int]]:
    """Judge it over and over in a thread of its own; yields a list with one entry a judgement begun."""
    begun: list[int] = []
    over = threading.Event()
    end: list[Any] = []
    deadline = time.monotonic() + SECONDS

    def judge() -> None:
        while hostile is not None and not over.is_set() and time.monotonic() < deadline:
            begun.append(1)
            judged(at, hostile, lambda ending: end.__setitem__(slice(None), [ending]))

    thread = threading.Thread(target=judge, name="hostile")
    thread.start()
    try:
        yield begun
    finally:
        over.set()
        for ending in end:
            ending()
        thread.join()


def beside(at: Bench, reference: Path, hostile: Path | None, rounds: int) -> Seen:
    """Judge the reference so many times, one after another, beside a hostile one that never stops."""
    vectors, seconds = [], []
    with _again_and_again(at, None if hostile is None else _assignment(hostile)) as begun:
        for number in range(rounds):
            began = time.monotonic()
            vectors.append(vector(judged(at, _assignment(reference, number + 1), lambda ending: None)))
            seconds.append(time.monotonic() - began)
    return Seen("alone" if hostile is None else hostile.name, tuple(vectors), tuple(seconds), len(begun))


def compare(folder: Path, rounds: int, hostile: tuple[Hostile, ...]) -> tuple[Seen, ...]:
    """The references alone, then beside each; to be called before any thread exists."""
    run = secrets.token_hex(5)
    watchdog = guard(run)
    lab = shelf.load_lab(LAB)
    at = bench(lab, footing(lab), run, 1.0, lambda phase, step: None)
    reference = write_reference(folder / "reference")
    found = [beside(at, reference, None, rounds)]
    for one in hostile:
        found.append(beside(at, reference, write_hostile(one, Ground(folder, folder, folder)), rounds))
        print(line(found[-1], found[0]), flush=True)
    watchdog.done()
    return tuple(found)


def line(seen: Seen, alone: Seen) -> str:
    """One row of the table."""
    typical, slowest = statistics.median(seen.seconds), max(seen.seconds)
    return (
        f"{seen.beside:<28} {len(seen.vectors) - seen.differing(alone)} of {len(seen.vectors)} the same; "
        f"{typical:5.1f} s, at most {slowest:5.1f} s; hostile judgements begun: {seen.hostile}"
    )


def left(folder: Path) -> list[str]:
    """What of these judgements is still on the engine."""
    engine = open_engine()
    kinds = ("container", "network", "volume")
    found = [item for kind in kinds for item in engine.find(kind, {labels.LAB: LAB})]  # type: ignore[arg-type]
    engine.close()
    return [item.name for item in found if item.labels.get(labels.FOLDER, "").startswith(str(folder))]


def main(arguments: list[str]) -> int:
    """Print the table; 1 where a verdict differs or something is left."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", nargs="*", default=[one.name for one in SHARPEST])
    wish = parser.parse_args(arguments)
    os.environ["ROADMAP_LABS_PATH"] = str(TOYS)
    folder = Path(tempfile.mkdtemp(prefix="roadmap-labs-neighbours-"))
    found = compare(folder, wish.rounds, tuple(one for one in SHARPEST if one.name in wish.only))
    print(line(found[0], found[0]))
    wrong = sum(seen.differing(found[0]) for seen in found)
    fine = all(outcome == "pass" for _, outcome, _ in found[0].vectors[0])
    idle = [seen.beside for seen in found[1:] if not seen.hostile]
    rest = left(folder)
    print(f"differing: {wrong}; the reference passes: {fine}; left on the engine: {len(rest)}")
    shutil.rmtree(folder, ignore_errors=True)
    return min(1, wrong + len(rest) + len(idle) + (not fine))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
