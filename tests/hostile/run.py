"""Grades a folder of hostile submissions in a process of its own, and measures that process. Judges nothing itself.

    python -m tests.hostile.run IN OUT

`grade` forks its watchdog, which wants a process without threads; and only a process of its own can be weighed.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadmap_labs.grading.batch import Told, Wish, grade
from tests.hostile.submission import LAB


def resident(what: str = "VmRSS") -> int:
    """KiB of this process that are in memory now, or (`VmHWM`) that ever were.

    Not getrusage's: that one counts what the process was before it became this program, which is the test's own.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))


def children() -> list[str]:
    """What this process has started and not waited for, with its state."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(") ")
        except OSError:
            continue  # it has just ended
        if int(tail.split()[1]) == os.getpid():
            found.append(f"{head.partition('(')[2]} {tail[0]}")
    return found


def main(arguments: list[str]) -> int:
    """Print one JSON object: KiB at the beginning and at most, of the largest child, what is left of children."""
    handed_in, out = map(Path, arguments)
    before: list[int] = []
    seconds: dict[str, float] = {}
    began: dict[str, float] = {}
    ours: list[str] = []  # attempts that came to nothing by a fault of ours

    def begun(id_: str) -> None:
        began[id_] = time.monotonic()

    def ended(id_: str, result: Mapping[str, Any], state: str) -> None:
        seconds[id_] = time.monotonic() - began[id_]
        if result["verdict"] == "infra":
            first = next(check for check in result["checks"] if check["outcome"] == "infra")
            ours.append(f"{id_}: {first['code']} {first['message']}")
        print(f"{id_}: {seconds[id_]:.1f} s", file=sys.stderr, flush=True)

    told = Told(planned=lambda counts, jobs: before.append(resident()), begun=begun, ended=ended)
    graded = grade(Wish(LAB, handed_in, out), told)
    usage = resource.getrusage
    print(
        json.dumps(
            {
                "before": before[0],
                "most": resident("VmHWM"),
                "largest_child": usage(resource.RUSAGE_CHILDREN).ru_maxrss,
                "children": children(),
                "ours": ours,
                "seconds": seconds,
                "took": graded.seconds,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
