"""The SDK's exceptions -> our errors, each with the endpoint and a cure. Knows nothing of the calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from roadmap_labs.engine.endpoint import Endpoint
from roadmap_labs.engine.protocol import Conflict, Missing
from roadmap_labs.errors import EngineRefused, EngineUnavailable, Problem

_START = (
    "Start it:  sudo systemctl start docker  (without systemd: sudo dockerd)     More:  roadmap-labs doctor"
)
_JOIN = 'Join the docker group:  sudo usermod -aG docker "$USER"     then log in again'
_SLOW = "Look at the engine:  roadmap-labs doctor"
_TAKEN = (
    "overlap",
    "port is already allocated",
    "address already in use",
    "is already in use by container",
    "ports are not available",
)


@contextmanager
def translated(endpoint: Endpoint, doing: str, *, may_conflict: bool = False) -> Iterator[None]:
    """Run engine calls; whatever they raise leaves as one of our errors. `doing` reads "create network x"."""
    import requests
    import urllib3
    from docker.errors import APIError, DockerException

    try:
        yield
    except Problem:
        raise
    except APIError as error:
        raise _refusal(error, doing, may_conflict=may_conflict) from error
    except (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError) as error:
        raise _too_slow(endpoint, doing) from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, DockerException) as error:
        if "timed out" in str(error).lower():
            raise _too_slow(endpoint, doing) from error
        raise unavailable(endpoint, error) from error


def unavailable(endpoint: Endpoint, error: BaseException) -> EngineUnavailable:
    """No engine behind the endpoint: say why in words, with the cure that fits."""
    causes = list(_chain(error))
    if any(isinstance(cause, PermissionError) for cause in causes):
        return EngineUnavailable(f"You may not use the Docker engine at {endpoint.url}.", cure=_JOIN)
    if any(isinstance(cause, FileNotFoundError) for cause in causes):
        why = "there is no such socket"
    elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        why = "the connection is refused"
    elif any(isinstance(cause, ConnectionError) for cause in causes):
        why = "the connection broke"
    else:
        why = str(causes[-1]) or type(causes[-1]).__name__
    return EngineUnavailable(f"No Docker engine answers at {endpoint.url}: {why}.", cure=_START)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it wraps, also in its arguments, as requests does."""
    seen: list[BaseException] = []
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.append(one)
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        waiting += [each for each in inner if isinstance(each, BaseException)]


def _too_slow(endpoint: Endpoint, doing: str) -> EngineRefused:
    return EngineRefused(f"The Docker engine at {endpoint.url} took too long to {doing}.", cure=_SLOW)


def _refusal(error: object, doing: str, *, may_conflict: bool) -> EngineRefused:
    status = getattr(error, "status_code", None)
    reason = str(getattr(error, "explanation", None) or error).strip()
    message = f"The Docker engine would not {doing}: {reason}"
    if status == 404:
        return Missing(message, cure=_SLOW)
    if may_conflict and (status == 409 or any(word in reason.lower() for word in _TAKEN)):
        return Conflict(message, cure=_SLOW)
    return EngineRefused(message, cure=_SLOW)
