"""Rules about lab.yaml and what it promises: names, points, checks, hints, services, the assignment's text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from roadmap_labs.authoring.draft import Draft
from roadmap_labs.authoring.flaws import Flaw
from roadmap_labs.content.rendering import render_text
from roadmap_labs.errors import InvalidManifest
from roadmap_labs.stack.plan import plan_services, role_facts, show_line

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_TITLE = 80  # what a terminal shows beside a verdict; the report shortens it there


def slug(draft: Draft) -> Iterator[Flaw]:
    """The folder's name is what people type."""
    if not _SLUG.fullmatch(draft.folder.name):
        yield Flaw(draft.manifest_file, 1, "slug", f"The folder's name '{draft.folder.name}' is no slug.",
                   "Small letters, digits and single hyphens.")  # fmt: skip


def points(draft: Draft) -> Iterator[Flaw]:
    """All checks together are worth 100 points."""
    if draft.manifest is None:
        return
    total = sum(sum(task.checks.values()) for task in draft.manifest.tasks.values())
    if total != 100:
        yield Flaw(draft.manifest_file, draft.line("tasks"), "points", f"All points together are {total:g}, not 100.",
                   "Share 100 points out among the checks.")  # fmt: skip
    for task, body in draft.manifest.tasks.items():
        for check, worth in body.checks.items():
            if worth <= 0:
                yield Flaw(draft.manifest_file, draft.line("tasks", task, "checks", check), "points",
                           f"{check} is worth {worth:g} points.", "Every check is worth something.")  # fmt: skip


def checks_fit(draft: Draft) -> Iterator[Flaw]:
    """Each check stands once in one task of lab.yaml, once in checks/, and belongs to the task in its name."""
    if draft.manifest is None:
        return
    found = Counter(check.id for check in draft.checks)
    promised: Counter[str] = Counter()
    for task, body in draft.manifest.tasks.items():
        for check in body.checks:
            promised[check] += 1
            line = draft.line("tasks", task, "checks", check)
            if check not in found:
                yield Flaw(draft.manifest_file, line, "check-missing", f"No function test_{check} stands in checks/.",
                           f"Write test_{check}, or take {check} out.")  # fmt: skip
            if promised[check] > 1:
                yield Flaw(draft.manifest_file, line, "check-task", f"{check} is in two tasks.", "Keep one.")
            if not check.startswith(f"{task}_"):
                yield Flaw(draft.manifest_file, line, "check-task", f"{check} is in the task {task}.",
                           f"Name it {task}_…, or move it.")  # fmt: skip
    for one in draft.checks:
        if one.id not in promised:
            yield Flaw(one.file, one.line, "check-task", f"test_{one.id} is in no task of lab.yaml.",
                       "Name it in a task, with points.")  # fmt: skip
        if found[one.id] > 1:
            yield Flaw(
                one.file, one.line, "check-twice", f"test_{one.id} stands twice in checks/.", "Rename one."
            )


def docstrings(draft: Draft) -> Iterator[Flaw]:
    """A check's docstring is the line that the learner reads."""
    for one in draft.checks:
        if not one.docstring:
            yield Flaw(one.file, one.line, "docstring", f"test_{one.id} has no docstring.",
                       "Write the one line that the learner reads.")  # fmt: skip
        elif "\n" in one.docstring.strip() or len(one.docstring) > _LONGEST_TITLE:
            yield Flaw(one.file, one.line, "docstring", f"The docstring of test_{one.id} is no short line.",
                       f"One line of at most {_LONGEST_TITLE} characters.")  # fmt: skip


def starter_passes(draft: Draft) -> Iterator[Flaw]:
    """What the starter is meant to pass are checks of this lab."""
    if draft.manifest is None:
        return
    known = {check for task in draft.manifest.tasks.values() for check in task.checks}
    for index, check in enumerate(draft.manifest.starter_passes):
        if check not in known:
            yield Flaw(draft.manifest_file, draft.line("starter_passes", index), "starter-passes",
                       f"starter_passes names {check}, no check of this lab.", "Name a check of a task.")  # fmt: skip


