"""Proves a lab by running it: starter, solution and mutants, side by side, each on a stack of its own. Prints nothing.

All runs share one run id and one watchdog, so whatever happens to this process, everything that the proof made is
found by that id and removed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from roadmap_labs.authoring import verdicts
from roadmap_labs.authoring.burden import busy
from roadmap_labs.authoring.verdicts import Done, Run
from roadmap_labs.checking.ending import Ending, side_by_side
from roadmap_labs.checking.judge import CHECK_SECONDS, Order, Watcher
from roadmap_labs.content import shelf
from roadmap_labs.content.mutants import Mutant, load_mutants, mutant_files
from roadmap_labs.content.rendering import solution_files, starter_files
from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.submission import Submission, submission_of
from roadmap_labs.engine import labels
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.protocol import Engine, Found
from roadmap_labs.engine.sweep import find_all, sweep
from roadmap_labs.engine.watchdog import guard
from roadmap_labs.errors import NotFound
from roadmap_labs.model import Check, Report
from roadmap_labs.stack.assembly import Tell, gather
from roadmap_labs.stack.plan import room_for
from roadmap_labs.stack.running import Stack
from roadmap_labs.verbs.judge import Kept, Subject, kept_stack, on_fresh_stack, seed_of

# Measured on two cores: with one each they are idle for half of the time, with two for a thirtieth of it.
_STACKS_PER_CORE = 2


@dataclass(frozen=True)
class Wish:
    """What is to be proven, how often, and how many stacks may stand at once (0: as the machine allows)."""

    slug: str
    mutants: tuple[str, ...] = ()  # only these; then starter and solution are left out
    repeat: int = 1
    repeat_mutants: int = 1
    load: bool = False
    jobs: int = 0
    whole: bool = False  # mutants are judged beyond the check that catches them
    keep: bool = False  # the stack of a run that refutes the lab stays up for a look
    time_factor: float = 1.0


@dataclass(frozen=True)
class Proving:
    """How a proof went."""

    lab: Lab
    mutants: tuple[Mutant, ...]
    done: tuple[Done, ...]
    problems: tuple[str, ...]  # of the proof as a whole; a run's own stand in `done`
    seconds: float
    jobs: int
    busy: int
    engine: str
    partial: bool
    kept: tuple[Kept, ...] = ()
    notes: tuple[str, ...] = ()  # what the engine did wrong, which says nothing of the lab

    @property
    def proven(self) -> bool:
        return not self.problems and not any(one.wrong for one in self.done)

    def solutions(self) -> tuple[Report, ...]:
        """The reports of all runs of the solution."""
        return tuple(one.report for one in self.done if one.run.kind == "solution")


@dataclass(frozen=True)
class Told:
    """Who is told while it goes on. `finished` is called from the caller's thread, `at` from any."""

    tell: Tell = lambda phase, step: None
    planned: Callable[[int, int], None] = lambda runs, jobs: None
    at: Callable[[Run, Check], None] = lambda run, check: None
    finished: Callable[[Done], None] = lambda done: None


@dataclass
class _Bench:
    """What the runs of one proof share."""

    lab: Lab
    mutants: dict[str, Mutant]
    wish: Wish
    id: str
    told: Told
    ending: Ending = field(default_factory=Ending)
    refused: list[str] = field(default_factory=list)  # removals that the engine refused, by run
    kept: list[Stack] = field(default_factory=list)


def prove(wish: Wish, told: Told | None = None) -> Proving:
    """Run the proof. To be called before any thread exists, because it forks the watchdog."""
    began = time.monotonic()
    lab = shelf.load_lab(wish.slug)
    mutants = _chosen(lab, wish.mutants)
    bench = _Bench(lab, {mutant.id: mutant for mutant in mutants}, wish, secrets.token_hex(5), told or Told())
    runs = planned(lab, mutants, wish)
    files = {run: _files(bench, run) for run in runs}  # a mutant that does not fit ends it here
    watchdog = guard(bench.id)
    engine = open_engine()
    sweep(engine)
    for scaffold in dict.fromkeys(_scaffold(bench, run) for run in runs):
        gather(engine, lab, scaffold, submission_of(()), bench.told.tell)
    facts = engine.facts()
    jobs = wish.jobs or room_for(lab, at_most=facts.cpus * _STACKS_PER_CORE, memory_bytes=facts.memory_bytes)
    bench.told.planned(len(runs), jobs)
    with busy() if wish.load else nullcontext(0) as burden:
        done = _all(bench, files, jobs)
    left = _left(engine, bench)
    if not left:
        watchdog.done()  # else it looks once more, and removes what can be removed
    lost = tuple(item for item in left if _engine_lost_count(item, left, bench.refused))
    ours = [f"left on the engine: {item.kind} {item.name}" for item in left if item not in lost]
    problems = [*ours, *(bench.refused if ours else ()), *_as_a_whole(bench, done)]
    engine.close()
    return Proving(
        lab, mutants, done, tuple(problems), time.monotonic() - began, jobs, burden, facts.version, bool(wish.mutants),
        tuple(kept_stack(stack) for stack in bench.kept),
        tuple(f"the engine keeps {item.name}, which no container uses, until it is restarted" for item in lost),
    )  # fmt: skip


def planned(lab: Lab, mutants: Sequence[Mutant], wish: Wish) -> tuple[Run, ...]:
    """Every run of a proof, the long ones first: so the last ones to end are short."""
    order = [check.id for check in lab.checks]
    late_first = sorted(mutants, key=lambda one: -order.index(one.manifest.caught_by))
    runs: list[Run] = []
    if not wish.mutants:
        for scaffold in lab.manifest.scaffolds:
            runs.append(Run("starter", scaffold, 1, seed_of(None)))
            runs += [Run("solution", scaffold, turn, seed_of(None)) for turn in range(1, wish.repeat + 1)]
    for turn in range(1, wish.repeat_mutants + 1):
        runs += [Run("mutant", mutant.id, turn, seed_of(None)) for mutant in late_first]
    return tuple(runs)


