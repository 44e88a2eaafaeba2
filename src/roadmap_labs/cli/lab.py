"""Commands for authors: lab lint, lab prove, lab status. What they find comes from elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roadmap_labs.cli import screen
from roadmap_labs.cli.options import AsJson, LabName, complete_labs, labs_path, teller, time_factor
from roadmap_labs.errors import InvalidManifest, LabBroken, WrongUse

if TYPE_CHECKING:
    from roadmap_labs.authoring.prove import Proving


def new(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="The lab's name, as people will type it.")],
    topic: Annotated[str, typer.Option("--topic", help="The topic of the roadmap that it teaches.")],
    service: Annotated[
        list[str] | None, typer.Option("--service", help="A server of services/.", show_default=False)
    ] = None,
    scaffold: Annotated[
        str, typer.Option("--scaffold", help="A project tree of scaffolds/.")
    ] = "python-http",
) -> int:
    """Begin a lab: a small one that runs, in which every file explains what goes where.

    Example:  roadmap-labs lab new message-order --topic message-queues --service postgres
    """
    from roadmap_labs.authoring.beginning import Beginning, begin

    folder = begin(Beginning(slug, topic, tuple(service or ()), scaffold), labs_path())
    at = f" --labs-path {labs_path()}" if labs_path() else ""
    screen.out(f"{screen.from_here(folder)} is begun. Read its lab.yaml, then:\n")
    screen.out(f"  roadmap-labs{at} lab lint {slug}     what is left to be written")
    screen.out(f"  roadmap-labs{at} lab prove {slug}    whether the checks find what they must")
    return 0


def lint(lab: LabName, as_json: AsJson = False) -> int:
    """Look at a lab's files: every problem at once, with file, line and cure. Needs no engine.

    Example:  roadmap-labs lab lint redis-caching
    """
    from roadmap_labs.authoring.lint import examine
    from roadmap_labs.render import proof as text

    flaws = examine(lab)
    if as_json:
        rows = [{**asdict(flaw), "file": str(flaw.file)} for flaw in flaws]
        screen.out_json({"schema": "roadmap-labs.lint/v1", "lab": lab, "ok": not flaws, "flaws": rows})
    else:
        screen.out(text.lint_page(lab, flaws, screen.paint_for(sys.stdout)))
    return InvalidManifest.exit_code if flaws else 0


def prove(
    lab: Annotated[
        str | None,
        typer.Argument(metavar="[LAB]", autocompletion=complete_labs, show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every lab, one after another.")] = False,
    stale: Annotated[
        bool, typer.Option("--stale", help="Every lab whose proof is missing or out of date.")
    ] = False,
    mutant: Annotated[
        list[str] | None, typer.Option("--mutant", metavar="ID", help="Only this mutant.", show_default=False)
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Runs of the solution.")] = 1,
    repeat_mutants: Annotated[
        int,
        typer.Option("--repeat-mutants", min=1, help="Runs of each mutant; only the first is by all checks."),
    ] = 1,
    load: Annotated[bool, typer.Option("--load", help="Keep every core busy meanwhile.")] = False,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", min=0, help="Stacks side by side; 0: two for each core, as far as memory goes."
        ),
    ] = 0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Judge mutants beyond the check that catches them.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the stack of a run that refutes the lab up, for a look.")
    ] = False,
    minutes: Annotated[
        int,
        typer.Option(
            "--minutes", min=0, help="Begin no lab that would take longer than is left; 0: no limit."
        ),
    ] = 0,
    as_json: AsJson = False,
) -> int:
    """Prove a lab: the starter fails where it must, the solution passes, every mutant is caught where it says.

    A whole proof is written beside the lab. Examples:  roadmap-labs lab prove redis-caching
    ·   roadmap-labs lab prove redis-caching --mutant m4   ·   … --repeat 20 --load   ·   roadmap-labs lab prove --all
    """
    from roadmap_labs.authoring import proving
    from roadmap_labs.authoring.prove import Wish
    from roadmap_labs.render import kept as kept_text

    slugs = proving.chosen(lab, every=every, stale=stale)
    if mutant and len(slugs) != 1:
        raise WrongUse(
            "--mutant belongs to one lab.", cure="Name the lab:  roadmap-labs lab prove LAB --mutant ID"
        )
    documents = []
    code = 0
    began = time.monotonic()
    for slug in slugs:
        if minutes and time.monotonic() - began + proving.expected_seconds(slug) > minutes * 60:
            screen.note(f"Not proven for want of time:  roadmap-labs lab prove {slug}")
            continue
        wish = Wish(slug, tuple(mutant or ()), repeat, repeat_mutants, load, jobs, whole, keep, time_factor())
        progress = screen.Progress()
        if len(slugs) > 1 and not as_json:
            screen.out(f"\n{slug}")
        outcome, file = proving.run(wish, _told(progress, quiet=as_json))
        progress.clear()
        documents.append(proving.document(outcome, file))
        if not as_json:
            _show(outcome, file)
        for stack in outcome.kept:
            screen.note("\n" + kept_text.kept(stack))
        code = code or (0 if outcome.proven else LabBroken.exit_code)
    if as_json:
        screen.out_json(documents[0] if lab else {"schema": "roadmap-labs.provings/v1", "labs": documents})
    elif not slugs:
        screen.out("Every lab is proven as it lies here.")
    return code


def _show(outcome: Proving, file: Path | None) -> None:
    from roadmap_labs.render import proof as text

    paint = screen.paint_for(sys.stdout)
    for one in outcome.done:
        if one.wrong:
            screen.out("\n" + text.transcript(one, outcome.lab, width=screen.width(), paint=paint))
    screen.out(text.summary(outcome, file, paint))


def _told(progress: screen.Progress, *, quiet: bool):  # type: ignore[no-untyped-def]
    """Who is told: one line a finished run, and on a terminal what runs now."""
    from roadmap_labs.authoring.prove import Told
    from roadmap_labs.render import proof as text

    running: dict[str, str] = {}
    count = {"planned": 0, "done": 0}

    def planned(runs: int, jobs: int) -> None:
        count["planned"] = runs
        progress.phase(f"{runs} runs, {jobs} side by side")

    def at(run, check) -> None:  # type: ignore[no-untyped-def]
        running[text.run_name(run)] = check.id
        now = ", ".join(f"{name}: {one}" for name, one in list(running.items()))
        if sys.stderr.isatty():
            progress.phase(f"{count['done']} of {count['planned']} · {now}")

    def finished(done) -> None:  # type: ignore[no-untyped-def]
        count["done"] += 1
        running.pop(text.run_name(done.run), None)
        progress.clear()
        line = text.run_line(done, screen.paint_for(sys.stderr if quiet else sys.stdout))
        screen.note(line) if quiet else screen.out(line)

    return Told(teller(progress), planned, at, finished)


def status(as_json: AsJson = False) -> int:
    """Tell which labs are proven as they lie here now, and what has changed since where one is not."""
    from roadmap_labs.authoring import proof
    from roadmap_labs.render import proof as text

    rows = proof.standings()
    bad = [row for row in rows if row.state != "proven"]
    if as_json:
        labs = [asdict(row) for row in rows]
        screen.out_json({"schema": "roadmap-labs.standing/v1", "ok": not bad, "labs": labs})
        return 0
    screen.out(text.standings_table(rows, screen.paint_for(sys.stdout)))
    if bad:
        screen.note(f"\nProve it:  roadmap-labs lab prove {bad[0].slug}")
    return 0