def readme_tasks(draft: Draft) -> Iterator[Flaw]:
    """The assignment speaks of every task."""
    if not draft.readme.is_file():
        yield Flaw(draft.readme, 1, "readme", "There is no README.md.", "Write the assignment.")
        return
    text = draft.readme.read_text(encoding="utf-8", errors="replace")
    for task in draft.manifest.tasks if draft.manifest else ():
        if not re.search(rf"\b{task}\b", text, re.IGNORECASE):
            yield Flaw(draft.readme, 1, "readme", f"{task.upper()} is not mentioned.",
                       f"Say what {task.upper()} asks for.")  # fmt: skip


def services(draft: Draft) -> Iterator[Flaw]:
    """Settings are ones that the service knows, seeds exist, and every variable of a role can be filled in."""
    if draft.manifest is None:
        return
    for name, use in draft.manifest.services.items():
        line = draft.line("services", name)
        service = draft.services.get(name)
        known = service.manifest.settings if service else use.settings
        for setting in sorted(set(use.settings) - set(known)):
            yield Flaw(draft.manifest_file, draft.line("services", name, "settings", setting), "service-setting",
                       f"{use.recipe} has no setting '{setting}'.", f"Known: {', '.join(known) or 'none'}")  # fmt: skip
        if use.seed and not (draft.folder / use.seed).is_dir():
            yield Flaw(
                draft.manifest_file, line, "service-seed", f"There is no folder {use.seed}.", "Make it."
            )


def variables(draft: Draft) -> Iterator[Flaw]:
    """Every variable of a role, and every line for the terminal, can be filled in."""
    if draft.lab is None or set(draft.services) != set(draft.lab.manifest.services):
        return
    try:
        plans = plan_services(draft.lab, dict.fromkeys(draft.services, ""), sealed=True)
        facts = role_facts(plans, dict.fromkeys(draft.lab.manifest.secrets, ""))
    except (InvalidManifest, ValueError):
        return  # told by the rule about services
    for plan in plans:
        line = partial(plan.talk, "localhost", plan.manifest.port, plan.manifest.ports)
        yield from _not_filled(draft, ("services", plan.name, "show"), line)
    for name, role in draft.lab.manifest.roles.items():
        line = partial(show_line, role, "localhost", role.port, role.ports)
        yield from _not_filled(draft, ("roles", name, "show"), line)
        for part in ("environment", "check_environment"):
            for key, template in getattr(role, part).items():
                yield from _not_filled(
                    draft, ("roles", name, part, key), partial(render_text, template, facts, key)
                )


def _not_filled(draft: Draft, place: tuple[str, ...], fill: Callable[[], str]) -> Iterator[Flaw]:
    try:
        fill()
    except InvalidManifest as problem:
        yield Flaw(draft.manifest_file, draft.line(*place), "render", problem.message, problem.cure)


def roles(draft: Draft) -> Iterator[Flaw]:
    """A role mounts only where it runs in a recipe, and shares only what a service fills."""
    for name, role in draft.manifest.roles.items() if draft.manifest else ():
        line = draft.line("roles", name)
        if bool(role.mounts) != bool(role.runs_in):
            yield Flaw(draft.manifest_file, line, "role-mounts", f"{name}: `mounts` and `runs_in` go together.",
                       "Name both, or neither.")  # fmt: skip
        for service in role.shares:
            found = draft.services.get(service)
            if found is None or not found.manifest.shared:
                yield Flaw(draft.manifest_file, line, "role-shares", f"{name}: {service} has no shared folder.",
                           "Name one whose service.yaml says `shared`.")  # fmt: skip


RULES = (slug, points, checks_fit, docstrings, starter_passes, readme_tasks, services, variables, roles)