def _chosen(lab: Lab, ids: Sequence[str]) -> tuple[Mutant, ...]:
    mutants = load_mutants(lab)
    wanted = [name.lower() for name in ids]
    unknown = [name for name in wanted if not any(_means(name, mutant) for mutant in mutants)]
    if unknown:
        raise NotFound(
            f"{lab.slug} has no mutant '{unknown[0]}'.",
            cure=f"It has: {', '.join(mutant.id for mutant in mutants) or 'none'}",
        )
    known = {check.id for check in lab.checks}
    for mutant in mutants:
        if mutant.manifest.caught_by not in known:
            raise NotFound(
                f"The mutant {mutant.id} names the check {mutant.manifest.caught_by}, which {lab.slug} has not.",
                cure=f"See all problems:  roadmap-labs lab lint {lab.slug}",
                fault="this lab",
            )
    return tuple(mutant for mutant in mutants if not wanted or any(_means(name, mutant) for name in wanted))


def _means(name: str, mutant: Mutant) -> bool:
    """A mutant may be named by its id or by the first word of it (`m4` for `m4-same-lifetime`)."""
    return mutant.id == name or mutant.id.split("-")[0] == name


def _scaffold(bench: _Bench, run: Run) -> str:
    return bench.mutants[run.name].scaffold(bench.lab) if run.kind == "mutant" else run.name


def _files(bench: _Bench, run: Run) -> Submission:
    if run.kind == "mutant":
        return submission_of(mutant_files(bench.lab, bench.mutants[run.name]))
    made = starter_files if run.kind == "starter" else solution_files
    return submission_of(made(bench.lab, shelf.load_scaffold(run.name)))


def _all(bench: _Bench, files: dict[Run, Submission], jobs: int) -> tuple[Done, ...]:
    """All runs, so many at once. Whatever ends this early ends the runs, too, and waits until they are gone."""
    done: list[Done] = []
    with side_by_side(bench.ending, jobs, "prove") as pool:
        futures: list[Future[Done]] = [pool.submit(_one, bench, run, what) for run, what in files.items()]
        for future in as_completed(futures):
            done.append(future.result())
            bench.told.finished(done[-1])
    return tuple(done)


def _one(bench: _Bench, run: Run, files: Submission) -> Done:
    lab, mutant = bench.lab, bench.mutants.get(run.name) if run.kind == "mutant" else None
    checks = lab.checks
    if mutant is not None and not bench.wish.whole:
        asked = verdicts.asked_of(lab, mutant.manifest.caught_by, run.turn)
        checks = tuple(one for one in checks if one.id in asked)
    early = mutant is not None and not bench.wish.whole  # the first that is no pass decides
    order = Order(lab, checks, run.seed, fail_fast=early, time_factor=bench.wish.time_factor)
    if bench.wish.keep:
        idea = mutant.manifest if mutant else None
        order = replace(order, keep=lambda result: verdicts.surprises(result, run, lab, idea))
    what = Subject(lab, _scaffold(bench, run), files, lab.folder, None)

    watcher = Watcher(
        started=lambda check: bench.told.at(run, check),
        begun=lambda end: bench.ending.begun(run, end),
        left=lambda problem: bench.refused.append(f"{run.kind} {run.name}: {problem.message}"),
        kept=bench.kept.append,
    )
    try:
        judged = on_fresh_stack(order, what, bench.id, bench.told.tell, watcher)
    finally:
        bench.ending.over(run)
    if judged.problem is not None:
        return Done(run, judged.report, (judged.problem.message,))
    return Done(run, judged.report, _wrong(run, judged.report, lab, mutant))


def _wrong(run: Run, report: Report, lab: Lab, mutant: Mutant | None) -> tuple[str, ...]:
    if mutant is not None:
        return verdicts.mutant_wrong(report, mutant.manifest)
    return verdicts.starter_wrong(report, lab) if run.kind == "starter" else verdicts.solution_wrong(report)


def _left(engine: Engine, bench: _Bench) -> tuple[Found, ...]:
    """What this proof has left on the engine."""
    kept = {stack.seat.stack for stack in bench.kept}
    found = find_all(engine, {labels.RUN: bench.id})
    return tuple(item for item in found if item.labels[labels.STACK] not in kept)


def _engine_lost_count(item: Found, left: Sequence[Found], refused: Sequence[str]) -> bool:
    """Whether it is a network that the engine would not remove although no container of the stack is there any more:
    an engine can miscount who is on it (moby issue 42119)."""
    stack = item.labels[labels.STACK]
    alone = not any(one.kind == "container" and one.labels[labels.STACK] == stack for one in left)
    return item.kind == "network" and alone and any(item.id in refusal for refusal in refused)


def _as_a_whole(bench: _Bench, done: Sequence[Done]) -> tuple[str, ...]:
    times = verdicts.longest(one.report for one in done if one.run.kind == "solution")
    found = verdicts.slow(times, CHECK_SECONDS * bench.wish.time_factor)
    if bench.wish.mutants:
        return found
    caught = [
        bench.mutants[one.run.name].manifest.caught_by
        for one in done
        if one.run.kind == "mutant" and not one.wrong
    ]
    return (*found, *(f"no mutant is caught by {check}" for check in verdicts.unkilled(bench.lab, caught)))
