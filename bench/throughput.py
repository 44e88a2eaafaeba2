"""How many submissions an hour: `grade` against the plain way, one after another with compose, in the same run.

    python bench/throughput.py [--submissions 24] [--plain 24]

The submissions are copies of the lab's solution, each with a line of its own. The plain way is: `docker compose up
--wait`, the same checks one after another, `docker compose down`. Its checks are timed on a stack of ours that stands
alone (`grade --jobs 1`), without raising and removing that stack and without pytest's own start: so the plain way is
flattered, not ours. With --plain below --submissions its mean is taken for the rest. Also prints what the ledger and
the intake cost for each submission. Needs the lab's images and a compose plug-in.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import speed

from roadmap_labs.content import shelf
from roadmap_labs.content.rendering import solution_files, write_files
from roadmap_labs.engine.owner import is_dead
from roadmap_labs.grading import entries, intake
from roadmap_labs.grading.ledger import Batch, Ledger

MUST = 4.0
MUST_OVERHEAD_MS = 150.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--submissions", type=int, default=24)
    parser.add_argument("--plain", type=int, default=0, help="submissions that are judged the plain way, too")
    parser.add_argument("--jobs", default="auto")
    wish = parser.parse_args()
    plain = wish.plain or wish.submissions
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        hand_in(folder / "in", wish.submissions)
        overhead = ledger_and_intake(folder)
        began = time.monotonic()
        grade(folder / "in", folder / "out", wish.jobs)
        ours = time.monotonic() - began
        theirs = [one_plain(folder, number) for number in range(plain)]
    print(f"{wish.submissions} submissions of {speed.LAB}, all correct")
    print(f"  grade                    {ours:8.1f} s   {wish.submissions / ours * 3600:6.0f} an hour")
    mean = statistics.mean(theirs)
    whole = sum(theirs) + mean * (wish.submissions - plain)
    print(f"  compose, one by one      {whole:8.1f} s   ({plain} measured, {mean:.1f} s each)")
    print(
        f"  ratio                    {whole / ours:8.2f}     at least {MUST:.0f}: {speed_sign(whole / ours >= MUST)}"
    )
    print(f"  ledger and intake        {overhead:8.1f} ms  under {MUST_OVERHEAD_MS:.0f}: "
          f"{speed_sign(overhead < MUST_OVERHEAD_MS)}")  # fmt: skip
    return 0 if whole / ours >= MUST and overhead < MUST_OVERHEAD_MS else 1


def speed_sign(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def hand_in(folder: Path, count: int) -> None:
    lab = shelf.load_lab(speed.LAB)
    files = solution_files(lab, shelf.load_scaffold(lab.manifest.scaffolds[0]))
    for number in range(count):
        write_files(files, folder / f"s{number:03}")
        (folder / f"s{number:03}" / "NOTES").write_text(f"{number}\n")


def grade(handed_in: Path, out: Path, jobs: str) -> None:
    command = [*speed.TOOL, "grade", speed.LAB, str(handed_in), "--out", str(out), "--jobs", jobs]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    verdicts = [json.loads(file.read_text())["verdict"] for file in (out / "results").iterdir()]
    assert set(verdicts) == {"pass"}, verdicts


def ledger_and_intake(folder: Path) -> float:
    """Milliseconds for one submission: read and hashed, entered, claimed, committed; the median."""
    lab = shelf.load_lab(speed.LAB)
    ledger = Ledger(folder / "bench.sqlite", is_dead)
    ledger.open_batch(Batch(lab.slug, "digest", 1, tuple(check.id for check in lab.checks)))
    took = []
    for entry in entries.entries(folder / "in"):
        began = time.monotonic()
        ledger.enter(entry.id, intake.digest_of(intake.read(entry, lab, allow_dockerfile=False)))
        job = ledger.claim("bench")
        assert job is not None
        ledger.commit(job.id, "bench", {"verdict": "pass", "checks": []}, judged=True)
        took.append((time.monotonic() - began) * 1000)
    ledger.close()
    return statistics.median(took)


def one_plain(folder: Path, number: int) -> float:
    """Seconds of one submission the plain way."""
    name = f"s{number:03}"
    alone = folder / f"alone-{number}"
    (alone / "in").mkdir(parents=True)
    (folder / "in" / name).rename(alone / "in" / name)
    grade(alone / "in", alone / "out", "1")
    checks = json.loads((alone / "out" / "results" / f"{name}.json").read_text())["checks"]
    file = alone / "compose.json"
    file.write_text(json.dumps(speed.compose_file(images(), alone / "in" / name)))
    compose = ["docker", "compose", "-p", f"bench{number}", "-f", str(file)]
    up = speed.timed(lambda: speed.quiet([*compose, "up", "--wait", "-d"]))
    down = speed.timed(lambda: speed.quiet([*compose, "down", "-v"]))
    return (up + down) / 1000 + sum(check["seconds"] for check in checks)


def images() -> dict[str, str]:
    """The lab's images by what the compose file calls them."""
    lines = subprocess.run([*speed.TOOL, "images", "list", "--json"], check=True, capture_output=True).stdout
    known = {row["ref"].split("/")[-1].split(":")[0]: row["ref"] for row in json.loads(lines)["images"]}
    return {
        "postgres": known[f"{speed.LAB}-postgres"], "redis": known["redis"], "catalog-1": known["python-http"]
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
