"""clean, as values: what is ours on an engine, and its removal. Never touches a file of a learner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from roadmap_labs.content import workspace
from roadmap_labs.engine import labels
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.protocol import Engine, Found
from roadmap_labs.engine.sweep import find_all, remove_all
from roadmap_labs.errors import EngineRefused, TryAgain


def chosen(*, everything: bool, stack: str | None, folder: Callable[[], Path]) -> Mapping[str, str]:
    """The labels of what is to go: all of ours, one stack, or all of one workspace (its lab may be gone)."""
    if everything:
        return {labels.STACK: ""}
    return {labels.STACK: stack} if stack else {labels.WORKSPACE: workspace.require(folder()).id}


def belongings(wanted: Mapping[str, str], *, images: bool) -> tuple[Found, ...]:
    """What of ours on this engine carries these labels."""
    engine = open_engine()
    found = [*find_all(engine, {labels.STACK: "", **wanted})]
    if images:
        found += engine.find("image", {labels.KIND: "image"})
    return tuple(found)


def remove(doomed: Sequence[Found], wanted: Mapping[str, str]) -> tuple[Found, ...]:
    """Remove these objects; returns what was removed, raises where something stays."""
    engine = open_engine()
    remove_all(engine, wanted)
    _remove_images(engine, [item for item in doomed if item.kind == "image"])
    left = belongings(wanted, images=any(item.kind == "image" for item in doomed))
    if left:
        raise TryAgain(
            f"{len(left)} objects are still there, the first is {left[0].kind} {left[0].name}.",
            cure="Run it again:  roadmap-labs clean",
        )
    return tuple(doomed)


def _remove_images(engine: Engine, doomed: Sequence[Found]) -> None:
    """An image goes only after those that stand on it, and only the engine knows which these are."""
    refused = list(doomed)
    while refused:
        before, refused = refused, []
        for item in before:
            try:
                engine.remove("image", item.id)
            except EngineRefused:
                refused.append(item)
        if len(refused) == len(before):
            return
