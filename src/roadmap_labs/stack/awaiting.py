"""Waits until a service or a role answers, and says why where it does not. Creates and removes nothing of a stack."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from roadmap_labs.engine.protocol import Engine
from roadmap_labs.errors import LabBroken
from roadmap_labs.stack import evidence, ready
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.network import Door
from roadmap_labs.stack.plan import RolePlan, Seat, ServicePlan

SERVICE_SECONDS = 60.0  # the reference needs 0.5 s; a loaded laptop may need twenty times that
ROLE_SECONDS = 30.0
_LOOK_SECONDS = 0.1  # at least, between two looks at a container that does not answer yet
_LONGEST_PAUSE = 0.25
_ENDED = ("exited", "dead")


def await_service(
    engine: Engine, plan: ServicePlan, doors: Mapping[str, Door], container: str, *, seconds: float
) -> None:
    """Return when a login succeeds; `LabBroken` with the last lines of its log where none does.

    `doors` are those of its ports, as `network.doors_of` names them.
    """
    word = ready.port_word(plan.manifest.ready)
    door = doors[f"{plan.name}:{word}" if word else plan.name]
    for look, late in _attempts(seconds):
        if ready.service_answers(plan, door.host, door.port):
            return
        has_ended = look and engine.inspect(container).status in _ENDED
        if late or has_ended:
            lines = "\n  ".join(evidence.log_lines(engine, container)) or "(it printed nothing)"
            what = "ended before it was ready" if has_ended else f"was not ready within {seconds:.0f} s"
            raise LabBroken(
                f"Service {plan.name} {what}. Its last lines:\n  {lines}",
                cure="Look at the engine's room:  roadmap-labs doctor",
            )


def await_role(
    engine: Engine, plan: RolePlan, name: str, door: Door, container: str, *, seconds: float
) -> None:
    """Return when the readiness path answers 200; `RoleBroke` where the process ends or stays silent."""
    for look, late in _attempts(seconds):
        if ready.role_answers(plan.role.ready, door.host, door.port):
            return
        if look:
            raise_if_ended(engine, plan, name, container, "before it was ready")
        if late:
            raise TimeoutError


def await_end(engine: Engine, container: str, *, seconds: float) -> bool:
    """Wait until a container has ended by itself; False where it had not in time."""
    for _, late in _attempts(seconds):
        if engine.inspect(container).status in _ENDED:
            return True
        if late:
            break
    return False


def _attempts(seconds: float) -> Iterator[tuple[bool, bool]]:
    """One turn for each attempt: whether to look at the container as well, and whether it is the last one.

    A pause is a tenth of the time that has passed: nothing is noticed more than a tenth later than it could be, and
    on a busy machine, where everything takes long, the questions don't keep it busier still.
    """
    began = looked = time.monotonic()
    while True:
        now = time.monotonic()
        passed = now - began
        look = now - looked > max(_LOOK_SECONDS, passed / 4)
        if look:
            looked = now
        yield look, passed > seconds
        time.sleep(min(max(ready.POLL_SECONDS, passed / 10), _LONGEST_PAUSE))  # between two attempts


def raise_if_ended(engine: Engine, plan: RolePlan, name: str, container: str, moment: str) -> None:
    """Raise what the end of a role's container says, if it has ended."""
    state = engine.inspect(container)
    if state.status in _ENDED:
        lines = evidence.log_lines(engine, container)
        broke = evidence.ended(name, state, plan.limits, lines, moment, plan.scratch)
        if broke is not None:
            raise broke


def why_silent(
    engine: Engine, seat: Seat, plan: RolePlan, name: str, container: str, *, image: str
) -> RoleBroke:
    """Why a role that runs does not answer: too many processes, it listens elsewhere, it is too late.

    `image` is for the look at its sockets.
    """
    crowd = evidence.crowded(name, engine.processes(container), plan.limits)
    if crowd is not None:
        return crowd
    seen = evidence.look_at_sockets(engine, seat, container, image)
    broke = evidence.nothing_listens(name, plan.role.port, seen)
    if broke.code == "L-PORT":
        return broke
    return RoleBroke(
        "L-TIME",
        f"{name} did not answer {_asked(plan.role.ready)} in time.",
        expected="an answer as soon as the first request may be sent",
        observed="\n".join(evidence.log_lines(engine, container)) or "(it printed nothing)",
    )


def _asked(ready_by: str) -> str:
    return f"GET {ready_by} with 200" if ready_by.startswith("/") else f"on port ({ready_by})"
