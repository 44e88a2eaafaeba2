"""Commands around the playground: start, status, logs, shell, reset, stop, clean. Judges nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from roadmap_labs.cli import screen
from roadmap_labs.cli.options import AsJson, Elsewhere, ServiceName, Yes, complete_labs, here, teller
from roadmap_labs.errors import NotFound, WrongUse


def start(
    lab: Annotated[
        str | None,
        typer.Argument(
            metavar="[LAB]",
            help="A lab's name; the workspace's own by default.",
            autocompletion=complete_labs,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="The workspace; ./LAB by default.", show_default=False),
    ] = None,
    elsewhere: Elsewhere = None,
    as_json: AsJson = False,
) -> int:
    """Make a workspace and raise its playground: real servers, and your service with every saved file live.

    Example:  roadmap-labs start redis-caching shop
    """
    from roadmap_labs.render import play as pages
    from roadmap_labs.verbs import play

    lab, target = play.target(here(elsewhere), lab, folder)
    progress = screen.Progress(quiet=as_json)
    started = play.start(lab, target, teller(progress))
    progress.clear()
    screen.speak_of(started.workspace.folder)
    if as_json:
        screen.out_json(play.document(started))
    else:
        screen.out(pages.started(started, screen.from_here(started.workspace.folder)))
    return 0


def status(
    elsewhere: Elsewhere = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is ours on this engine.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show what runs for this workspace, as the engine has it now."""
    from roadmap_labs.render import play as pages
    from roadmap_labs.verbs import play

    if everything:
        stacks = play.all_stacks()
        if as_json:
            screen.out_json({"schema": "roadmap-labs.stacks/v1", "stacks": stacks})
        else:
            screen.out(pages.stacks(stacks))
        return 0
    seen = play.status(_workspace(elsewhere))
    if as_json:
        screen.out_json(play.document(seen))
    else:
        screen.out(pages.status(seen))
    return 0


def logs(
    service: ServiceName,
    elsewhere: Elsewhere = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", help="How many lines, from the end.", min=1)] = 200,
) -> int:
    """Print what a service, or your own role, has logged.

    Example:  roadmap-labs logs catalog -f
    """
    from roadmap_labs.verbs import play

    play.logs(_workspace(elsewhere), service, follow=follow, tail=tail, sink=_safe_writer())
    return 0


def shell(
    service: ServiceName,
    command: Annotated[
        list[str] | None, typer.Argument(help="A command instead of the service's own client.")
    ] = None,
    elsewhere: Elsewhere = None,
) -> int:
    """Open the service's own client inside its container: psql, redis-cli, or a shell in your role.

    Example:  roadmap-labs shell redis
    """
    import shlex
    import subprocess

    from roadmap_labs.verbs import play

    container, own = play.shell(_workspace(elsewhere), service)
    command = command[1:] if command and command[0] == "--" else command
    terminal = ["-it"] if sys.stdin.isatty() and sys.stdout.isatty() else ["-i"]
    try:
        # The docker client does what a library would have to write again: raw terminal, resizing, signals.
        ended = subprocess.run(["docker", "exec", *terminal, container, *(command or own)], check=False)
    except FileNotFoundError as error:
        raise NotFound(
            "There is no `docker` command on this machine, which opens the shell.",
            cure=f"Install it, or run this in the container {container[:12]}:  {shlex.join(own)}",
            fault="your machine",
        ) from error
    return ended.returncode


def reset(
    elsewhere: Elsewhere = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", help="Put back this file instead of the data.", show_default=False),
    ] = None,
    yes: Yes = False,
) -> int:
    """Put the playground's data, or with --file one of your files, back to the start. Progress is kept.

    Example:  roadmap-labs reset --file app/main.py
    """
    from roadmap_labs.verbs import play

    folder = _workspace(elsewhere)
    if file:
        for one in file:
            backup = play.reset_file(folder, one)
            screen.out(f"{one} is as it was given. Yours is kept as {screen.from_here(backup)}.")
        return 0
    if not _agreed("This deletes the data of the playground's services (your files stay).", yes):
        return 0
    progress = screen.Progress()
    again = play.reset(folder, teller(progress))
    progress.clear()
    screen.out("The data is as at the start." + (" The playground is up again." if again else ""))
    return 0


def stop(elsewhere: Elsewhere = None) -> int:
    """End the playground and keep its data; `start` goes on with it."""
    from roadmap_labs.verbs import play

    count = play.stop(_workspace(elsewhere))
    if count:
        screen.out(f"Stopped {count} containers; the data is kept. Go on:  roadmap-labs start")
    else:
        screen.out("Nothing was running.")
    return 0


def clean(
    elsewhere: Elsewhere = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that is ours on this engine, images too.")
    ] = False,
    stack: Annotated[
        str | None,
        typer.Option(
            "--stack", metavar="ID", help="A stack that `check --keep` left up.", show_default=False
        ),
    ] = None,
    keep_images: Annotated[bool, typer.Option("--keep-images", help="With --all: leave the images.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    yes: Yes = False,
) -> int:
    """Remove containers, networks and data of this workspace, or of all. Your files are never touched."""
    from roadmap_labs.verbs import clean as verbs

    if everything and stack:
        raise WrongUse("--all and --stack can't go together.", cure="Name one of them.")
    wanted = verbs.chosen(everything=everything, stack=stack, folder=lambda: here(elsewhere))
    doomed = verbs.belongings(wanted, images=everything and not keep_images)
    if not doomed:
        screen.out("Nothing of ours is there.")
        return 0
    if dry_run or not yes:
        for item in doomed:
            screen.note(f"  {item.kind:<9} {item.name}")
    if dry_run or not _agreed(f"This removes {len(doomed)} objects (your files stay).", yes):
        return 0
    verbs.remove(doomed, wanted)
    screen.out(f"Removed {len(doomed)} objects. Your files are untouched.")
    return 0


def _workspace(elsewhere: Path | None) -> Path:
    """Where the user means, and what commands in texts are about from now on, those of an error, too."""
    folder = here(elsewhere)
    screen.speak_of(folder)
    return folder


def _agreed(what: str, yes: bool) -> bool:
    """Ask on a terminal; elsewhere, and in CI, the command line has said enough."""
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()) or os.environ.get("CI"):
        return True
    screen.note(what)
    return typer.confirm("Go on?", default=True, err=True)


def _safe_writer() -> Callable[[bytes], None]:
    """Log bytes may hold anything: on a terminal control characters are shown, not obeyed; a file gets the bytes."""
    if not sys.stdout.isatty():
        return lambda piece: (sys.stdout.buffer.write(piece), sys.stdout.buffer.flush())[1]

    def write(piece: bytes) -> None:
        text = piece.decode("utf-8", "replace")
        sys.stdout.write("".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text))
        sys.stdout.flush()

    return write
