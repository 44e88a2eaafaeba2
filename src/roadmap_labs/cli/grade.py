"""Commands for teachers: grade, report. What they find comes from elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roadmap_labs.cli import screen, workers
from roadmap_labs.cli.options import AsJson, LabName, teller, time_factor
from roadmap_labs.cli.workers import Broker, TokenFile
from roadmap_labs.errors import EngineRefused, WrongUse

if TYPE_CHECKING:
    from roadmap_labs.grading.batch import Told
    from roadmap_labs.grading.book import Book


def grade(
    lab: LabName,
    submissions: Annotated[
        Path,
        typer.Argument(metavar="SUBMISSIONS", help="A folder with one folder or archive per submission."),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="OUT", help="Where ledger, results and gradebook go.")
    ],
    jobs: Annotated[str, typer.Option("--jobs", help="Submissions side by side, or auto.")] = "auto",
    report: Annotated[
        list[str] | None,
        typer.Option("--report", metavar="FORMAT=PATH", help="Also this file.", show_default=False),
    ] = None,
    roster: Annotated[
        Path | None, typer.Option("--roster", help="CSV: id,name,number,email.", show_default=False)
    ] = None,
    again: Annotated[
        list[str] | None,
        typer.Option("--again", metavar="ID", help="Judge this one anew.", show_default=False),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Judge those anew whose files have changed.")
    ] = False,
    recheck: Annotated[
        str, typer.Option("--recheck", metavar="PERCENT", help="Judge a sample twice, e.g. 2%.")
    ] = "0%",
    allow_dockerfile: Annotated[
        bool, typer.Option("--allow-dockerfile", help="Build images of submissions that bring a Dockerfile.")
    ] = False,
    backend: Annotated[
        str, typer.Option("--backend", metavar="local|celery", help="Judge here, or have workers judge.")
    ] = "local",
    broker: Broker = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where workers reach this command.")
    ] = "127.0.0.1:8377",
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> int:
    """Grade a folder of submissions; stopped or killed, the same command goes on where it was.

    Example:  roadmap-labs grade redis-caching handed-in --out grades --report junit=grades.xml
    """
    from roadmap_labs.grading import batch, book, reporting
    from roadmap_labs.grading.exports import FORMATS
    from roadmap_labs.render import grading as text

    reports = reporting.wanted(tuple(report or ()))
    people = book.read_roster(roster) if roster else {}
    wish = batch.Wish(
        lab,
        submissions,
        out,
        _jobs(jobs),
        tuple(again or ()),
        changed,
        _part(recheck),
        allow_dockerfile,
        time_factor(),
    )
    progress = screen.Progress(quiet=as_json)
    others = workers.backend(backend, lab, out, broker, listen, token_file)
    graded = batch.grade(wish, _told(progress, quiet=as_json), others)
    progress.clear()
    kept = reporting.keep_people(out, graded, people)
    found = reporting.book_of(graded.lab, graded.jobs, graded.entries, kept)
    for name, file in {"csv": out / "gradebook.csv", **reports}.items():
        reporting.write(file, FORMATS[name](found))
    if as_json:
        screen.out_json(_overview_document(found, graded.rechecks))
    else:
        seen = book.overview(found)
        screen.out("\n" + text.overview(found, seen, graded.rechecks, screen.paint_for(sys.stdout)))
        screen.out(f"\nGradebook: {screen.from_here(out / 'gradebook.csv')} · {graded.seconds:.0f} s")
    return EngineRefused.exit_code if any(row.state == "ungraded" for row in found.rows) else 0


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that was graded into.")],
    form: Annotated[
        str | None, typer.Option("--format", help="json, csv, junit, gradescope, …", show_default=False)
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="A file instead of stdout.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Tell what came out of a batch, or write it in another program's form; nothing is judged again.

    Examples:  roadmap-labs report grades   ·   roadmap-labs report grades --format moodle --to moodle.csv
    """
    from roadmap_labs.grading import book, reporting
    from roadmap_labs.grading.exports import FORMATS
    from roadmap_labs.render import grading as text

    found, rechecks = reporting.stored(out)
    if form is not None:
        content = FORMATS[reporting.known(form)](found)
        if to is not None:
            reporting.write(to, content)
        else:
            sys.stdout.buffer.write(content)
        return 0
    if as_json:
        screen.out_json(_overview_document(found, rechecks))
    else:
        screen.out(text.overview(found, book.overview(found), rechecks, screen.paint_for(sys.stdout)))
    return 0


def _overview_document(found: Book, rechecks: Mapping[str, bool]) -> dict[str, object]:
    from dataclasses import asdict

    from roadmap_labs.grading import book

    seen = asdict(book.overview(found))
    return {"schema": "roadmap-labs.overview/v1", "lab": found.lab, "rechecks": dict(rechecks), **seen}


def _jobs(word: str) -> int:
    if word == "auto":
        return 0
    if not word.isdigit() or not 1 <= int(word) <= 64:
        raise WrongUse(
            f"--jobs {word} is no number from 1 to 64.", cure="Leave it out, and the machine decides."
        )
    return int(word)


def _part(word: str) -> float:
    try:
        part = float(word.removesuffix("%")) / 100
    except ValueError:
        part = -1.0
    if not 0 <= part <= 1:
        raise WrongUse(f"--recheck {word} is no part of the submissions.", cure="For instance:  --recheck 2%")
    return part


def _told(progress: screen.Progress, *, quiet: bool) -> Told:
    """Who is told: one line a submission on stdout, and on a terminal how far it is; nobody where it is quiet."""
    from roadmap_labs.grading.batch import Told
    from roadmap_labs.render import grading as text

    state: dict[str, Any] = {"waiting": 0, "done": 0, "running": set(), "began": time.monotonic()}
    verdicts: Counter[str] = Counter()
    paint = screen.paint_for(sys.stdout)

    def planned(counts: Mapping[Any, int], jobs: int) -> None:
        state["waiting"], state["began"] = counts["waiting"], time.monotonic()
        before = f", {counts['graded']} are graded already" if counts["graded"] else ""
        by = f"{jobs} side by side" if jobs else "by workers"
        progress.phase(f"{counts['waiting']} submissions to judge{before}, {by}")

    def show() -> None:
        if sys.stderr.isatty():
            done, running = state["done"], len(state["running"])
            waiting = max(0, state["waiting"] - done - running)
            took = time.monotonic() - state["began"]
            left = took / done * (waiting + running) if done else None
            progress.phase(text.progress(done, running, waiting, verdicts, left))

    def begun(id_: str) -> None:
        state["running"].add(id_)
        show()

    def over(id_: str, verdict: str, line: str) -> None:
        """It has left the stage with a verdict to count; an empty one: it waits again."""
        state["running"].discard(id_)
        if verdict:
            state["done"] += 1
            verdicts[verdict] += 1
        if not quiet:
            progress.clear()
            screen.out(line)
            show()

    def ended(id_: str, result: Mapping[str, Any], after: str) -> None:
        verdict = {"graded": str(result["verdict"]), "waiting": ""}.get(after, after)
        over(id_, verdict, text.line(id_, result, after, paint))

    def rechecking(count: int) -> None:
        state.update(waiting=count, done=0, began=time.monotonic())
        verdicts.clear()
        progress.phase(f"{count} of them to judge once more")

    def rechecked(id_: str, same: bool | None) -> None:
        over(id_, text.SECOND[same], text.second(id_, same, paint))

    return Told(teller(progress), planned, begun, ended, rechecking, rechecked)
