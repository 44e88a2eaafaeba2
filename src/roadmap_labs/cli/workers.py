"""The worker command, and what `grade` and it share: the broker, the token. Judges nothing itself."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from roadmap_labs.cli import screen
from roadmap_labs.errors import NotFound, WrongUse

if TYPE_CHECKING:
    from roadmap_labs.grading.work import JobBackend

Broker = Annotated[
    str | None,
    typer.Option(
        "--broker", metavar="URL", envvar="ROADMAP_LABS_BROKER", help="RabbitMQ, for several hosts.",
        show_default=False, show_envvar=False,
    ),
]  # fmt: skip
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="The workers' token; or ROADMAP_LABS_WORKER_TOKEN.",
        show_default=False,
    ),
]


def worker(
    coordinator: Annotated[
        str, typer.Option("--coordinator", metavar="URL", help="Where `grade --backend celery` listens.")
    ],
    broker: Broker = None,
    slots: Annotated[
        int, typer.Option("--slots", min=0, max=64, help="Submissions side by side; 0: as this host carries.")
    ] = 0,
    token_file: TokenFile = None,
) -> int:
    """Judge on this host what a coordinator hands out, until it is stopped; SIGTERM waits for what is under way.

    Example:  roadmap-labs worker --broker amqp://grader:…@queue.school/grading --coordinator http://10.0.0.5:8377
    """
    remote = _remote()
    post = remote.Post(_broker(broker), coordinator, _token(token_file, None), slots)
    host = remote.this_host(slots)
    screen.note(f"{host.name}: {host.slots} side by side, from {', '.join(host.queues)}. Ctrl-C ends it.")
    return int(remote.work(post, host, screen.out))


def backend(
    name: str, slug: str, out: Path, broker: str | None, listen: str, token_file: Path | None
) -> JobBackend | None:
    """The back end that was asked for; None is this machine."""
    if name == "local":
        return None
    if name != "celery":
        raise WrongUse(f"There is no back end '{name}'.", cure="--backend local, or --backend celery")
    _remote()
    import platform

    from roadmap_labs.content import shelf
    from roadmap_labs.grading.remote import broker as queues
    from roadmap_labs.grading.remote.backend import CeleryBackend

    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise WrongUse(f"'{listen}' is no HOST:PORT.", cure="For instance:  --listen 0.0.0.0:8377")
    queue = queues.queue_name(platform.machine(), queues.size_of(shelf.load_lab(slug)))
    return CeleryBackend(queues.Letters(_broker(broker), queue), _token(token_file, out), host, int(port))


def _remote() -> ModuleType:
    """The worker's module; what it needs is an extra, and most people never do."""
    try:
        from roadmap_labs.grading.remote import worker as remote
    except ModuleNotFoundError as missing:
        raise WrongUse(
            f"Grading on several hosts needs {missing.name}, which is not installed.",
            cure="pip install 'roadmap-labs[worker]'",
        ) from missing
    return remote


def _broker(url: str | None) -> str:
    if not url:
        raise WrongUse(
            "No broker is named.", cure="--broker amqp://NAME:PASSWORD@HOST/VHOST, or ROADMAP_LABS_BROKER"
        )
    return url


def _token(file: Path | None, out: Path | None) -> str:
    """The workers' token: from the file, from the environment, or (for a coordinator) a new one, kept in OUT."""
    import os
    import secrets

    known = os.environ.get("ROADMAP_LABS_WORKER_TOKEN", "")
    if file is None and known:
        return known
    if file is None and out is None:
        raise WrongUse(
            "No token is given.", cure="--token-file FILE: the coordinator names it when it starts"
        )
    made = file or (out or Path()) / "worker-token"
    try:
        if file is None and not made.exists():
            made.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                stream.write(secrets.token_urlsafe(32) + "\n")
        token = made.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(
            f"The token file {made} can't be read: {error}.", cure="Name one that can:  --token-file"
        ) from error
    if len(token) < 20:
        raise WrongUse(f"{made} holds no token.", cure="Remove it, and the coordinator makes a new one.")
    if out is not None:
        screen.note(f"  Workers need the token in {screen.from_here(made)}")
    return token
