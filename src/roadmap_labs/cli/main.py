"""The command line's table of contents: which command is which function. Holds no logic."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

# Plain help texts, in a third of the time; typer reads this while it is imported.
os.environ.setdefault("TYPER_USE_RICH", "0")
# No plug-in that happens to be installed has a say in our manifests, and looking for them takes time.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "1"

import typer

from roadmap_labs import __version__
from roadmap_labs.cli import edge, grade, house, judge, lab, options, play, shelf, workers

_SETTINGS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="roadmap-labs",
    context_settings=_SETTINGS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Begin:  roadmap-labs list   ·   roadmap-labs start redis-caching",
)
images = typer.Typer(
    no_args_is_help=True, context_settings=_SETTINGS, help="Build and list the labs' images."
)

labs = typer.Typer(
    no_args_is_help=True, context_settings=_SETTINGS, help="For authors: begin a lab, look at it, prove it."
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"roadmap-labs {__version__}")
        raise typer.Exit


@app.callback()
def root(
    elsewhere: Annotated[
        Path | None, typer.Option("-C", metavar="DIR", help="Work as if started in DIR.", show_default=False)
    ] = None,
    labs_path: Annotated[
        Path | None,
        typer.Option(
            "--labs-path", metavar="DIR", help="Look for labs in DIR/labs first.", show_default=False
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", help="Use this Docker context.", show_default=False)
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hands-on labs for backend engineers: real servers in containers, judged from outside."""
    del version
    options.remember_elsewhere(elsewhere)
    options.remember_labs(labs_path)
    if context:
        os.environ["DOCKER_CONTEXT"] = context
        os.environ.pop("DOCKER_HOST", None)


for command in (
    play.start,
    judge.check,
    play.status,
    play.logs,
    play.shell,
    judge.hint,
    play.reset,
    play.stop,
    play.clean,
):
    app.command(context_settings=_SETTINGS)(command)
# What follows the service's name belongs to the command inside: `shell redis redis-cli --scan`.
app.command(context_settings={**_SETTINGS, "ignore_unknown_options": True, "allow_interspersed_args": False})(
    play.shell
)
app.command("list", context_settings=_SETTINGS)(shelf.list_labs)
app.command(context_settings=_SETTINGS)(shelf.info)
app.command(context_settings=_SETTINGS)(grade.grade)
app.command(context_settings=_SETTINGS)(grade.report)
app.command(context_settings=_SETTINGS)(workers.worker)
app.command(context_settings=_SETTINGS)(house.doctor)
app.add_typer(images, name="images")
images.command("build", context_settings=_SETTINGS)(house.images_build)
images.command("list", context_settings=_SETTINGS)(house.images_list)
app.command(context_settings=_SETTINGS)(shelf.schema)
app.add_typer(labs, name="lab")
labs.command(context_settings=_SETTINGS)(lab.new)
labs.command(context_settings=_SETTINGS)(lab.lint)
labs.command(context_settings=_SETTINGS)(lab.prove)
labs.command(context_settings=_SETTINGS)(lab.status)


def _command() -> int:
    try:
        result = app(standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        # Typer's own errors of use know how to show themselves; everything else belongs to the edge.
        show = getattr(error, "show", None)
        if show is None or not hasattr(error, "exit_code"):
            raise
        show()
        return int(error.exit_code)
    if edge.interrupted.is_set():
        raise KeyboardInterrupt  # typer has made an exit code of it
    return int(result or 0)


def main() -> None:
    """Entry point of the `roadmap-labs` command."""
    code = edge.run(_command)
    sys.stdout.flush()
    sys.exit(code)
