"""A batch that is killed again and again ends with the ledger of one that was left alone: none lost, none twice.

    python -m tests.endurance.grading [--submissions 300] [--kills 20] [--jobs 6] [--seed 1]

Grades the toy lab. A tenth of the submissions is hostile or broken: links, bombs, half archives, programs that end at
once, never listen, or eat memory. First the batch runs undisturbed, then into another folder with `kill -9` at random
moments; afterwards both ledgers must say the same of every submission, and nothing may be left on the engine.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from roadmap_labs.content import shelf
from roadmap_labs.content.rendering import starter_files, write_files
from roadmap_labs.engine import labels
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.owner import is_dead
from roadmap_labs.grading.batch import LEDGER, vector
from roadmap_labs.grading.ledger import Ledger

TOYS = Path(__file__).parent.parent / "toy"
LAB = "toy"
_PROGRAM = "app/__main__.py"
_HOSTILE = {
    "exits": "import os\nos._exit(0)\n",
    "silent": "import time\ntime.sleep(600)\n",
    "hungry": "x = []\nwhile True:\n    x.append(bytearray(10_000_000))\n",
    # Its children only wait: a tree of forks dies of its processes or of its memory, as the moment will have it.
    "forks": "import os, signal\nwhile True:\n    if os.fork() == 0:\n        signal.pause()\n",
}


def hand_in(folder: Path, count: int, seed: int) -> None:
    """Write the submissions: nine of ten are the starter with a line of their own."""
    lab = shelf.load_lab(LAB)
    good = starter_files(lab, shelf.load_scaffold(lab.manifest.scaffolds[0]))
    dice = random.Random(seed)
    for number in range(count):
        one = folder / f"s{number:04}"
        if dice.random() >= 0.1:
            write_files(good, one)
            (one / "NOTES").write_text(f"{number}\n")
            continue
        kind = dice.choice([*_HOSTILE, "link", "empty", "half", "bomb"])
        if kind in _HOSTILE:
            write_files(good, one)
            (one / _PROGRAM).write_text(_HOSTILE[kind])
        elif kind == "link":
            one.mkdir()
            (one / "app").symlink_to("/etc")
        elif kind == "empty":
            one.mkdir()
        else:
            with zipfile.ZipFile(one.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("a", bytes(40 * 1024 * 1024 if kind == "bomb" else 4096))
            if kind == "half":
                raw = one.with_suffix(".zip").read_bytes()
                one.with_suffix(".zip").write_bytes(raw[: len(raw) // 2])


def command(handed_in: Path, out: Path, jobs: int) -> list[str]:
    return [sys.executable, "-I", "-m", "roadmap_labs", "--labs-path", str(TOYS), "grade", LAB, str(handed_in),
            "--out", str(out), "--jobs", str(jobs)]  # fmt: skip


def say(out: Path) -> dict[str, object]:
    """What a ledger says of each submission, without moments and durations."""
    ledger = Ledger(out / LEDGER, is_dead)
    try:
        return {
            job.id: (
                job.state,
                job.attempts,
                job.digest,
                vector(job.result or {}),
                (job.result or {}).get("score"),
            )
            for job in ledger.jobs()
        }
    finally:
        ledger.close()


def kill_again_and_again(handed_in: Path, out: Path, wish: argparse.Namespace, seconds: float) -> int:
    """Run it, kill it at a random moment, run it again, …; then to its end. How many kills hit a running command."""
    dice = random.Random(wish.seed)
    hits = 0
    while hits < wish.kills:
        process = subprocess.Popen(
            command(handed_in, out, wish.jobs),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(timeout=dice.uniform(0.5, 2 * seconds / wish.kills))
            break  # it was done before; that many kills do not fit in
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            hits += 1
            print(f"killed {hits} times", flush=True)
    subprocess.run(command(handed_in, out, wish.jobs), check=False, stdout=subprocess.DEVNULL)
    return hits


def left() -> list[str]:
    """What of the toy lab is on the engine once the watchdogs have had their time."""
    engine = open_engine()
    deadline = time.monotonic() + 60
    while True:
        found = [
            item.name
            for kind in ("container", "network", "volume")
            for item in engine.find(kind, {labels.LAB: LAB})  # type: ignore[arg-type]
        ]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)  # between two looks


def main(arguments: list[str]) -> int:
    """Print the table; 1 where anything differs or is left."""
    parser = argparse.ArgumentParser()
    for name, value in (("--submissions", 300), ("--kills", 20), ("--jobs", 6), ("--seed", 1)):
        parser.add_argument(name, type=int, default=value)
    wish = parser.parse_args(arguments)
    os.environ["ROADMAP_LABS_PATH"] = str(TOYS)
    scratch = Path(tempfile.mkdtemp(prefix="roadmap-labs-grading-"))
    handed_in = scratch / "in"
    handed_in.mkdir()
    hand_in(handed_in, wish.submissions, wish.seed)
    began = time.monotonic()
    subprocess.run(command(handed_in, scratch / "calm", wish.jobs), check=False, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    hits = kill_again_and_again(handed_in, scratch / "killed", wish, seconds)
    calm, killed = say(scratch / "calm"), say(scratch / "killed")
    differing = [id_ for id_ in calm if calm[id_] != killed.get(id_)]
    rest = left()
    print(
        f"{wish.submissions} submissions, {seconds:.0f} s undisturbed ({wish.submissions / seconds:.1f} a second)"
    )
    print(f"killed {hits} times; differing rows: {len(differing)}; left on the engine: {len(rest)}")
    for id_ in differing[:10]:
        print(f"  {id_}: {calm[id_]}\n        {killed.get(id_)}")
    shutil.rmtree(scratch, ignore_errors=True)
    return min(1, len(differing) + len(rest) + (wish.kills > hits))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
