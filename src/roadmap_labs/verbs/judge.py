"""check and hint, as values: which checks of which lab on which files, judged; the next hint. Prints nothing."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from roadmap_labs.checking.judge import Order, Watcher, keep_nothing
from roadmap_labs.checking.lanes import judge_side_by_side, share_out
from roadmap_labs.content import shelf, workspace
from roadmap_labs.content.manifest import role_of
from roadmap_labs.content.proofs import measured
from roadmap_labs.content.rendering import solution_files
from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.submission import Submission, submission_of, take_in
from roadmap_labs.content.workspace import Workspace, workspace_id
from roadmap_labs.engine.owner import owner
from roadmap_labs.engine.watchdog import guard
from roadmap_labs.errors import BadSubmission, EngineUnavailable, NotFound, Problem, WrongUse
from roadmap_labs.model import Check, CheckResult, Report
from roadmap_labs.stack.assembly import Tell, sealed_stack
from roadmap_labs.stack.plan import room_for, seat, show_line
from roadmap_labs.stack.running import Stack

# A check's stack whose maker vanished without a trace (another host, say) is nobody's after this long.
EXPIRES_SECONDS = 2 * 60 * 60


@dataclass(frozen=True)
class Subject:
    """What is judged: a lab, the files (or why they were refused), and the workspace they come from, if any."""

    lab: Lab
    scaffold: str
    submission: Submission | BadSubmission
    folder: Path
    space: Workspace | None


@dataclass(frozen=True)
class Kept:
    """A stack that was left up for a look: where its parts answer, their containers, what is frozen."""

    stack: str
    addresses: tuple[tuple[str, str], ...]  # service or replica, and a line that reaches it
    containers: tuple[tuple[str, str, str], ...]  # service or replica, the container's name, its status


@dataclass(frozen=True)
class Judged:
    """A report, and what ended it early where the submission or the machine did."""

    report: Report
    problem: Problem | None = None
    kept: Kept | None = None


def subject(folder: Path, slug: str | None, *, solution: bool) -> Subject:
    """Find out what is to be judged; `slug` (from --lab) makes any folder a subject."""
    space = workspace.find(folder)
    if space is not None and slug is not None and space.lab != slug:
        raise WrongUse(f"{folder} is a workspace of {space.lab}, not of {slug}.", cure="Leave --lab out.")
    if space is None and slug is None:
        workspace.require(folder)
    lab = shelf.load_lab(space.lab if space else str(slug))
    root = space.folder if space else folder
    scaffold = space.scaffold if space else lab.manifest.scaffolds[0]
    if solution:
        files = submission_of(solution_files(lab, shelf.load_scaffold(scaffold)))
        return Subject(lab, scaffold, files, root, None)
    try:
        files = take_in(root)
    except BadSubmission as refusal:
        return Subject(lab, scaffold, refusal, root, space)
    return Subject(lab, scaffold, files, root, space)


def choose(lab: Lab, tasks: Sequence[str], only: Sequence[str]) -> tuple[Check, ...]:
    """The checks that --task and --only name; all of them where neither is given."""
    for task in tasks:
        if task not in lab.manifest.tasks:
            raise NotFound(
                f"{lab.slug} has no task '{task}'.", cure=f"It has: {', '.join(lab.manifest.tasks)}"
            )
    known = {check.id for check in lab.checks}
    for check in only:
        if check not in known:
            raise NotFound(
                f"{lab.slug} has no check '{check}'.", cure=f"All of them:  roadmap-labs info {lab.slug}"
            )
    if not tasks and not only:
        return lab.checks
    return tuple(check for check in lab.checks if check.task in tasks or check.id in only)


def seed_of(given: int | None) -> int:
    """The seed that was asked for, or a new one."""
    return given if given is not None else random.SystemRandom().randint(1, 9999)


def check(order: Order, what: Subject, tell: Tell, watcher: Watcher) -> Judged:
    """Judge on a fresh stack. What the machine or the submission refuses is part of the report."""
    run = secrets.token_hex(5)
    watchdog = guard(run)
    left: list[Problem] = []
    kept: list[Stack] = []
    told = replace(watcher, left=left.append, kept=kept.append)
    judged = on_fresh_stack(order, what, run, tell, told, lanes=_lanes(what.lab))
    if left:
        tell(f"{left[0].message} What is left is being removed in the background.", "")
    elif judged.report.verdict != "infra":
        watchdog.done()  # else the watchdog looks once more: a call that was given up may still be carried out
    if isinstance(judged.problem, EngineUnavailable):
        raise judged.problem
    if what.space is not None:
        outcomes = {result.check.id: result.outcome for result in judged.report.results}
        workspace.remember_check(what.space, judged.report.verdict, judged.report.score, outcomes)
    return replace(judged, kept=kept_stack(kept[0])) if kept else judged


def _lanes(lab: Lab) -> int:
    """How many tasks may be judged side by side here. Not asked of the engine: the first verdict would wait for it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # One more than cores: a lane waits about as long as it computes. A second one more gains nothing on two cores.
    return room_for(lab, at_most=(os.cpu_count() or 1) + 1, memory_bytes=memory)


