"""Finds keys that a stream of Redis commands wrote without a lifetime in the same breath. Pure; knows no lab.

One breath is a single command, a MULTI … EXEC block of one connection, or one run of a script: a crash can only
fall between breaths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from roadmap_labs.harness.monitor import Command

_SET_WITH_LIFETIME = {b"EX", b"PX", b"EXAT", b"PXAT"}
_EXPIRE = {"EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"}
_CREATES = {
    "SET", "SETNX", "GETSET", "HSET", "HSETNX", "HMSET", "LPUSH", "RPUSH", "SADD", "ZADD", "JSON.SET",
}  # fmt: skip
_SCRIPTS = {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"}


@dataclass(frozen=True)
class Naked:
    """A key that lay there without a lifetime: the command that wrote it, and the EXPIRE that came too late, if any."""

    key: bytes
    written: Command
    expired: Command | None


@dataclass(frozen=True)
class Stored:
    """Every key of the kind that was written, and those of them that were naked for a while."""

    keys: frozenset[bytes]
    naked: tuple[Naked, ...]


def stored(commands: Iterable[Command], wanted: Callable[[bytes], bool]) -> Stored:
    """What the stream wrote under the keys that `wanted` names."""
    open_keys: dict[bytes, Command] = {}
    closed: list[Naked] = []
    seen: set[bytes] = set()
    for breath in breaths(commands):
        fresh: dict[bytes, Command] = {}
        for command in breath:
            for key, lives in writes(command):
                if not wanted(key):
                    continue
                seen.add(key)
                fresh.pop(key, None)
                if not lives:
                    fresh[key] = command
            for key in expired_keys(command):
                fresh.pop(key, None)
                if key in open_keys:
                    closed.append(Naked(key, open_keys.pop(key), command))
        open_keys.update(fresh)
    closed += [Naked(key, command, None) for key, command in open_keys.items()]
    return Stored(frozenset(seen), tuple(closed))


def breaths(commands: Iterable[Command]) -> Iterator[list[Command]]:
    """The stream cut into pieces that the server ran undivided, in the order of their ends."""
    blocks: dict[str, list[Command]] = {}
    script: list[Command] = []
    caller = ""
    for command in commands:
        if command.scripted:
            blocks.get(caller, script).append(command)
            continue
        if script:
            yield script
            script = []
        block = blocks.get(command.client)
        if command.name in _SCRIPTS:
            caller = command.client
        if command.name == "MULTI":
            blocks[command.client] = []
        elif block is not None and command.name in ("EXEC", "DISCARD", "RESET"):
            del blocks[command.client]
            if command.name == "EXEC":
                yield block
        elif block is not None:
            block.append(command)
        else:
            yield [command]
    if script:
        yield script


def writes(command: Command) -> list[tuple[bytes, bool]]:
    """The keys that a command creates or replaces, each with whether it gets a lifetime by that."""
    words = command.arguments
    if command.name in ("SETEX", "PSETEX") and words:
        return [(words[0], True)]
    if command.name in ("MSET", "MSETNX"):
        return [(key, False) for key in words[::2]]
    if command.name in _CREATES and words:
        options = {word.upper() for word in words[2:]} if command.name == "SET" else set()
        return [(words[0], bool(options & _SET_WITH_LIFETIME))]
    return []


def expired_keys(command: Command) -> list[bytes]:
    """The keys that a command gives a lifetime or removes."""
    if command.name in _EXPIRE or command.name == "GETEX":
        return list(command.arguments[:1])
    return list(command.arguments) if command.name in ("DEL", "UNLINK") else []
