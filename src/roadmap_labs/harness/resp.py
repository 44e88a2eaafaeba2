"""The Redis protocol (RESP2) on one socket, with limits on time, size and depth. Knows nothing of what is asked.

A client of our own, because what comes back may hold what a learner's program wrote: no reply may grow without limit,
and no import may cost a tenth of a second.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, TypeAlias

from roadmap_labs.harness.verdicts import LabFault, LearnerBroke, quote

Argument: TypeAlias = str | bytes | int

MAX_BULK = 4 * 1024 * 1024
MAX_ARRAY = 200_000
MAX_NESTING = 8
SECONDS = 15.0


# What a server says to everybody that one client has taken it from: a script that does not end, all its connections.
_TAKEN = ("BUSY ", "ERR max number of clients reached")


class Refused(Exception):
    """The server answered with an error line."""


class Line:
    """One connection; threads take turns."""

    def __init__(self, name: str, host: str, port: int, user: str = "", password: str = "") -> None:
        self.name = name
        self._turn = threading.Lock()
        self._rest = b""
        try:
            self.socket = socket.create_connection((host, port), timeout=SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise LabFault(f"{name} can't be reached: {error}.", code="I-STATE") from None
        if password:
            self.ask("AUTH", user, password)

    def ask(self, *arguments: Argument, within: float = SECONDS) -> Any:
        """One command, one reply; an error reply is raised as Refused."""
        reply = self.ask_all([arguments], within=within)[0]
        if isinstance(reply, Refused):
            raise reply
        return reply

    def ask_all(self, commands: Sequence[Sequence[Argument]], within: float = SECONDS) -> list[Any]:
        """Many commands in one round trip; error replies stand in the list."""
        with self._turn:
            deadline = time.monotonic() + within
            try:
                self.socket.settimeout(within)
                self.socket.sendall(b"".join(pack(command) for command in commands))
                replies = [self._reply(deadline, 0) for _ in commands]
            except OSError as error:
                self.close()
                raise LabFault(
                    f"{self.name} does not answer the checks: {error or 'time is up'}.", code="I-STATE"
                ) from None
        for reply in replies:
            if isinstance(reply, Refused) and str(reply).startswith(_TAKEN):
                raise LearnerBroke(
                    "L-SVC",
                    f"{self.name} answers nobody any more, because of what your service asked of it.",
                    "a server that answers other clients, too",
                    str(reply),
                    f"roadmap-labs logs {self.name}",
                )
        return replies

    def close(self) -> None:
        """End the connection; whoever reads from it is woken."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        finally:
            self.socket.close()

    def _fill(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self._rest += piece

    def _line(self, deadline: float) -> bytes:
        while (end := self._rest.find(b"\r\n")) < 0:
            if len(self._rest) > 65536:
                raise ConnectionError("a line without end")
            self._fill(deadline)
        line, self._rest = self._rest[:end], self._rest[end + 2 :]
        return line

    def _bulk(self, size: int, deadline: float) -> bytes:
        if size > MAX_BULK:
            self.close()
            raise LearnerBroke(
                "L-SVC",
                f"A value in {self.name} is too large to look at.",
                f"at most {MAX_BULK} bytes",
                f"{size} bytes",
            )
        pieces, have = [self._rest], len(self._rest)
        while have < size + 2:
            self._rest = b""
            self._fill(deadline)
            pieces.append(self._rest)
            have += len(self._rest)
        whole = b"".join(pieces)
        self._rest = whole[size + 2 :]
        return whole[:size]

    def _reply(self, deadline: float, nesting: int) -> Any:
        line = self._line(deadline)
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return Refused(quote(rest))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._bulk(int(rest), deadline)
        if kind == b"*":
            count = int(rest)
            if count > MAX_ARRAY or nesting > MAX_NESTING:
                raise ConnectionError(f"a reply of {count} entries, {nesting} deep")
            return None if count < 0 else [self._reply(deadline, nesting + 1) for _ in range(count)]
        raise ConnectionError(f"no reply: {quote(line, 40)}")


def pack(command: Sequence[Argument]) -> bytes:
    """A command as it goes over the wire."""
    parts = [one if isinstance(one, bytes) else str(one).encode() for one in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
