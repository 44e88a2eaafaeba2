"""Recipes -> images: a tag says exactly what was built from. Knows nothing of services, scaffolds or labs.

The hash covers the recipe's files and what it stands on, never this machine: the same recipe has the same tag
everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from roadmap_labs.engine import labels
from roadmap_labs.engine.debian import BASE, OFFLINE, ensure_base, is_offline
from roadmap_labs.engine.protocol import Engine, Missing, Progress
from roadmap_labs.errors import LabBroken, TryAgain
from roadmap_labs.files import File, digest, pack, read_folder
from roadmap_labs.places import locked

__all__ = ["BASE", "Listed", "Recipe", "bake", "baked_tag", "ensure", "ensure_base", "ensure_many", "listing"]

_OURS = "roadmap-labs/"
_SHORT = 12
_AT_ONCE = 2
_SEEDS = "seed/"


@dataclass(frozen=True)
class Recipe:
    """A folder with a Dockerfile, and the tag that its FROM line names."""

    name: str
    folder: Path
    from_tag: str = BASE


@dataclass(frozen=True)
class Listed:
    """One image for `images list`: wanted by a recipe or not, there or not."""

    name: str
    ref: str
    present: bool
    wanted: bool
    size_bytes: int


def recipe_hash(recipe: Recipe) -> str:
    """64 hex digits, the same on every machine."""
    if not (recipe.folder / "Dockerfile").is_file():
        raise LabBroken(
            f"{recipe.folder} has no Dockerfile.", cure="Write one, or correct the recipe's name."
        )
    return digest(read_folder(recipe.folder), recipe.from_tag)


def recipe_tag(recipe: Recipe) -> str:
    """The image that this recipe makes."""
    return f"{_OURS}{recipe.name}:{recipe_hash(recipe)[:_SHORT]}"


def ensure(engine: Engine, recipe: Recipe, progress: Progress) -> str:
    """The recipe's image, built where it is missing."""
    return _ensure_built(
        engine, read_folder(recipe.folder), recipe_tag(recipe), recipe_hash(recipe), recipe.from_tag, progress
    )


def ensure_many(engine: Engine, recipes: Iterable[Recipe], progress: Progress) -> Mapping[str, str]:
    """Name -> image for all of them; side by side, but none before the image that it stands on."""
    waiting = {recipe_tag(recipe): recipe for recipe in recipes}
    refs = {recipe.name: tag for tag, recipe in waiting.items()}
    waiting = {tag: recipe for tag, recipe in waiting.items() if engine.image(tag) is None}
    if any(recipe.from_tag == BASE for recipe in waiting.values()):
        ensure_base(engine, progress)
    while waiting:
        next_ones = [recipe for recipe in waiting.values() if recipe.from_tag not in waiting]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="build") as pool:
            list(pool.map(lambda recipe: ensure(engine, recipe, _named(recipe.name, progress)), next_ones))
        waiting = {tag: recipe for tag, recipe in waiting.items() if recipe not in next_ones}
    return refs


def bake(
    engine: Engine,
    parent_ref: str,
    seed_folder: Path,
    lab: str,
    service: str,
    progress: Progress = lambda line: None,
) -> str:
    """A service's image with a lab's seed files made part of its state, by the image's own `bake` program."""
    files = _bake_files(parent_ref, seed_folder)
    tag = baked_tag(parent_ref, seed_folder, lab, service)
    return _ensure_built(engine, files, tag, digest(files), parent_ref, progress)


def baked_tag(parent_ref: str, seed_folder: Path, lab: str, service: str) -> str:
    """The image that `bake` makes of the same arguments."""
    return f"{_OURS}{lab}-{service}:{digest(_bake_files(parent_ref, seed_folder))[:_SHORT]}"


def _bake_files(parent_ref: str, seed_folder: Path) -> tuple[File, ...]:
    dockerfile = f'FROM {parent_ref}\nCOPY {_SEEDS} /opt/lab/seed/\nRUN ["/usr/local/bin/bake"]\n'
    return (File("Dockerfile", dockerfile.encode()), *read_folder(seed_folder, under=_SEEDS))


def listing(engine: Engine, wanted: Mapping[str, str]) -> tuple[Listed, ...]:
    """Every wanted image (tag -> name), and every image of ours that nobody wants any more."""
    rows = []
    for tag, name in wanted.items():
        found = engine.image(tag)
        rows.append(
            Listed(name, tag, found is not None, wanted=True, size_bytes=found.size_bytes if found else 0)
        )
    for other in engine.find("image", {labels.KIND: "image"}):
        state = engine.image(other.id)
        if state is not None and not set(state.tags) & set(wanted):
            rows.append(
                Listed(other.name, other.name or other.id, True, wanted=False, size_bytes=state.size_bytes)
            )
    return tuple(rows)


def _ensure_built(
    engine: Engine, files: tuple[File, ...], tag: str, full: str, parent: str, progress: Progress
) -> str:
    if _is_there(engine, tag, full):
        return tag
    with locked(f"image-{tag}", waiting=lambda: progress(f"another command is building {tag}: waiting")):
        if _is_there(engine, tag, full):
            return tag
        if is_offline():
            raise TryAgain(f"Image {tag} is missing, and {OFFLINE} is set.", cure="Go online and try again.")
        if parent == BASE:
            ensure_base(engine, progress)
        elif engine.image(parent) is None:
            # The engine would look for it in a registry, for a long time.
            raise Missing(
                f"Image {parent}, which {tag} stands on, is missing.", cure="roadmap-labs images build"
            )
        engine.build_image(pack(files), tag, {labels.KIND: "image", labels.RECIPE: full}, progress=progress)
    return tag


def _is_there(engine: Engine, tag: str, full: str) -> bool:
    found = engine.image(tag)
    return found is not None and found.labels.get(labels.RECIPE) == full


def _named(name: str, progress: Progress) -> Progress:
    return lambda line: progress(f"{name}: {line}")
