"""Finds out whether a server answers its own protocol, by a real login or request. Knows nothing of containers.

A TCP connect proves nothing: the relay accepts for everybody, and so do some networks. Each probe is one short
attempt; whoever asks repeats it until a deadline.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterable

from roadmap_labs.stack.plan import CHECKER, ServicePlan

POLL_SECONDS = 0.02
_ATTEMPT_SECONDS = 2.0
_LONGEST_HEAD = 4096
_MOMENT = 0.2
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # PostgreSQL's protocol, 54.2.10: answered by one byte


def warm(services: Iterable[ServicePlan]) -> None:
    """Import what the probes of these services need, so that it is there when they are to be asked."""
    plans = tuple(services)
    if any(plan.manifest.ready == "postgres" for plan in plans):
        # Here and not above: 80 ms, which only a command that raises a PostgreSQL pays, while its containers start.
        import pg8000.native  # noqa: F401
    if any(plan.manifest.ready == "amqp" for plan in plans):
        import pika  # noqa: F401


def service_answers(plan: ServicePlan, host: str, port: int) -> bool:
    """One attempt to log in to a service, as the account that the learner's code will use."""
    kind = plan.manifest.ready
    if kind == "postgres":
        return _postgres(plan, host, port)
    if kind == "redis":
        return _redis(plan, host, port)
    if kind == "amqp":
        return _amqp(plan, host, port)
    if kind.startswith("http:"):
        return http_status(host, port, kind[kind.index(":/") + 1 :]) == 200
    return _listens(host, port)


def port_word(kind: str) -> str:
    """The name of the further port that a readiness like `http:admin:/ready` speaks of; empty for the first port."""
    return kind.split(":")[1] if kind.count(":") > 1 else ""


def role_answers(kind: str, host: str, port: int) -> bool:
    """One attempt to find a role ready: a path that answers 200, PostgreSQL's greeting, or a port that listens.

    `started` waits for nothing: such roles wait for each other, and whoever uses them looks for itself.
    """
    if kind == "started":
        return True
    if kind.startswith("/"):
        return http_status(host, port, kind) == 200
    if kind == "postgres":
        return bool(_exchange(host, port, _SSL_REQUEST, enough=bool))
    return _listens(host, port)


def _postgres(plan: ServicePlan, host: str, port: int) -> bool:
    import pg8000.native

    logins = [(plan.settings["user"], plan.password)]
    if plan.sealed:
        logins.append((CHECKER, plan.checker_password))
    try:
        for user, password in logins:
            connection = pg8000.native.Connection(
                user,
                host=host,
                port=port,
                password=password,
                database=plan.settings["database"],
                timeout=_ATTEMPT_SECONDS,
            )
            connection.close()
    except (OSError, pg8000.exceptions.Error, KeyError):
        # KeyError: pg8000 meets an answer of the server's first moments that has no such field.
        return False
    return True


def _redis(plan: ServicePlan, host: str, port: int) -> bool:
    lines = [b"PING"]
    if plan.sealed:
        lines.insert(0, b"AUTH " + CHECKER.encode() + b" " + plan.checker_password.encode())
    wanted = [b"+PONG"] if len(lines) == 1 else [b"+OK", b"+PONG"]
    answer = _exchange(
        host,
        port,
        b"".join(line + b"\r\n" for line in lines),
        enough=lambda got: got.count(b"\n") >= len(lines),
    )
    return answer.split() == wanted


def _amqp(plan: ServicePlan, host: str, port: int) -> bool:
    import pika
    import pika.exceptions
    from pika.adapters.utils.connection_workflow import AMQPConnectorException

    logging.getLogger("pika").setLevel(logging.CRITICAL)  # it tells of each attempt that fails, at length
    where = pika.ConnectionParameters(
        host,
        port,
        plan.settings["vhost"],
        pika.PlainCredentials(plan.settings["user"], plan.password),
        socket_timeout=_ATTEMPT_SECONDS,
        stack_timeout=_ATTEMPT_SECONDS,
        blocked_connection_timeout=_ATTEMPT_SECONDS,
    )
    try:
        pika.BlockingConnection(where).close()
    except (OSError, pika.exceptions.AMQPError, AMQPConnectorException):  # the last: nobody answered in time
        return False
    return True


def http_status(host: str, port: int, path: str, *, seconds: float = _ATTEMPT_SECONDS) -> int | None:
    """The status of a GET, None where no HTTP answer began in time. Reads a few bytes of the head, whatever is sent."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
    head = _exchange(host, port, request, enough=lambda got: b"\r\n" in got, seconds=seconds)
    parts = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(parts) >= 2 and parts[0].startswith(b"HTTP/1.") and parts[1].isdigit() and len(parts[1]) == 3:
        return int(parts[1])
    return None


def _listens(host: str, port: int) -> bool:
    """Whether a connection stays open for a moment. The relay takes every connection, and closes those that fail."""
    try:
        with socket.create_connection((host, port), timeout=_ATTEMPT_SECONDS) as connection:
            connection.settimeout(_MOMENT)
            return bool(connection.recv(1))
    except TimeoutError:
        return True
    except OSError:
        return False


def _exchange(
    host: str,
    port: int,
    request: bytes,
    *,
    enough: Callable[[bytes], bool],
    seconds: float = _ATTEMPT_SECONDS,
) -> bytes:
    deadline = time.monotonic() + seconds
    got = b""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=seconds) as connection:
        connection.sendall(request)
        while not enough(got) and len(got) < _LONGEST_HEAD:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = connection.recv(_LONGEST_HEAD)
            if not piece:
                break
            got += piece
    return got
