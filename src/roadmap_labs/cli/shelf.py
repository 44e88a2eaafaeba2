"""Commands that only read the shelf: list, info, schema. They need no engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from roadmap_labs.cli import screen
from roadmap_labs.cli.options import AsJson, LabName
from roadmap_labs.errors import NotFound


def list_labs(as_json: AsJson = False) -> int:
    """List all labs."""
    from roadmap_labs.content import folders, shelf
    from roadmap_labs.render import shelf as text

    labs = [(slug, shelf.load_manifest(slug)) for slug in folders.slugs()]
    if as_json:
        rows = [
            {
                "slug": slug,
                "title": manifest.title,
                "level": manifest.level,
                "minutes": manifest.minutes,
                "topics": list(manifest.topics),
                "version": manifest.version,
            }
            for slug, manifest in labs
        ]
        screen.out_json({"schema": "roadmap-labs.list/v1", "labs": rows})
        return 0
    screen.out(text.labs_table((slug, one.title, one.level, one.minutes, "") for slug, one in labs))
    screen.note("\nBegin:  roadmap-labs start LAB      More about one:  roadmap-labs info LAB")
    return 0


def info(lab: LabName, as_json: AsJson = False) -> int:
    """Show a lab: its story, tasks, checks and points."""
    from roadmap_labs.content import shelf, workspace
    from roadmap_labs.render import shelf as text

    found = shelf.load_lab(lab)
    if as_json:
        screen.out_json(
            {
                "schema": "roadmap-labs.lab/v1",
                "slug": found.slug,
                **found.manifest.model_dump(mode="json", exclude={"format"}),
                "checks": [
                    {"id": c.id, "task": c.task, "title": c.title, "points": c.points} for c in found.checks
                ],
                "max_score": found.max_score,
            }
        )
        return 0
    space = workspace.find(Path())
    outcomes = workspace.outcomes(space) if space and space.lab == lab else {}
    screen.out(text.lab_page(found, outcomes))
    return 0


def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="lab, mutant, service, scaffold or result.")],
) -> int:
    """Print a JSON Schema: of the four manifests for editors, or of `check --json`."""
    import json

    from pydantic import BaseModel

    from roadmap_labs.content import manifest

    shapes: dict[str, type[BaseModel]] = {
        "lab": manifest.LabManifest,
        "mutant": manifest.MutantManifest,
        "service": manifest.ServiceManifest,
        "scaffold": manifest.ScaffoldManifest,
    }
    if name == "result":
        file = Path(__file__).resolve().parent.parent / "schemas" / "result-v1.schema.json"
        screen.out_json(json.loads(file.read_text(encoding="utf-8")))
    elif name in shapes:
        screen.out_json(
            {"$schema": "http://json-schema.org/draft-07/schema#", **shapes[name].model_json_schema()}
        )
    else:
        raise NotFound(f"There is no schema '{name}'.", cure=f"There are: {', '.join([*shapes, 'result'])}")
    return 0
