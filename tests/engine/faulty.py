"""A transport under the real engine that fails the k-th call, or kills the process there. Knows no command of ours.

A *call* is one HTTP request to the engine. In the variant `unsent` it never reaches the engine; in `lost` the engine
does it and the answer does not come back. Threads make calls side by side, so which one is the k-th varies.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import docker.api.client
import requests
from docker.transport import UnixHTTPAdapter
from urllib3.exceptions import ProtocolError

STATUSES = ("404", "409", "500")
# `gone`: this call and all after it are refused, as when the engine has ended.
KINDS = (*STATUSES, "timeout", "reset", "hang", "kill", "gone")
VARIANTS = ("unsent", "lost")
HANG_SECONDS = 0.3  # our own deadlines are 20 to 900 s; what is tested is that there is one, and what follows


@dataclass(frozen=True)
class Fault:
    """What happens at call number `k` (from 1). `k` 0: nothing, calls are only counted."""

    k: int = 0
    kind: str = "500"
    variant: str = "unsent"


class _Silent:
    """A peer that takes everything and never says a word."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()

    def wait(self, seconds: float) -> None:
        with self._ours, self._theirs:
            self._ours.settimeout(seconds)
            self._ours.recv(1)


class Faults:
    """Counts the calls of this process and plays one fault."""

    def __init__(self, fault: Fault, log: int) -> None:
        self.fault, self._log = fault, log
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def number(self, method: str, path: str) -> int:
        """The next call's number; the log has one line a call, written before anything is done."""
        with self._lock:
            number = next(self._numbers)
            os.write(self._log, f"{method} {path}\n".encode())
        return number

    def strikes(self, number: int) -> bool:
        """Whether the fault is at this call."""
        if self.fault.kind == "gone" and self.fault.k:
            return number >= self.fault.k
        return number == self.fault.k

    def play(self, request: requests.PreparedRequest, timeout: Any) -> requests.Response:
        """Do what the fault says instead of an answer."""
        kind = self.fault.kind
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind in STATUSES:
            return _answer(request, int(kind))
        if kind == "hang":
            _hang(timeout)
        if kind in ("hang", "timeout"):
            raise requests.exceptions.ReadTimeout("the engine said nothing (injected)", request=request)
        number, why = (104, "Connection reset by peer") if kind == "reset" else (111, "Connection refused")
        error = ConnectionResetError if kind == "reset" else ConnectionRefusedError
        raise requests.exceptions.ConnectionError(
            ProtocolError("Connection aborted.", error(number, why)), request=request
        )


def _hang(timeout: Any) -> None:
    """Wait as the real transport does; a call without a deadline is a bug, and shows as exit code 70."""
    limit = timeout[1] if isinstance(timeout, tuple) else timeout
    if limit is None:
        raise AssertionError("this call has no deadline")
    try:
        _Silent().wait(min(float(limit), HANG_SECONDS))
    except TimeoutError:
        return


def _answer(request: requests.PreparedRequest, status: int) -> requests.Response:
    answer = requests.Response()
    answer.status_code, answer.request, answer.url = status, request, request.url or ""
    answer.headers["Content-Type"] = "application/json"
    answer._content = json.dumps({"message": f"injected error {status}"}).encode()
    return answer


class FaultyAdapter(UnixHTTPAdapter):
    """The SDK's own transport, with `Faults` in front of it."""

    faults: Faults

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        number = self.faults.number(request.method or "", request.path_url)
        if not self.faults.strikes(number):
            return super().send(request, *args, **more)
        if self.faults.fault.variant == "lost":
            with super().send(request, *args, **{**more, "stream": False}) as answer:
                answer.content  # noqa: B018 - only now the engine is done with it
        return self.faults.play(request, more.get("timeout"))


@contextmanager
def faulty(fault: Fault, log: int) -> Iterator[Faults]:
    """Every client of the SDK that this process opens inside goes through the faults."""
    faults = Faults(fault, log)
    plain = docker.api.client.UnixHTTPAdapter
    adapter = type("Adapter", (FaultyAdapter,), {"faults": faults})
    docker.api.client.UnixHTTPAdapter = adapter  # type: ignore[misc]
    try:
        yield faults
    finally:
        docker.api.client.UnixHTTPAdapter = plain  # type: ignore[misc]
