"""A worker whose judgements are made of paper: what a submission's file `verdict` says. All else of it is real.

    python -m tests.scale.paper BROKER COORDINATOR TOKEN QUEUE SLOTS

Words: a verdict; `infra-once`, a fault of ours at the first attempt; `always-infra`; `slow`, a pass after SECONDS;
`poison`, which ends its worker; `broken`, a defect of ours; `gone`, a host without an engine.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roadmap_labs.errors import BadSubmission, EngineUnavailable
from roadmap_labs.grading import judging
from roadmap_labs.grading.judging import Bench
from roadmap_labs.grading.work import Assignment
from roadmap_labs.model import CheckResult, Report

SECONDS = 3.0
_BENCH = {"images": {}, "room": 2, "tell": lambda phase, step: None}


def paper_bench(lab: Any, lab_digest: str, run: str, time_factor: float, tell: Any) -> Bench:
    """A bench without an engine."""
    del tell
    return Bench(lab, lab_digest, run, time_factor, **_BENCH)


def paper_judged(at: Bench, one: Assignment, begun: Callable[[Callable[[], None]], None]) -> dict[str, Any]:
    """What the paper says; each judgement that begins is noted in the file that JUDGED names."""
    if isinstance(one.files, BadSubmission):
        return judging.refusal(at.lab, at.lab_digest, one)
    note(one)
    ended: list[bool] = []
    begun(lambda: ended.append(True))
    file = one.files.file("verdict")
    word: Any = file.content.decode() if file else "pass"
    if word == "gone":
        raise EngineUnavailable("No engine answers here.")
    if word == "broken":
        raise RuntimeError("a defect")
    if word == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "slow":
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and not ended:
            time.sleep(0.02)  # nothing but time makes a judgement long
        word = "pass"
    if word == "always-infra" or (word == "infra-once" and one.attempt == 1):
        return judging.given_up(at.lab, at.lab_digest, one, "I-ENGINE", "paper")
    word = "pass" if word == "infra-once" else word
    report = Report(
        at.lab.slug, "1", one.seed, 0.1, tuple(CheckResult(check, word) for check in at.lab.checks)
    )
    return judging._document(report, one, at.lab_digest, at.images, 0.0)


def note(one: Assignment) -> None:
    """Append a line; one write, so that processes don't mix theirs."""
    with Path(os.environ["JUDGED"]).open("a") as stream:
        stream.write(json.dumps([one.id, one.attempt]) + "\n")


def main() -> int:
    """Work until stopped."""
    from roadmap_labs.grading.remote import worker

    worker.bench, worker.judged, worker._REST_SECONDS = paper_bench, paper_judged, 0.5  # type: ignore[assignment]
    url, coordinator, token, queue, slots = sys.argv[1:]
    post = worker.Post(url, coordinator, token, int(slots), patience=60)
    return worker.work(post, worker.Host(f"paper-{os.getpid()}", (queue,), int(slots)), print)


if __name__ == "__main__":
    sys.exit(main())
