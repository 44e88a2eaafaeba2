"""An answer that is late by a moment is late every time: fifty of them in one batch, and one verdict.

    python -m tests.endurance.late [--count 50]

On the mirror lab, as many side by side as the machine carries. Ends with 1 where two verdicts differ, or where the one
verdict is not that of the catalogue's row 40.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from roadmap_labs.grading.batch import vector
from tests.hostile.corpus.exhausting import late
from tests.hostile.submission import FIRST, LAB, TOYS, Ground, write_hostile


def main(arguments: list[str]) -> int:
    """Print each verdict and how often it came."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=50)
    wish = parser.parse_args(arguments)
    os.environ["ROADMAP_LABS_PATH"] = str(TOYS)
    with tempfile.TemporaryDirectory(prefix="roadmap-labs-late-") as scratch:
        handed_in, out = Path(scratch) / "in", Path(scratch) / "out"
        handed_in.mkdir()
        for number in range(wish.count):
            write_hostile(late(number), Ground(handed_in, handed_in, handed_in))
        command = [sys.executable, "-m", "roadmap_labs", "grade", LAB, str(handed_in), "--out", str(out)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        found = Counter(vector(json.loads(file.read_text())) for file in (out / "results").iterdir())
    for verdict, times in found.items():
        print(f"{times} of {wish.count}: {verdict}")
    wanted = late(0)
    right = [{check: (outcome, code) for check, outcome, code in verdict} for verdict in found]
    return 0 if [one[FIRST] for one in right] == [(wanted.outcomes[FIRST], wanted.code)] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
