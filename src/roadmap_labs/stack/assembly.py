"""Gathers what a stack needs before it is raised: images, plans, the relay. Knows nothing of checks or people.

Images that are missing are built, with progress; what is present costs one look each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from roadmap_labs.content.footing import RELAY
from roadmap_labs.content.manifest import ScaffoldManifest
from roadmap_labs.content.shelf import Lab, load_scaffold, load_service, scaffold_image
from roadmap_labs.content.submission import Submission
from roadmap_labs.engine import images, labels
from roadmap_labs.engine.protocol import BuildFailed, Engine
from roadmap_labs.errors import BadSubmission
from roadmap_labs.files import pack
from roadmap_labs.stack.plan import Plans, Seat, draw_secrets, plan_role, plan_services, role_facts
from roadmap_labs.stack.running import Images, Stack

_SCAFFOLD = "image of the scaffold"  # no service can have this name
_HOST = "recipe "  # and none begins like this

Tell = Callable[[str, str], None]  # phase, step


@dataclass(frozen=True)
class Gathered:
    """All images of a lab's stack, by reference, and how the learner's roles are to be run."""

    base: str
    relay: str
    services: dict[str, str]
    roles: dict[str, str]
    scaffolded: dict[str, ScaffoldManifest]  # the roles that run in the scaffold's image

    @property
    def common(self) -> Images:
        return Images(self.base, self.relay)


def recipes(lab: Lab, scaffold: str | None) -> dict[str, images.Recipe]:
    """What a lab's images are built from: relay, services (by the lab's names for them), recipes that roles run in,
    and the scaffold's image where a role needs it."""
    found = {RELAY: images.Recipe(RELAY, load_service(RELAY).image_folder)}
    found |= {
        name: images.Recipe(service.name, service.image_folder) for name, service in lab.services.items()
    }
    found |= {_HOST + host.name: images.Recipe(host.name, host.image_folder) for host in lab.hosts.values()}
    if scaffold is not None and set(lab.manifest.roles) - set(lab.hosts):
        tree = load_scaffold(scaffold)
        found[_SCAFFOLD] = images.Recipe(tree.image_name, scaffold_image(tree))
    return found


def probe_image(lab: Lab, scaffold: str) -> str:
    """An image of this lab that learner code runs in."""
    found = recipes(lab, scaffold)
    return images.recipe_tag(
        found.get(_SCAFFOLD) or found[next(name for name in found if name.startswith(_HOST))]
    )


def seeds(lab: Lab, refs: Mapping[str, str]) -> dict[str, tuple[str, Path]]:
    """Service name -> the image it stands on and the seed that is baked into it."""
    return {
        name: (refs[name], lab.folder / use.seed) for name, use in lab.manifest.services.items() if use.seed
    }


def missing(engine: Engine, lab: Lab, scaffold: str | None) -> tuple[str, ...]:
    """The images of a lab that this engine lacks, by reference; the one below all others, too: it carries files in."""
    tags = {name: images.recipe_tag(recipe) for name, recipe in recipes(lab, scaffold).items()}
    baked = [images.baked_tag(ref, seed, lab.slug, name) for name, (ref, seed) in seeds(lab, tags).items()]
    return tuple(
        tag for tag in dict.fromkeys([images.BASE, *tags.values(), *baked]) if engine.image(tag) is None
    )


def own_parts(lab: Lab, submission: Submission) -> dict[str, Submission]:
    """The roles whose part of the learner's folder brings a Dockerfile of its own, and that part."""
    parts = {
        name: submission.part(role.folder)
        for name, role in lab.manifest.roles.items()
        if name not in lab.hosts
    }
    return {name: part for name, part in parts.items() if part.own_image}


def gather(engine: Engine, lab: Lab, scaffold: str, submission: Submission, tell: Tell) -> Gathered:
    """Make sure of every image. A learner's Dockerfile that fails is a `BadSubmission` with its last lines."""
    own = own_parts(lab, submission)
    scaffolded = set(lab.manifest.roles) - set(lab.hosts) - set(own)
    wanted = recipes(lab, scaffold if scaffolded else None)
    lacking = missing(engine, lab, scaffold if scaffolded else None)
    refs = {name: images.recipe_tag(recipe) for name, recipe in wanted.items()}
    baked = seeds(lab, refs)
    if lacking:
        names = ", ".join(ref.removeprefix("roadmap-labs/").partition(":")[0] for ref in lacking)
        tell(f"images: building {names} (once, takes a minute or two)", "")
        images.ensure_base(engine, lambda line: tell("", line))
        images.ensure_many(engine, wanted.values(), lambda line: tell("", line))
        for name, (ref, seed) in baked.items():
            images.bake(engine, ref, seed, lab.slug, name, lambda line: tell("", line))
    services = {name: refs[name] for name in lab.services}
    services |= {name: images.baked_tag(ref, seed, lab.slug, name) for name, (ref, seed) in baked.items()}
    roles = {name: refs[_HOST + host.name] for name, host in lab.hosts.items()}
    roles |= dict.fromkeys(scaffolded, refs.get(_SCAFFOLD, ""))
    roles |= {name: build_own_image(engine, part, tell) for name, part in own.items()}
    manifest = load_scaffold(scaffold).manifest
    return Gathered(images.BASE, refs[RELAY], services, roles, dict.fromkeys(scaffolded, manifest))


def build_own_image(engine: Engine, submission: Submission, tell: Tell) -> str:
    """The image of a folder with a Dockerfile of its own; the same bytes are built once."""
    tag = f"roadmap-labs/submission:{submission.digest[:16]}"
    if engine.image(tag) is not None:
        return tag
    images.ensure_base(engine, lambda line: tell("", line))
    tell("image: building from your Dockerfile", "")
    marks = {labels.KIND: "image", labels.PART: "submission", labels.RECIPE: submission.digest}
    try:
        engine.build_image(
            pack(submission.files), tag, marks, progress=lambda line: tell("", line), memory_bytes=2 * 1024**3
        )
    except BuildFailed as error:
        lines = "\n".join(error.lines[-8:])
        raise BadSubmission(
            f"L-SUBM: your Dockerfile can't be built: {error.message}\n{lines}",
            cure="Mend the Dockerfile; docker build . shows the same.",
        ) from error
    return tag


def plans(lab: Lab, gathered: Gathered, *, sealed: bool) -> Plans:
    """The plans of all services and roles."""
    services = plan_services(lab, gathered.services, sealed=sealed)
    passwords = draw_secrets(lab, sealed=sealed)
    facts = role_facts(services, passwords)
    roles = {
        name: plan_role(
            lab, name, facts, image=image, scaffold=gathered.scaffolded.get(name), live=not sealed
        )
        for name, image in gathered.roles.items()
    }
    return Plans(services, {name: roles[name] for name in lab.manifest.roles}, passwords)


def sealed_stack(
    engine: Engine,
    lab: Lab,
    seat: Seat,
    scaffold: str,
    submission: Submission,
    tell: Tell,
    time_factor: float,
) -> Stack:
    """A stack for one judgement, not yet up: no way out, the learner's files in a volume."""
    gathered = gather(engine, lab, scaffold, submission, tell)
    return Stack(
        engine,
        seat,
        plans(lab, gathered, sealed=True),
        images=gathered.common,
        sealed=True,
        submission=submission,
        time_factor=time_factor,
    )
