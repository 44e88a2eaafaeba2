"""What a check holds in its hand: the roles and servers of this run, by name. Knows no lab and no engine."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from roadmap_labs.harness import http, seeded
from roadmap_labs.harness.channel import Channel
from roadmap_labs.harness.disturbing import Disturber
from roadmap_labs.harness.service import Service, service_of
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke

if TYPE_CHECKING:
    from roadmap_labs.harness.postgres import Postgres
    from roadmap_labs.harness.redis import Redis

_NO_BODY: Any = object()


@dataclass(frozen=True)
class Role:
    """One running container of the learner's program."""

    name: str  # "catalog-1"
    host: str
    port: int
    address: str  # on the lab's network, as servers see it
    channel: Channel = field(repr=False, compare=False)

    def get(self, path: str, **more: Any) -> http.Reply:
        """GET; `within=` seconds for the whole answer, `headers=`."""
        return self.request("GET", path, **more)

    def post(self, path: str, json: Any = _NO_BODY, **more: Any) -> http.Reply:
        """POST with a JSON body."""
        return self.request("POST", path, json, **more)

    def put(self, path: str, json: Any = _NO_BODY, **more: Any) -> http.Reply:
        """PUT with a JSON body."""
        return self.request("PUT", path, json, **more)

    def delete(self, path: str, **more: Any) -> http.Reply:
        """DELETE."""
        return self.request("DELETE", path, **more)

    def request(self, method: str, path: str, json: Any = _NO_BODY, **more: Any) -> http.Reply:
        """Any method; `body=` sends raw bytes. An answer that never came says whether the program has died."""
        if json is not _NO_BODY:
            more["body"] = http.encode(json)
        try:
            return http.request(self.name, self.host, self.port, method, path, **more)
        except LearnerBroke as error:
            raise self._why(error) or error from None

    def _why(self, error: LearnerBroke) -> LearnerBroke | None:
        try:
            state = self.channel.ask("state", name=self.name)
        except (LabFault, LearnerBroke):
            return None  # what was seen first is the better story
        if state.get("disturbed"):
            return None  # it ended because the check wanted it to
        if state.get("out_of_memory"):
            return LearnerBroke(
                "L-OOM",
                f"{self.name} ran out of memory. {error.message}",
                error.expected,
                "killed by the memory limit",
            )
        if state.get("status") not in ("exited", "dead"):
            return None
        ended = f"ended with exit code {state.get('exit_code')}"
        return LearnerBroke(
            "L-EXIT", f"{self.name} {ended} during this check. {error.message}", error.expected, ended
        )


class Stage:
    """All that one run shares between its checks: the channel, the servers' addresses, one observer for each."""

    def __init__(self, channel: Channel, seed: int) -> None:
        self.channel = channel
        self.seed = seed
        self.observers: dict[str, Any] = {}
        self.opening = threading.Lock()
        self.disturber = Disturber(channel, self._server, self._renew)

    def _server(self, name: str) -> Service | None:
        return self.services.get(name)

    def _renew(self, name: str) -> None:
        with self.opening:
            self.observers.pop(name, None)

    @cached_property
    def services(self) -> Mapping[str, Service]:
        """Every server of the lab; blocks until all are ready."""
        return {name: service_of(name, found) for name, found in self.channel.ask("services").items()}

    def service(self, name: str) -> Service:
        """One server by the name it has in the lab."""
        if name not in self.services:
            raise LabFault(f"The lab has no service {name!r}; it has {', '.join(sorted(self.services))}.")
        return self.services[name]


class Lab:
    """The fixture `lab`: one check's view of the running system.

    Disturbances are the words of `harness/disturbing.py`: `with lab.paused("redis"):`, `lab.kill(role.name)`, …
    """

    def __init__(self, stage: Stage, check: str) -> None:
        self.stage = stage
        self.check = check
        self.seed = stage.seed
        self.random: random.Random = seeded.source(stage.seed, check)
        one = stage.disturber
        self.paused, self.stopped, self.disconnected = one.paused, one.stopped, one.disconnected
        self.pause, self.unpause, self.stop, self.start = one.pause, one.unpause, one.stop, one.start
        self.kill, self.signal, self.restart = one.kill, one.signal, one.restart
        self.disconnect, self.reconnect = one.disconnect, one.reconnect

    def run(self, role: str, *, environment: Mapping[str, str] | None = None) -> Role:
        """The first replica of a role, running and ready."""
        return self.replicas(role, 1, environment=environment)[0]

    def replicas(
        self, role: str, count: int, *, environment: Mapping[str, str] | None = None
    ) -> tuple[Role, ...]:
        """`count` replicas of a role with the same variables, running and ready."""
        channel = self.stage.channel
        found = channel.ask("run", role=role, replicas=count, environment=dict(environment or {}))
        return tuple(
            Role(one["name"], one["host"], int(one["port"]), str(one.get("address", "")), channel)
            for one in found["replicas"]
        )

    def sql(self, service: str) -> Postgres:
        """The PostgreSQL server of that name, seen with the checker's account."""
        from roadmap_labs.harness.postgres import Postgres  # lazy: not every lab has one

        with self.stage.opening:
            seen = self.stage.observers
            if service not in seen:
                seen[service] = Postgres(self.stage.service(service))
            found: Postgres = seen[service]
            return found

    def redis(self, service: str) -> Redis:
        """The Redis server of that name, seen with the checker's account."""
        from roadmap_labs.harness.redis import Redis  # lazy: not every lab has one

        with self.stage.opening:
            seen = self.stage.observers
            if service not in seen:
                seen[service] = Redis(self.stage.service(service))
            found: Redis = seen[service]
            return found

    def state(self, name: str) -> dict[str, Any]:
        """What the engine says of a container: status, exit_code, out_of_memory, started_at, restarts."""
        return self.stage.channel.ask("state", name=name)

    def logs(self, name: str, tail: int = 50) -> str:
        """The last lines that a container wrote. Its text is the learner's: quote() it."""
        return str(self.stage.channel.ask("logs", name=name, tail=tail).get("text", ""))
