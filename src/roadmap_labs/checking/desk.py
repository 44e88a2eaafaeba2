"""Serves what the checks ask for, by acting on a stack. Knows nothing of pytest or of verdicts.

One desk serves one run. An ask that fails is answered with a code: `L-…` where the learner's side broke, `I-…` where
ours did, so that the checks never guess whose fault it is.
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from threading import Lock
from typing import Any

from roadmap_labs.content.manifest import role_of
from roadmap_labs.errors import LabBroken, Problem
from roadmap_labs.stack.disturbing import Disturbances
from roadmap_labs.stack.evidence import RoleBroke, clean
from roadmap_labs.stack.plan import CHECKER
from roadmap_labs.stack.running import Replica, Stack

Answer = Mapping[str, object]

_UNHURRIED = frozenset(("inside", "once"))
_CHANGING = frozenset(("disturb", "rewrite", "drop", "inside", "once"))
_LATE = (124, 137)  # how coreutils' `timeout` tells that it ended a command
_NOT_BEGUN = (125, 126)  # and that it could not begin it, or the engine could not
_MOST_OUTPUT = 256 * 1024
# Without this wait 7 of 18 dying programs were told that they hung up (six stacks on two busy cores); with it, none.
_DYING_SECONDS = 2.0
_LOOK_SECONDS = 0.05


class Refusal(Exception):
    """An ask that can't be granted, with the code and the sentence that go back to the checks."""

    def __init__(self, code: str, message: str, *, expected: str = "", observed: str = "") -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "expected": expected, "observed": observed}


