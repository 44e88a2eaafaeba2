"""Removes what belongs to a dead run, and nothing else. Knows labels and the Engine protocol, not stacks.

A check's or a probe's objects are dead with their owner or past their time. A playground outlives its command
once it is whole: an empty volume with PART=whole says so. Without it, what a dead run made of it goes. A check's
stack that was kept for a look carries the same mark, and goes when its time is over. A volume
with PART=stopping is a stop that began; where its owner died, the stop is finished here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from roadmap_labs.engine import labels
from roadmap_labs.engine.owner import is_dead
from roadmap_labs.engine.protocol import Engine, Found, Kind
from roadmap_labs.errors import EngineRefused, EngineUnavailable, Problem

KEPT_BY_STOP = ("data", "whole")
_KINDS: tuple[Kind, ...] = ("container", "network", "volume")
_AT_ONCE = 8
_LOOKS = 3


def sweep(
    engine: Engine,
    *,
    run: str | None = None,
    now: float | None = None,
    dead: Callable[[str], bool | None] = is_dead,
) -> tuple[Found, ...]:
    """Remove all that is dead (of `run` only, where given); what resists is left to the next sweep."""
    doomed = find_dead(engine, run=run, now=now, dead=dead)
    # Not waited for: an engine can lose track of who uses a network, and every command would pay for that.
    removed, _ = _remove_in_order(engine, doomed, patient=False)
    return removed


def find_dead(
    engine: Engine,
    *,
    run: str | None = None,
    now: float | None = None,
    dead: Callable[[str], bool | None] = is_dead,
) -> tuple[Found, ...]:
    """What a sweep would remove, without removing it."""
    objects = find_all(engine, {labels.STACK: ""})
    gone = {label for label in {each.labels.get(labels.OWNER, "") for each in objects} if dead(label) is True}
    # Looked up after the owners: a command that died in between had made its marker before.
    markers = engine.find("volume", {labels.STACK: "", labels.PART: "whole"}) if gone else ()
    whole = {(marker.labels[labels.STACK], marker.labels.get(labels.RUN, "")) for marker in markers}
    return choose_dead(objects, gone=gone, whole=whole, run=run, now=time.time() if now is None else now)


def choose_dead(
    objects: Iterable[Found],
    *,
    gone: Collection[str],
    whole: Collection[tuple[str, str]],
    run: str | None,
    now: float,
) -> tuple[Found, ...]:
    """The rules, pure: `gone` are the OWNER labels of dead processes, `whole` the stacks that are up."""
    objects = tuple(objects)
    stopping = {
        each.labels[labels.STACK]
        for each in objects
        if _part(each) == "stopping"
        and each.labels.get(labels.OWNER) in gone
        and run in (None, each.labels.get(labels.RUN))
    }
    return tuple(
        each
        for each in objects
        if (each.labels[labels.STACK] in stopping and _part(each) not in KEPT_BY_STOP)
        or (run in (None, each.labels.get(labels.RUN)) and _died_with_its_run(each, gone, whole, now))
    )


def _died_with_its_run(
    each: Found, gone: Collection[str], whole: Collection[tuple[str, str]], now: float
) -> bool:
    owner_is_gone = each.labels.get(labels.OWNER) in gone
    stack = each.labels[labels.STACK]
    is_whole = (stack, each.labels.get(labels.RUN, "")) in whole
    match each.labels.get(labels.KIND):
        case "check" | "probe":
            return (owner_is_gone and not is_whole) or _expired(each, now)
        case "playground":
            # A stop that is under way has its own rule; its marker alone never makes a playground half-made.
            if not owner_is_gone or _part(each) == "stopping":
                return False
            if _part(each) in KEPT_BY_STOP:
                return all(stack != known for known, _ in whole)
            return not is_whole
    return False


def remove_stack(engine: Engine, stack_id: str, keep: tuple[str, ...] = KEPT_BY_STOP) -> tuple[Found, ...]:
    """Remove every object of one stack but those whose PART is in `keep`."""
    return _remove_or_say(engine, {labels.STACK: stack_id}, keep)


def remove_all(engine: Engine, wanted: Mapping[str, str]) -> tuple[Found, ...]:
    """Remove every container, network and volume that carries these labels, and is ours at all."""
    return _remove_or_say(engine, {labels.STACK: "", **wanted})


def _remove_or_say(
    engine: Engine, wanted: Mapping[str, str], keep: tuple[str, ...] = ()
) -> tuple[Found, ...]:
    """Remove until a look finds nothing more, up to three looks: what failed once is asked for again."""
    removed: tuple[Found, ...] = ()
    refusals: list[Problem] = []
    for _ in range(_LOOKS):
        try:
            objects = [each for each in find_all(engine, wanted) if _part(each) not in keep]
        except (EngineRefused, EngineUnavailable) as refusal:
            refusals = [refusal]
            continue
        if not objects:
            return removed
        gone, refusals = _remove_in_order(engine, objects)
        removed += gone
    if refusals:
        raise refusals[0]
    return removed


def _remove_in_order(
    engine: Engine, objects: Iterable[Found], *, patient: bool = True
) -> tuple[tuple[Found, ...], list[Problem]]:
    """Side by side within a step. A playground stops being whole first, and a stop is over last."""
    objects = tuple(objects)
    marks = {part: [each for each in objects if _part(each) == part] for part in ("whole", "stopping")}
    steps = [
        marks["whole"],
        *([each for each in objects if each.kind == kind and _part(each) not in marks] for kind in _KINDS),
        marks["stopping"],
    ]
    removed: list[Found] = []
    refusals: list[Problem] = []

    def remove(one: Found) -> None:
        try:
            engine.remove(one.kind, one.id, patient=patient)
        except (EngineRefused, EngineUnavailable) as refusal:
            refusals.append(refusal)
        else:
            removed.append(one)

    for step in filter(None, steps):
        if step is steps[-1] and refusals:
            break  # the stop is not over: its mark stays, so that the next sweep goes on with it
        if len(step) == 1:
            remove(step[0])
            continue
        with ThreadPoolExecutor(min(_AT_ONCE, len(step)), thread_name_prefix="remove") as pool:
            list(pool.map(remove, step))
    return tuple(removed), refusals


def find_all(engine: Engine, wanted: Mapping[str, str]) -> tuple[Found, ...]:
    """Every container, network and volume that carries these labels (an empty value asks for the key alone)."""
    return tuple(found for kind in _KINDS for found in engine.find(kind, wanted))


def _part(one: Found) -> str:
    return one.labels.get(labels.PART, "")


def _expired(one: Found, now: float) -> bool:
    expires = one.labels.get(labels.EXPIRES, "")
    return expires.isdigit() and int(expires) < now
