"""What a check holds in its hand: the roles and servers of this run, by name. Knows no lab and no engine."""

from __future__ import annotations

import base64
import contextlib
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from roadmap_labs.harness import http, seeded
from roadmap_labs.harness.channel import Channel
from roadmap_labs.harness.disturbing import Disturber
from roadmap_labs.harness.service import Service, further, service_of
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke

if TYPE_CHECKING:
    from roadmap_labs.harness.amqp import Amqp
    from roadmap_labs.harness.fault import Fault
    from roadmap_labs.harness.management import Management
    from roadmap_labs.harness.postgres import Postgres
    from roadmap_labs.harness.redis import Redis
    from roadmap_labs.harness.upstream import Upstream

_NO_BODY: Any = object()


@dataclass(frozen=True)
class Role:
    """One running container of the learner's program."""

    name: str  # "catalog-1"
    host: str
    port: int
    address: str  # on the lab's network, as servers see it
    channel: Channel = field(repr=False, compare=False)
    ports: Mapping[str, tuple[str, int]] = field(default_factory=dict, compare=False)

    def door(self, name: str = "") -> tuple[str, int]:
        """Host and port where the checks reach it; `name` is that of a further port."""
        return self.ports[name] if name else (self.host, self.port)

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


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote (256 KiB of it at most). Its output is the learner's: quote() it."""

    exit_code: int
    output: bytes


def _ended(found: Mapping[str, Any], where: str, command: Sequence[str], within: float) -> Ended:
    if found.get("exit_code") is None:
        said = " ".join(command)
        raise LearnerBroke(
            "L-TIME",
            f"`{said}` in {where} did not end.",
            f"its end within {within:g} s",
            f"still running after {within:g} s",
        )
    return Ended(int(found["exit_code"]), base64.b64decode(found.get("output") or ""))


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

    def run(self, role: str, *, environment: Mapping[str, str] | None = None, fresh: bool = False) -> Role:
        """The first replica of a role, running and ready; `fresh` for a new container with empty data."""
        return self.replicas(role, 1, environment=environment, fresh=fresh)[0]

    def replicas(
        self, role: str, count: int, *, environment: Mapping[str, str] | None = None, fresh: bool = False
    ) -> tuple[Role, ...]:
        """`count` replicas of a role with the same variables, running and ready."""
        channel = self.stage.channel
        found = channel.ask(
            "run", role=role, replicas=count, environment=dict(environment or {}), fresh=fresh
        )
        return tuple(
            Role(
                one["name"], one["host"], int(one["port"]), str(one.get("address", "")), channel, further(one)
            )
            for one in found["replicas"]
        )

    def drop(self, role: str) -> None:
        """Remove every replica of a role, and its data; that is no failure of theirs."""
        self.stage.channel.ask("drop", role=role)

    def door(self, service: str, port: str = "") -> tuple[str, int]:
        """Host and port where the checks reach a server; `port` is the name of a further one."""
        one = self.stage.service(service)
        return one.ports[port] if port else (one.host, one.port)

    def address(self, service: str, **settings: str) -> str:
        """A server's address with the learner's account, as roles reach it; its settings may differ (a database, …)."""
        return str(self.stage.channel.ask("address", service=service, settings=settings)["address"])

    def secret(self, name: str) -> str:
        """A password that lab.yaml names in `secrets`."""
        return str(self.stage.channel.ask("secret", name=name)["secret"])

    def submitted(self, path: str) -> bytes | None:
        """A file of the learner's folder as it was handed in; None where there is none. Never to be judged itself."""
        content = self.stage.channel.ask("submitted", path=path).get("content")
        return None if content is None else base64.b64decode(content)

    def inside(self, name: str, command: Sequence[str], *, within: float = 30) -> Ended:
        """Run a command in a server's container, or in one of a role that `runs_in` an image of ours."""
        found = self.stage.channel.ask("inside", name=name, command=list(command), within=within)
        return _ended(found, name, command, within)

    def once(
        self,
        role: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        within: float = 30,
    ) -> Ended:
        """Run a command to its end in a container of its own, with a role's image, files and variables."""
        found = self.stage.channel.ask(
            "once", role=role, command=list(command), environment=dict(environment or {}), within=within
        )
        return _ended(found, role, command, within)

    @contextlib.contextmanager
    def rewritten(self, path: str, content: bytes) -> Iterator[None]:
        """A file of the learner's folder says something else inside the block, for every role that mounts it."""
        ask = self.stage.channel.ask
        ask("rewrite", path=path, content=base64.b64encode(content).decode())
        yield  # where the check ends in here, the orchestrator puts it back
        ask("rewrite", path=path, content=None)

    def sql(self, service: str) -> Postgres:
        """The PostgreSQL server of that name, seen with the checker's account."""
        from roadmap_labs.harness.postgres import Postgres  # lazy: not every lab has one

        with self.stage.opening:
            seen = self.stage.observers
            if service not in seen:
                seen[service] = Postgres(self.stage.service(service))
            found: Postgres = seen[service]
            return found

    def sql_at(self, role: Role, *, user: str, secret: str, database: str, program: str) -> Postgres:
        """PostgreSQL in a role's own container, with an account whose password is the secret of that name.

        `program` is the account whose statements and sessions are watched. Connections are the caller's to close.
        """
        from roadmap_labs.harness.postgres import Postgres  # lazy: not every lab has one

        settings = {"database": database, "user": program}
        where = Service(
            role.name, role.host, role.port, 0, settings, user, self.secret(secret), speaks="postgres"
        )
        return Postgres(where, learners=True)

    def redis(self, service: str) -> Redis:
        """The Redis server of that name, seen with the checker's account."""
        from roadmap_labs.harness.redis import Redis  # lazy: not every lab has one

        with self.stage.opening:
            seen = self.stage.observers
            if service not in seen:
                seen[service] = Redis(self.stage.service(service))
            found: Redis = seen[service]
            return found

    def upstream(self, service: str) -> Upstream:
        """The upstream simulator of that name, by its admin side."""
        from roadmap_labs.harness.admin import Admin  # lazy: not every lab has one
        from roadmap_labs.harness.upstream import Upstream

        host, port = self.door(service, "admin")
        return Upstream(Admin(service, host, port, self.stage.service(service).password))

    def fault(self, service: str) -> Fault:
        """The TCP proxy of that name, by its admin side."""
        from roadmap_labs.harness.admin import Admin  # lazy: not every lab has one
        from roadmap_labs.harness.fault import Fault

        host, port = self.door(service, "admin")
        return Fault(Admin(service, host, port, self.stage.service(service).password))

    def amqp(self, service: str, vhost: str | None = None) -> Amqp:
        """The AMQP broker of that name, seen with the checker's account; its own virtual host, or another one."""
        from roadmap_labs.harness.amqp import Amqp  # lazy: not every lab has one

        one = self.stage.service(service)
        return Amqp(one, vhost or one.settings["vhost"])

    def management(self, service: str) -> Management:
        """The management side of the AMQP broker of that name."""
        from roadmap_labs.harness.management import Management  # lazy: not every lab has one

        return Management(self.stage.service(service))

    def state(self, name: str) -> dict[str, Any]:
        """What the engine says of a container: status, exit_code, out_of_memory, started_at, restarts."""
        return self.stage.channel.ask("state", name=name)

    def logs(self, name: str, tail: int = 50) -> str:
        """The last lines that a container wrote. Its text is the learner's: quote() it."""
        return str(self.stage.channel.ask("logs", name=name, tail=tail).get("text", ""))
