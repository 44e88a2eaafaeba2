"""Why a role does not answer: what its container, its log and its sockets say. Knows nothing of checks.

Nothing is ever executed in a container that holds learner code: the look is taken from a second container of our own
that shares only its network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from roadmap_labs.engine.protocol import ContainerSpec, ContainerState, Engine, Limits, Missing
from roadmap_labs.stack.plan import MIB, Seat

_LISTENING = "0A"  # state of a listening socket in /proc/net/tcp
_LINE_LIMIT = 300


class RoleBroke(Exception):
    """The learner's side broke: a code of the table in docs/architecture.md, a sentence, and what was seen."""

    def __init__(self, code: str, message: str, *, expected: str = "", observed: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.expected = expected
        self.observed = observed


@dataclass(frozen=True)
class Listener:
    """One listening socket: its address and its port."""

    address: str
    port: int


def clean(text: str, limit: int = _LINE_LIMIT) -> str:
    """Learner-made text made safe for a terminal: nothing but printable characters, cut at a limit."""
    printable = "".join(char if char.isprintable() else " " if char == "\t" else "\ufffd" for char in text)
    return printable if len(printable) <= limit else printable[:limit] + "…"


def log_lines(engine: Engine, container: str, count: int = 6) -> tuple[str, ...]:
    """The last lines of a container's log, each safe to print."""
    try:
        text = engine.logs(container, tail=count).decode("utf-8", "replace")
    except Missing:
        return ()
    return tuple(clean(line) for line in text.splitlines()[-count:] if line.strip())


def ended(
    name: str,
    state: ContainerState,
    limits: Limits,
    lines: tuple[str, ...],
    moment: str,
    scratch: Mapping[str, str] | None = None,
) -> RoleBroke | None:
    """What an ended container says: out of memory, a signal, an exit code; None where it still runs.

    `scratch` are the folders that it may write, with their sizes.
    """
    if state.status in ("running", "paused", "created", "restarting"):
        return None
    shown = "\n".join(lines) or "(it printed nothing)"
    if state.out_of_memory:
        mib = limits.memory_bytes // MIB
        return RoleBroke(
            "L-OOM",
            f"{name} was killed {moment}: memory limit {mib} MiB exceeded.",
            expected=f"at most {mib} MiB",
            observed=shown,
        )
    code = state.exit_code
    how = f"was ended by signal {code - 128}" if code > 128 else f"exited with code {code}"
    limit_code, limit = _limit_met(shown, limits, scratch or {})
    met = f", at its limit of {limit}" if limit else ""
    return RoleBroke(
        limit_code or "L-EXIT",
        f"{name} {how} {moment}{met}.",
        expected=f"at most {limit}" if limit else "a process that keeps running",
        observed=shown,
    )


def _limit_met(last_words: str, limits: Limits, scratch: Mapping[str, str]) -> tuple[str, str]:
    """The limit that a program's last words complain of, with its code; the words are errno(3)'s in many languages.

    A container that has ended has no counters any more. A program that lies here only changes the name of its failure.
    """
    said = last_words.lower()
    if "no space left on device" in said and scratch:
        room = ", ".join(f"{size} in {folder}" for folder, size in scratch.items())
        return "L-DISK", f"{room} (and 16k files)"
    if "too many open files" in said:
        return "L-EXIT", f"{limits.open_files} open files"
    # Of a socket, "temporarily unavailable" says something else.
    if "can't start new thread" in said or ("fork" in said and "temporarily unavailable" in said):
        return "L-PIDS", f"{limits.processes} processes and threads"
    return "", ""


def crowded(name: str, processes: int, limits: Limits) -> RoleBroke | None:
    """What a container that runs as many processes as it may says of its failure; None where there is room."""
    if processes < limits.processes:
        return None
    return RoleBroke(
        "L-PIDS",
        f"{name} runs {processes} processes and threads, which is its limit; nothing more can begin there.",
        expected=f"at most {limits.processes} processes and threads",
        observed=f"{processes} of them",
    )


def listeners(table: str) -> tuple[Listener, ...]:
    """The listening sockets in the text of /proc/net/tcp and tcp6 (the kernel's proc_net_tcp)."""
    found = []
    for line in table.splitlines():
        fields = line.split()
        if len(fields) < 4 or fields[3] != _LISTENING or ":" not in fields[1]:
            continue
        address, port = fields[1].rsplit(":", 1)
        found.append(Listener(_dotted(address), int(port, 16)))
    return tuple(dict.fromkeys(found))


def _dotted(address: str) -> str:
    if len(address) == 8:  # one little-endian word
        return ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
    if set(address) == {"0"}:
        return "::"
    if address.endswith("0100007F") or address == "00000000000000000000000001000000":
        return "::1"
    return "[" + address.lower() + "]"


def look_at_sockets(engine: Engine, seat: Seat, container: str, image: str) -> tuple[Listener, ...]:
    """What listens in a role's network, seen from a container of ours that joins it and reads two files."""
    spec = ContainerSpec(
        name=seat.name(f"look-{container[:8]}"),
        image=image,
        labels=seat.labels("look"),
        command=("cat", "/proc/net/tcp", "/proc/net/tcp6"),
        user="10099:10099",
        share_network_of=container,
        limits=Limits(memory_bytes=32 * MIB, processes=8),
    )
    look = engine.create_container(spec)
    try:
        engine.start(look)
        pieces: list[bytes] = []
        engine.follow_logs(look, pieces.append)
        return listeners(b"".join(pieces).decode("ascii", "replace"))
    finally:
        engine.remove("container", look)


def nothing_listens(name: str, port: int, seen: tuple[Listener, ...]) -> RoleBroke:
    """The learner's program runs, but not where it was asked to listen."""
    # 127.0.0.11 is the engine's own resolver, present in every container.
    own = [listener for listener in seen if listener.address != "127.0.0.11"]
    if any(listener.port == port and listener.address in ("0.0.0.0", "::") for listener in own):  # noqa: S104
        return RoleBroke(
            "L-TIME",
            f"{name} listens on port {port}, but did not answer in time.",
            expected="an answer to its readiness request",
            observed="a listening socket that says nothing",
        )
    where = ", ".join(f"{listener.address}:{listener.port}" for listener in own) or "nowhere"
    return RoleBroke(
        "L-PORT",
        f"Nothing listens on 0.0.0.0:{port} in {name}.",
        expected=f"a server on 0.0.0.0:{port} (the port is in the variable PORT)",
        observed=f"it listens on {where}" if own else "no listening socket at all",
    )
