"""Commands for authors: lab lint, lab prove, lab status. What they find comes from elsewhere."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from roadmap_labs.cli import screen
from roadmap_labs.cli.options import AsJson, LabName, teller, time_factor
from roadmap_labs.errors import InvalidManifest, LabBroken


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
    lab: LabName,
    mutant: Annotated[
        list[str] | None, typer.Option("--mutant", metavar="ID", help="Only this mutant.", show_default=False)
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Runs of the solution.")] = 1,
    repeat_mutants: Annotated[int, typer.Option("--repeat-mutants", min=1, help="Runs of each mutant.")] = 1,
    load: Annotated[bool, typer.Option("--load", help="Keep every core busy meanwhile.")] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", min=0, help="Stacks side by side; 0: as many as this machine carries.")
    ] = 0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Judge mutants beyond the check that catches them.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the stack of a run that refutes the lab up, for a look.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Prove a lab: the starter fails where it must, the solution passes, every mutant is caught where it says.

    A whole proof is written beside the lab. Examples:  roadmap-labs lab prove redis-caching
    ·   roadmap-labs lab prove redis-caching --mutant same-ttl   ·   … --repeat 20 --load
    """
    from roadmap_labs.authoring import proving
    from roadmap_labs.authoring.prove import Wish
    from roadmap_labs.render import kept as kept_text
    from roadmap_labs.render import proof as text

    wish = Wish(lab, tuple(mutant or ()), repeat, repeat_mutants, load, jobs, whole, keep, time_factor())
    progress = screen.Progress()
    outcome, file = proving.run(wish, _told(progress, quiet=as_json))
    progress.clear()
    if as_json:
        screen.out_json(proving.document(outcome, file))
    else:
        paint = screen.paint_for(sys.stdout)
        for one in outcome.done:
            if one.wrong:
                screen.out("\n" + text.transcript(one, outcome.lab, width=screen.width(), paint=paint))
        screen.out(text.summary(outcome, file, paint))
    for stack in outcome.kept:
        screen.note("\n" + kept_text.kept(stack))
    return 0 if outcome.proven else LabBroken.exit_code


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
