"""images build and images list, as values. Knows nothing of stacks that run."""

from __future__ import annotations

from collections.abc import Sequence

from roadmap_labs.content import folders, shelf
from roadmap_labs.content.submission import submission_of
from roadmap_labs.engine import images
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.stack import assembly
from roadmap_labs.stack.assembly import Tell


def build(slugs: Sequence[str], tell: Tell) -> dict[str, str]:
    """Build what these labs need (all labs, where none is named); returns reference by name."""
    engine = open_engine()
    built: dict[str, str] = {}
    for slug in slugs or folders.slugs():
        lab = shelf.load_lab(slug)
        for scaffold in lab.manifest.scaffolds:
            gathered = assembly.gather(engine, lab, scaffold, submission_of(()), tell)
            built |= {"debian": gathered.base, "relay": gathered.relay}
            built |= {f"{slug}: {name}": ref for name, ref in (gathered.services | gathered.roles).items()}
    return built


def listing() -> tuple[images.Listed, ...]:
    """Every image that a lab needs, and every image of ours that none needs any more."""
    engine = open_engine()
    wanted: dict[str, str] = {images.BASE: "debian"}
    for lab in (shelf.load_lab(slug) for slug in folders.slugs()):
        for scaffold in lab.manifest.scaffolds:
            recipes = assembly.recipes(lab, scaffold)
            refs = {name: images.recipe_tag(recipe) for name, recipe in recipes.items()}
            wanted |= {refs[name]: recipe.name for name, recipe in recipes.items()}
            for name, (ref, seed) in assembly.seeds(lab, refs).items():
                wanted[images.baked_tag(ref, seed, lab.slug, name)] = f"{lab.slug}-{name}"
    return images.listing(engine, wanted)
