"""Which engine to talk to: a named context, DOCKER_HOST, DOCKER_CONTEXT, the current context, the default.

Knows nothing of what is asked of the engine afterwards.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from roadmap_labs.errors import EngineUnavailable

DEFAULT_SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Endpoint:
    """Where an engine listens, and how the SDK's client is opened there."""

    url: str
    context: str  # name of the Docker context, "" where DOCKER_HOST decided
    options: Mapping[str, object] = field(default_factory=dict, repr=False)  # keywords of docker.APIClient

    @property
    def is_local(self) -> bool:
        return self.url.startswith(("unix:", "npipe:"))


def choose_endpoint(context: str | None = None, environment: Mapping[str, str] | None = None) -> Endpoint:
    """Decide as the docker command does; a context that nobody knows is an error, not the default socket."""
    env = dict(os.environ if environment is None else environment)
    if context is None and env.get("DOCKER_HOST"):
        return _from_variables(env)
    return _from_context(context or env.get("DOCKER_CONTEXT") or _current_context())


def _from_variables(env: Mapping[str, str]) -> Endpoint:
    from docker.errors import TLSParameterError
    from docker.utils import kwargs_from_env

    try:
        options: dict[str, object] = dict(kwargs_from_env(environment=dict(env)))
    except TLSParameterError as error:
        raise EngineUnavailable(
            f"DOCKER_HOST is {env['DOCKER_HOST']}, but its TLS settings are wrong: {error}",
            cure="Correct DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, or unset all three.",
        ) from error
    return Endpoint(url=env["DOCKER_HOST"], context="", options=_with_ssh(env["DOCKER_HOST"], options))


def _from_context(name: str) -> Endpoint:
    if name == "default":
        return Endpoint(url=DEFAULT_SOCKET, context="default", options={"base_url": DEFAULT_SOCKET})
    url = _contexts().get(name)
    if url is None:
        raise EngineUnavailable(
            f"There is no Docker context {name!r} (known: {', '.join(known_contexts())}).", cure=_CURE
        )
    options: dict[str, object] = {"base_url": url}
    if tls := _tls(name):
        options["tls"] = tls
    return Endpoint(url=url, context=name, options=_with_ssh(url, options))


def _tls(name: str) -> object | None:
    from docker.context import ContextAPI

    try:
        found = ContextAPI.get_context(name)
    except Exception as error:  # the SDK raises a bare Exception for a damaged file
        raise EngineUnavailable(f"Docker context {name!r} can't be read: {error}", cure=_CURE) from error
    return None if found is None else found.TLSConfig


_CURE = "Choose another:  docker context use default     or unset DOCKER_CONTEXT"


def _with_ssh(url: str, options: dict[str, object]) -> dict[str, object]:
    # Without this the SDK wants paramiko; the ssh command is there wherever ssh works at all.
    return {**options, "use_ssh_client": True} if url.startswith("ssh://") else options


def _current_context() -> str:
    from docker.context.config import get_current_context_name

    return str(get_current_context_name() or "default")


def known_contexts() -> tuple[str, ...]:
    """Names of all Docker contexts of this user, "default" first."""
    return ("default", *sorted(_contexts()))


def _contexts() -> dict[str, str]:
    """Name -> URL. Not by the SDK: it sees no context at all where there is no config.json."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "contexts" / "meta"
    found = {}
    for file in folder.glob("*/meta.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            meta = json.loads(file.read_text())
            found[str(meta["Name"])] = str(meta["Endpoints"]["docker"]["Host"])
    return found
