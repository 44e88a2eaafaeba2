"""Commands about the machine: doctor, images. They judge nothing and touch no workspace."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from roadmap_labs.cli import screen
from roadmap_labs.cli.options import AsJson, complete_labs, teller


def doctor(
    isolation: Annotated[
        bool,
        typer.Option(
            "--isolation", help="Start a probe under the sealed profile and measure what it can do."
        ),
    ] = False,
    shared: Annotated[
        bool,
        typer.Option("--shared", help="Is this host fit to grade strangers' code? Measured, not assumed."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Look at this machine: engine, disk, memory, addresses, clock, images, isolation. Each finding has its cure."""
    from roadmap_labs.render import doctor as text
    from roadmap_labs.verbs import doctor as verbs

    progress = screen.Progress(quiet=as_json)
    findings = verbs.examine(isolation=isolation, shared=shared, tell=teller(progress))
    progress.clear()
    bad = [finding for finding in findings if finding.ok is False]
    if as_json:
        screen.out_json(
            {
                "schema": "roadmap-labs.doctor/v1",
                "ok": not bad,
                "findings": [asdict(finding) for finding in findings],
            }
        )
    else:
        screen.out(text.page(findings))
        if shared:
            screen.out("\n" + text.fitness(findings))
    return verbs.exit_code(findings)


def images_build(
    lab: Annotated[
        list[str] | None, typer.Argument(metavar="LAB", autocompletion=complete_labs, show_default=False)
    ] = None,
) -> int:
    """Build the images that labs need (of all labs, where none is named); what is present is kept."""
    from roadmap_labs.verbs import images as verbs

    progress = screen.Progress()
    built = verbs.build(lab or [], teller(progress))
    progress.clear()
    for name, ref in built.items():
        screen.out(f"{name:<34} {ref}")
    return 0


def images_list(as_json: AsJson = False) -> int:
    """List the images that labs need, and whether this engine has them."""
    from roadmap_labs.verbs import images as verbs

    rows = verbs.listing()
    if as_json:
        screen.out_json({"schema": "roadmap-labs.images/v1", "images": [asdict(row) for row in rows]})
        return 0
    for row in rows:
        state = f"✓ present  {row.size_bytes / 1e6:6.0f} MB" if row.present else "· missing"
        screen.out(f"  {row.ref:<52} {state}" + ("" if row.wanted else "   no lab needs it"))
    if not all(row.present for row in rows):
        screen.note("\nBuild them:  roadmap-labs images build")
    return 0
