"""Judges the tasks of a lab side by side, each lane on a stack of its own. Knows nothing of what a check does.

Tasks don't depend on each other's state, only on each other's verdicts: a check that needs one of another lane waits
for its outcome. Every lane keeps the manifest's order, so the earliest check that has no verdict never waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from roadmap_labs.checking.ending import Ending, side_by_side
from roadmap_labs.checking.judge import Order, Watcher, judge
from roadmap_labs.checking.outcomes import Outcomes
from roadmap_labs.model import Check, CheckResult, Report
from roadmap_labs.stack.running import Stack


def share_out(
    checks: Sequence[Check], weights: Mapping[str, float], lanes: int
) -> tuple[tuple[Check, ...], ...]:
    """The checks of each lane: whole tasks, the heaviest first to the lane that has least (Graham's LPT rule).

    `weights` are seconds by check; a check without one weighs as much as the mean of the others.
    """
    mean = sum(weights.values()) / len(weights) if weights else 1.0
    tasks: dict[str, float] = {}
    for check in checks:
        tasks[check.task] = tasks.get(check.task, 0.0) + weights.get(check.id, mean)
    shares: list[tuple[float, set[str]]] = [(0.0, set()) for _ in range(max(1, min(lanes, len(tasks))))]
    for task, seconds in sorted(tasks.items(), key=lambda item: -item[1]):
        lightest = min(range(len(shares)), key=lambda index: shares[index][0])
        shares[lightest] = (shares[lightest][0] + seconds, shares[lightest][1] | {task})
    chosen = (tuple(check for check in checks if check.task in names) for _, names in shares)
    return tuple(sorted((lane for lane in chosen if lane), key=lambda lane: checks.index(lane[0])))


def judge_side_by_side(
    order: Order,
    shares: Sequence[tuple[Check, ...]],
    raise_stack: Callable[[], Stack],
    watcher: Watcher | None = None,
) -> Report:
    """Judge each share on a stack of its own; the report is the one that a single stack would have given.

    The watcher is called from one thread at a time, and hears of verdicts in the manifest's order.
    """
    watcher = watcher or Watcher()
    if len(shares) == 1:
        return judge(order, raise_stack, watcher)
    outcomes = Outcomes(check.id for check in order.checks)
    ending = Ending()
    in_turn = _in_turn(order.checks, watcher, ending)
    watcher.begun(ending.now)

    def lane(checks: tuple[Check, ...]) -> Report:
        try:
            return judge(replace(order, checks=checks), raise_stack, in_turn, outcomes)
        finally:
            outcomes.close(check.id for check in checks)

    with side_by_side(ending, len(shares), "lane") as pool:
        futures: list[Future[Report]] = [pool.submit(lane, share) for share in shares]
        return _merged(order, [future.result() for future in futures])


def _in_turn(checks: Sequence[Check], watcher: Watcher, ending: Ending) -> Watcher:
    """A watcher for several threads that passes verdicts on in the order of `checks`."""
    lock = threading.RLock()
    early: dict[str, CheckResult] = {}
    awaited = [check.id for check in checks]

    def judged(result: CheckResult) -> None:
        with lock:
            early[result.check.id] = result
            while awaited and awaited[0] in early:
                watcher.judged(early.pop(awaited.pop(0)))

    def started(check: Check) -> None:
        with lock:
            watcher.started(check)

    return replace(watcher, started=started, judged=judged, begun=lambda end: ending.begun(end, end))


def _merged(order: Order, reports: Sequence[Report]) -> Report:
    results = {result.check.id: result for report in reports for result in report.results}
    return Report(
        order.lab.slug,
        order.lab.manifest.version,
        order.seed,
        max(report.seconds for report in reports),
        tuple(results[check.id] for check in order.checks),
    )