class Desk:
    """Answers asks one after another; `raised` is the stack that is still being raised."""

    def __init__(self, raised: Future[Stack]) -> None:
        self._raised = raised
        self._acting = Lock()
        # A role that never came up, with these variables or twice with any, is not waited for again: the first answer
        # stands, so that thirteen checks of a program that never listens cost two time limits, not thirteen.
        self._broken: dict[tuple[str, tuple[tuple[str, str], ...]], RoleBroke] = {}
        self._came_up: set[str] = set()
        self._disturbances: Disturbances | None = None
        self._ended: set[str] = set()  # replicas that ended by themselves, until the next check begins
        self._beyond_repair = ""
        # Counts the checks that are over. A disturbance that was asked for by one of them comes too late.
        self.turn = 0
        self._verbs: dict[str, Callable[[Stack, Mapping[str, Any]], Answer]] = {
            "services": self._services,
            "run": self._run,
            "drop": self._drop,
            "address": self._address,
            "secret": self._secret,
            "submitted": self._submitted,
            "inside": self._inside,
            "once": self._once,
            "rewrite": self._rewrite,
            "state": self._state,
            "logs": self._logs,
            "disturb": self._disturb,
        }

    def serve(self, verb: str, arguments: Mapping[str, Any], turn: int | None = None) -> Answer:
        """Do what an ask wants; raises `Refusal`. `turn` is the value of `turn` when the ask came in."""
        action = self._verbs.get(verb)
        if action is None:
            raise Refusal("I-CHECKER", f"The checks ask for '{verb}', which nobody here knows.")
        try:
            stack = self._raised.result()
            # A learner's command may take its time, and meanwhile the check looks at what it does.
            with nullcontext() if verb in _UNHURRIED else self._acting:
                if self._beyond_repair:
                    raise Refusal("I-STATE", self._beyond_repair)
                if verb in _CHANGING and turn not in (None, self.turn):
                    raise Refusal("I-CHECKER", "The check that wanted to disturb something is over.")
                return action(stack, arguments)
        except RoleBroke as broke:
            raise Refusal(
                broke.code, broke.message, expected=broke.expected, observed=broke.observed
            ) from broke
        except LabBroken as problem:
            raise Refusal("I-STATE", problem.message) from problem
        except Problem as problem:
            raise Refusal("I-ENGINE", problem.message) from problem
        except (KeyError, TypeError, ValueError) as error:
            raise Refusal("I-CHECKER", f"The ask '{verb}' makes no sense: {error!r}.") from error

    def put_right(self, check: str) -> None:
        """Undo whatever the check has disturbed. Where that fails nothing that follows would mean anything."""
        with self._acting:
            self.turn += 1
            try:
                if self._disturbances is not None:
                    self._disturbances.put_right()
                for name in self._ended:
                    self._raised.result().drop(name)
                self._ended.clear()
            except Problem as problem:
                self._beyond_repair = f"What {check} had disturbed could not be put right: {problem.message}"

    def broken_roles(self, *, silent: bool = False, hung_up: bool = False) -> tuple[RoleBroke, ...]:
        """Replicas that ended by themselves, not by a disturbance; they are gone when all is put right.

        Where one was `silent`, those that run as many processes as they may count, too. Where one `hung_up`, the end
        of a replica that is just dying is waited for.
        """
        if not self._raised.done() or self._raised.exception() is not None:
            return ()
        with self._acting, contextlib.suppress(Problem):
            stack = self._raised.result()
            found = self._by_themselves(stack.ended_roles())
            if not found and silent:
                found = self._by_themselves(stack.crowded_roles())
            if not found and hung_up:
                found = self._soon_ended(stack)
            self._ended |= set(found)
            return tuple(found.values())
        return ()

    def _soon_ended(self, stack: Stack) -> dict[str, RoleBroke]:
        """An engine tells the end of a program some time after its connections have told it."""
        deadline = time.monotonic() + _DYING_SECONDS
        while stack.replicas and time.monotonic() < deadline:
            if found := self._by_themselves(stack.ended_roles()):
                return found
            time.sleep(_LOOK_SECONDS)  # between two looks
        return {}

    def _by_themselves(self, found: Mapping[str, RoleBroke]) -> dict[str, RoleBroke]:
        return {name: broke for name, broke in found.items() if not self._touched(name)}

    def _touched(self, name: str) -> bool:
        return self._disturbances is not None and self._disturbances.touched(name)

    def _services(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        del arguments
        return {
            plan.name: {
                "name": plan.name,
                "host": stack.doors[plan.name].host,
                "port": stack.doors[plan.name].port,
                "internal_port": plan.manifest.port,
                "ports": _further(stack, plan.name, plan.manifest.ports),
                "settings": dict(plan.settings),
                "checker": {"user": CHECKER, "password": plan.checker_password},
                "speaks": plan.manifest.ready,
            }
            for plan in stack.services
        }

    def _run(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        role, count = str(arguments["role"]), int(arguments.get("replicas", 1))
        environment = _texts(arguments, "environment")
        key = (role, tuple(sorted(environment.items())))
        known = self._never_up(role, key)
        if known is not None:
            raise known
        try:
            replicas = stack.role(role, count, environment, fresh=bool(arguments.get("fresh")))
        except RoleBroke as broke:
            self._broken.setdefault(key, broke)
            raise
        self._came_up.add(role)
        return {"replicas": [_replica(stack, replica) for replica in replicas]}

    def _never_up(self, role: str, key: tuple[str, tuple[tuple[str, str], ...]]) -> RoleBroke | None:
        tried = [broke for (name, _), broke in self._broken.items() if name == role]
        if len(tried) > 1 and role not in self._came_up:
            return tried[0]
        return self._broken.get(key)

    def _drop(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        role = str(arguments["role"])
        dropped = [name for name in stack.containers if role_of(name) == role and role in stack.roles]
        for name in dropped:
            stack.drop(name)
        return {"dropped": dropped}

    def _address(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        plan = next(plan for plan in stack.services if plan.name == arguments["service"])
        settings = _texts(arguments, "settings")
        unknown = sorted(set(settings) - set(plan.settings))
        if unknown:
            raise ValueError(f"{plan.name} has no setting {unknown[0]}")
        return {"address": plan.url(plan.name, plan.manifest.port, settings)}

    def _secret(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        return {"secret": stack.plans.secrets[str(arguments["name"])]}

    def _submitted(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        file = stack.submission.file(str(arguments["path"])) if stack.submission else None
        return {"content": base64.b64encode(file.content).decode() if file else None}

    def _inside(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        name, seconds = str(arguments["name"]), float(arguments["within"])
        if name in stack.replicas and stack.roles[role_of(name)].role.runs_in is None:
            raise ValueError(f"{name} runs in an image that may be the learner's own")
        command = ("timeout", "-k", "1", f"{seconds:.1f}", *map(str, arguments["command"]))
        ended = stack.engine.run_inside(stack.containers[name], command, seconds=seconds + 10)
        if ended.exit_code in (*_LATE, *_NOT_BEGUN) and name in stack.replicas:
            # The command had no chance: its container ended under it (137, too), or is full.
            broke = self._by_themselves(stack.ended_roles()).get(name) or stack.crowded_roles().get(name)
            if broke is not None:
                raise broke
        return _ended(None if ended.exit_code in _LATE else ended.exit_code, ended.output)

    def _once(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        environment = _texts(arguments, "environment")
        command = tuple(map(str, arguments["command"]))
        code, output = stack.once(str(arguments["role"]), command, environment, float(arguments["within"]))
        return _ended(code, output)

    def _rewrite(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        content = arguments.get("content")
        self._disturbing(stack).rewrite(
            str(arguments["path"]), None if content is None else base64.b64decode(str(content))
        )
        return {}

    def _disturbing(self, stack: Stack) -> Disturbances:
        if self._disturbances is None:
            self._disturbances = Disturbances(stack)
        return self._disturbances

    def _disturb(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        disturbances = self._disturbing(stack)
        how, name = str(arguments["how"]), str(arguments["name"])
        if how == "signal":
            disturbances.signal(name, str(arguments["signal"]))
        else:
            disturbances.verbs[how](name)
        return self._state(stack, arguments)

    def _state(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        name = str(arguments["name"])
        state = stack.engine.inspect(stack.containers[name])
        return {
            "disturbed": self._touched(name),
            "networks": len(state.addresses),
            "status": state.status,
            "exit_code": state.exit_code,
            "out_of_memory": state.out_of_memory,
            "started_at": state.started_at,
        }

    def _logs(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        tail = min(int(arguments.get("tail", 50)), 500)
        text = stack.engine.logs(stack.containers[str(arguments["name"])], tail=tail).decode(
            "utf-8", "replace"
        )
        return {"text": "\n".join(clean(line, 1000) for line in text.splitlines())}


def _texts(arguments: Mapping[str, Any], key: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in (arguments.get(key) or {}).items()}


def _further(stack: Stack, name: str, words: Iterable[str]) -> dict[str, object]:
    doors = {word: stack.doors[f"{name}:{word}"] for word in words}
    return {word: {"host": door.host, "port": door.port} for word, door in doors.items()}


def _ended(code: int | None, output: bytes) -> dict[str, object]:
    return {"exit_code": code, "output": base64.b64encode(output[-_MOST_OUTPUT:]).decode()}


def _replica(stack: Stack, replica: Replica) -> dict[str, object]:
    role = stack.roles[role_of(replica.name)].role
    return {
        "name": replica.name,
        "ports": _further(stack, replica.name, role.ports),
        "host": replica.door.host,
        "port": replica.door.port,
        "address": replica.address,
    }
