"""Serves what the checks ask for, by acting on a stack. Knows nothing of pytest or of verdicts.

One desk serves one run. An ask that fails is answered with a code: `L-…` where the learner's side broke, `I-…` where
ours did, so that the checks never guess whose fault it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Lock
from typing import Any

from roadmap_labs.errors import LabBroken, Problem
from roadmap_labs.stack.disturbing import Disturbances
from roadmap_labs.stack.evidence import RoleBroke, clean
from roadmap_labs.stack.plan import CHECKER
from roadmap_labs.stack.running import Replica, Stack

Answer = Mapping[str, object]


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
        # A role that did not come up once does not come up the second time: the first answer stands, so that
        # thirteen checks of a program that never listens cost one time limit, not thirteen.
        self._broken: dict[tuple[str, tuple[tuple[str, str], ...]], RoleBroke] = {}
        self._disturbances: Disturbances | None = None
        self._ended: set[str] = set()  # replicas that ended by themselves, until the next check begins
        self._beyond_repair = ""
        # Counts the checks that are over. A disturbance that was asked for by one of them comes too late.
        self.turn = 0
        self._verbs: dict[str, Callable[[Stack, Mapping[str, Any]], Answer]] = {
            "services": self._services,
            "run": self._run,
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
            with self._acting:
                if self._beyond_repair:
                    raise Refusal("I-STATE", self._beyond_repair)
                if verb == "disturb" and turn not in (None, self.turn):
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

    def ended_roles(self) -> tuple[RoleBroke, ...]:
        """Replicas that ended by themselves, not by a disturbance; they are gone when all is put right."""
        if not self._raised.done() or self._raised.exception() is not None:
            return ()
        with self._acting, contextlib.suppress(Problem):
            found = self._raised.result().ended_roles()
            by_themselves = {name: broke for name, broke in found.items() if not self._touched(name)}
            self._ended |= set(by_themselves)
            return tuple(by_themselves.values())
        return ()

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
                "settings": dict(plan.settings),
                "checker": {"user": CHECKER, "password": plan.checker_password},
                "speaks": plan.manifest.ready,
            }
            for plan in stack.services
        }

    def _run(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        role, count = str(arguments["role"]), int(arguments.get("replicas", 1))
        environment = {str(key): str(value) for key, value in (arguments.get("environment") or {}).items()}
        key = (role, tuple(sorted(environment.items())))
        if key in self._broken:
            raise self._broken[key]
        try:
            replicas = stack.role(role, count, environment)
        except RoleBroke as broke:
            self._broken[key] = broke
            raise
        return {"replicas": [_replica(replica) for replica in replicas]}

    def _disturb(self, stack: Stack, arguments: Mapping[str, Any]) -> Answer:
        if self._disturbances is None:
            self._disturbances = Disturbances(stack)
        how, name = str(arguments["how"]), str(arguments["name"])
        if how == "signal":
            self._disturbances.signal(name, str(arguments["signal"]))
        else:
            self._disturbances.verbs[how](name)
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


def _replica(replica: Replica) -> dict[str, object]:
    return {
        "name": replica.name,
        "host": replica.door.host,
        "port": replica.door.port,
        "address": replica.address,
    }