def kept_stack(stack: Stack) -> Kept:
    """What a person needs who wants to look into a stack that is still up."""
    addresses = []
    for plan in stack.services:
        addresses.append(
            (plan.name, plan.talk(*_door(stack, plan.name), _ports(stack, plan.name, plan.manifest.ports)))
        )
    for name in stack.replicas:
        role = stack.roles[role_of(name)].role
        addresses.append((name, show_line(role, *_door(stack, name), _ports(stack, name, role.ports))))
    states = {name: stack.engine.inspect(container).status for name, container in stack.containers.items()}
    containers = tuple((name, stack.seat.name(name), status) for name, status in states.items())
    return Kept(stack.seat.stack, tuple(addresses), containers)


def _door(stack: Stack, name: str) -> tuple[str, int]:
    return stack.doors[name].host, stack.doors[name].port


def _ports(stack: Stack, name: str, words: Iterable[str]) -> dict[str, int]:
    return {word: stack.doors[f"{name}:{word}"].port for word in words}


def on_fresh_stack(
    order: Order, what: Subject, run: str, tell: Tell, watcher: Watcher, *, lanes: int = 1
) -> Judged:
    """Judge on stacks that carry the id of this run, whose watchdog exists already; any thread may.

    With more than one lane the tasks are judged side by side, each lane on a stack of its own.
    """
    files = what.submission
    if isinstance(files, BadSubmission):
        return Judged(refused_report(order, files), files)
    refused: list[Problem] = []

    def raise_stack() -> Stack:
        # Imported here, in a thread, while the checks are being imported in their own process: 110 ms.
        from roadmap_labs.engine.docker_engine import open_engine

        try:
            engine = open_engine()
            chair = seat(
                "check",
                what.lab,
                workspace=workspace_id(what.folder),
                folder=what.folder,
                run=run,
                owner=owner(),
                seconds=EXPIRES_SECONDS,
            )
            return sealed_stack(engine, what.lab, chair, what.scaffold, files, tell, order.time_factor)
        except Problem as problem:
            refused.append(problem)
            raise

    in_order = order.fail_fast or order.keep is not keep_nothing  # the first failure must be the first of all
    shares = share_out(order.checks, measured(what.lab.folder), 1 if in_order else lanes)
    report = judge_side_by_side(order, shares, raise_stack, watcher)
    problem = refused[0] if refused else None
    if isinstance(problem, BadSubmission):  # the learner's own Dockerfile can't be built
        report = refused_report(order, problem)
    return Judged(report, problem)


def refused_report(order: Order, problem: BadSubmission) -> Report:
    """The report of a folder that was not taken in: every check is an error of the learner's side."""
    results = tuple(CheckResult(check, "error", "L-SUBM", problem.message) for check in order.checks)
    return Report(order.lab.slug, order.lab.manifest.version, order.seed, 0.0, results)


@dataclass(frozen=True)
class Hint:
    """One hint of a task; `level` from 1 to `levels`."""

    task: str
    title: str
    level: int
    levels: int
    text: str
    new: bool


def hint(folder: Path, task: str | None) -> Hint:
    """The next hint of a task (the first task that is not passed yet, where none is named); it is remembered."""
    space = workspace.require(folder)
    lab = shelf.load_lab(space.lab)
    name = task.lower() if task else _task_at_work(lab, space)
    if name not in lab.manifest.tasks:
        raise NotFound(f"{lab.slug} has no task '{task}'.", cure=f"It has: {', '.join(lab.manifest.tasks)}")
    body = lab.manifest.tasks[name]
    taken = workspace.hints_taken(space).get(name, 0)
    level = min(taken + 1, len(body.hints))
    workspace.remember_hint(space, name, level)
    return Hint(name, body.title, level, len(body.hints), body.hints[level - 1], new=taken < len(body.hints))


def _task_at_work(lab: Lab, space: Workspace) -> str:
    outcomes = workspace.outcomes(space)
    for task, body in lab.manifest.tasks.items():
        if any(outcomes.get(check) != "pass" for check in body.checks):
            return task
    return next(iter(lab.manifest.tasks))
