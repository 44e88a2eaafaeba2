"""Records what a Redis server is asked, from its MONITOR stream, bounded. Knows nothing of what the commands mean."""

from __future__ import annotations

import re
import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from roadmap_labs.harness import resp, waiting
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke

MAX_COMMANDS = 100_000
MAX_BYTES = 32 * 1024 * 1024
MAX_ARGUMENT = 512  # bytes kept of one argument
MAX_LINE = 1024 * 1024

_HEAD = re.compile(rb"\+?(\d+\.\d+) \[(\d+) ([^\]]*(?:\][^\] ]*)?)\] ")
_ARGUMENT = re.compile(rb'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


@dataclass(frozen=True)
class Command:
    """One command as the server ran it. Long arguments are cut; `name` is in capitals."""

    number: int
    at: float  # Unix seconds, the server's clock
    client: str  # "10.213.4.20:51034", or "lua" for what a script did
    database: int
    name: str
    arguments: tuple[bytes, ...]

    @property
    def scripted(self) -> bool:
        return self.client == "lua"

    def __str__(self) -> str:
        words = [argument[:80].decode("utf-8", "backslashreplace") for argument in self.arguments[:8]]
        return " ".join([self.name, *words])


def parse(line: bytes, number: int = 0) -> Command | None:
    """A line of MONITOR, or nothing where it is something else (`OK`, a cut line)."""
    head = _HEAD.match(line)
    if not head:
        return None
    words = [
        _unescape(found.group(1)[: MAX_ARGUMENT * 4])[:MAX_ARGUMENT]
        for found in _ARGUMENT.finditer(line, head.end())
    ]
    if not words:
        return None
    client = head.group(3).decode("latin-1")
    name = words[0].decode("latin-1").upper()
    return Command(number, float(head.group(1)), client, int(head.group(2)), name, tuple(words[1:]))


def _unescape(text: bytes) -> bytes:
    if b"\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: _byte(found.group(1)), text)


def _byte(code: bytes) -> bytes:
    if code[:1] == b"x" and len(code) == 3:
        return bytes([int(code[1:], 16)])
    return _PLAIN.get(code, code)


class Monitor:
    """A thread that listens from now on. `mark()` draws a line that every command before it has passed."""

    def __init__(
        self, line: resp.Line, echo: Callable[[str], object], is_ours: Callable[[str], bool]
    ) -> None:
        self._line = line
        self._echo = echo
        self._is_ours = is_ours
        self._commands: deque[Command] = deque()
        self._bytes = 0
        self._lost = 0  # number of the newest command that had to be dropped
        self._counter = 0
        self._nonces: dict[bytes, int] = {}
        self._ended = ""
        self._changed = threading.Condition()
        line.ask("MONITOR")
        line.socket.settimeout(None)
        threading.Thread(target=self._listen, name="monitor", daemon=True).start()

    def mark(self) -> int:
        """A barrier: all that the server ran before this call has been recorded; it lies before the mark."""
        nonce = secrets.token_hex(12)
        self._echo(nonce)
        limit = 10 * waiting.factor()
        with self._changed:
            done = self._changed.wait_for(lambda: nonce.encode() in self._nonces or self._ended, limit)
            if nonce.encode() not in self._nonces:
                why = self._ended if done else f"it did not show our own ECHO within {limit:g} s"
                raise LabFault(f"MONITOR of {self._line.name} failed: {why}.", code="I-STATE")
            return self._nonces.pop(nonce.encode())

    def since(self, mark: int, until: int | None = None) -> list[Command]:
        """What others than the checks asked after `mark`, up to `until` (default: a mark set now)."""
        end = self.mark() if until is None else until
        with self._changed:
            if self._lost > mark:
                raise LearnerBroke(
                    "L-SVC",
                    f"{self._line.name} was asked more than the checks can record.",
                    f"at most {MAX_COMMANDS} commands or {MAX_BYTES} bytes",
                    f"more than that, {self._counter} commands in all",
                )
            return [
                one for one in self._commands if mark < one.number <= end and not self._is_ours(one.client)
            ]

    def _listen(self) -> None:
        rest, skipping = b"", False
        try:
            while piece := self._line.socket.recv(262144):
                lines = (rest + piece).split(b"\r\n")
                rest = lines.pop()
                if skipping and lines:
                    lines[0], skipping = b"", False
                if len(rest) > MAX_LINE:
                    # Only the beginning of an endless line is worth keeping; its end is skipped.
                    if not skipping:
                        lines.append(rest[:MAX_LINE] + b'"')
                    rest, skipping = b"", True
                self._record(lines)
            self._end("the server closed the connection")
        except (OSError, ValueError) as error:
            self._end(str(error))

    def _record(self, lines: list[bytes]) -> None:
        with self._changed:
            for line in lines:
                command = parse(line, self._counter + 1)
                if command is None:
                    continue
                self._counter += 1
                if command.name == "ECHO" and command.arguments and self._is_ours(command.client):
                    self._nonces[command.arguments[0]] = command.number
                self._keep(command)
            self._changed.notify_all()

    def _keep(self, command: Command) -> None:
        self._commands.append(command)
        self._bytes += _weight(command)
        while len(self._commands) > MAX_COMMANDS or self._bytes > MAX_BYTES:
            dropped = self._commands.popleft()
            self._bytes -= _weight(dropped)
            self._lost = dropped.number

    def _end(self, why: str) -> None:
        with self._changed:
            self._ended = why or "it ended"
            self._changed.notify_all()


def _weight(command: Command) -> int:
    return 200 + sum(map(len, command.arguments))
