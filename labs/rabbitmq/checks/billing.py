"""The vocabulary of the rabbitmq checks: orders, messages, invoices, calls of the gateway. Judges only what stands in
the way of any judgement: a schema that can't be run, a topology that is not there."""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from roadmap_labs.harness import Lab, LabFault, Reply, Role, fail, quote, seeded, waiting
from roadmap_labs.harness.amqp import Absent, Message, Unrouted
from roadmap_labs.harness.postgres import Postgres
from roadmap_labs.harness.upstream import Request

EXCHANGE, KEY = "orders", "invoice"
QUEUE, DEAD = "invoices", "invoices.dead"
USER = "paperboy"
PATIENCE = 20.0  # seconds for what must happen in the end; the solution needs less than one
TOPOLOGY_SECONDS = 15.0
POLL = 0.05  # each look is a connection through the relay
QUIET = 0.5  # seconds without a byte between worker and broker that count as "nothing more comes"

SEE_API = "roadmap-labs logs api"
SEE_WORKER = "roadmap-labs logs worker"
SEE_QUEUES = (
    "roadmap-labs shell rabbitmq rabbitmqctl -p paperboy list_queues name messages_ready messages_unacknowledged "
    "consumers"
)
SEE_INVOICES = 'echo "select * from billing.invoice" | roadmap-labs shell postgres'
SEE_CALLS = "roadmap-labs shell gateway sim log /sign"

Order = dict[str, Any]


class Rooms:
    """Virtual host and database of the check before, which are removed when its roles are gone."""

    def __init__(self) -> None:
        self.vhost: str | None = None
        self.database: str | None = None


class Billing:
    """What one check sees of the shop's way to an invoice."""

    def __init__(self, lab: Lab, rooms: Rooms) -> None:
        self.lab = lab
        self.random: random.Random = lab.random
        self.vhost = f"v-{seeded.nonce(lab.random)}-{time.time_ns() % 10**6}"
        self.broker = lab.amqp("rabbitmq", self.vhost)
        self.management = lab.management("rabbitmq")
        self.gateway = lab.upstream("gateway")
        self.fault = lab.fault("amqp-fault")
        for role in ("api", "worker"):
            lab.drop(role)
        self.database = self.vhost.replace("-", "_")
        self._clear_up(rooms)
        rooms.vhost, rooms.database = self.vhost, self.database
        self.management.new_vhost(self.vhost, user=USER)
        self.sql = self._fresh_database()
        self.environment = {"DATABASE_URL": lab.address("postgres", database=self.database)}
        self.amqp_url = lab.address("rabbitmq", vhost=self.vhost)
        direct, proxy = urlsplit(self.amqp_url), urlsplit(lab.address("amqp-fault"))
        account = direct.netloc.rpartition("@")[0]
        self.fault_url = direct._replace(netloc=f"{account}@{proxy.netloc}").geturl()

    def _clear_up(self, rooms: Rooms) -> None:
        """A stack has room for a few databases, not for one of each check."""
        if rooms.vhost is not None:
            self.management.drop_vhost(rooms.vhost)
        if rooms.database is not None:
            self.lab.sql("postgres").rows(f"drop database if exists {rooms.database} with (force)")
        self.fault.mend()
        self.gateway.reset()

    def _fresh_database(self) -> Postgres:
        server = self.lab.sql("postgres")
        server.rows(f"create database {self.database} owner {USER} template billing_blank")
        settings = {**server.service.settings, "database": self.database}
        fresh = Postgres(dataclasses.replace(server.service, settings=settings))
        schema = self.lab.submitted("schema.sql")
        if schema is not None and schema.strip():
            with fresh.another() as owner:
                owner.rows(f"set role {USER}")
                refused = owner.refusal(schema.decode("utf-8", "replace"))
            if refused:
                fail(
                    "schema-refused",
                    "schema.sql was run against a fresh database, as the owner of the schema `billing`.",
                    expected="every statement succeeds",
                    observed=f"PostgreSQL refused it with SQLSTATE {quote(refused, 20)}",
                    look="roadmap-labs shell postgres < schema.sql",
                    hint=None,
                )
        return fresh

    # -- the learner's roles

    def api(self, **environment: object) -> Role:
        """The api, connected to this check's virtual host."""
        return self.lab.run("api", environment=self._told(self.amqp_url, environment))

    def api_through_fault(self, **environment: object) -> Role:
        """The same, connected through `amqp-fault`."""
        return self.lab.run("api", environment=self._told(self.fault_url, environment))

    def worker(self, **environment: object) -> Role:
        """One worker, connected through `amqp-fault`."""
        return self.workers(1, **environment)[0]

    def workers(self, count: int, **environment: object) -> tuple[Role, ...]:
        """Several workers with the same variables; those that run already stay."""
        return self.lab.replicas("worker", count, environment=self.worker_environment(**environment))

    def worker_environment(self, **environment: object) -> dict[str, str]:
        """The variables of a worker."""
        return self._told(self.fault_url, environment)

    def _told(self, amqp_url: str, more: dict[str, object]) -> dict[str, str]:
        changed = {name: str(value) for name, value in more.items()}
        return {"AMQP_URL": amqp_url, **self.environment, **changed}

    def started(self, role: Role) -> str:
        """When its container was started; another time means another process."""
        return str(self.lab.state(role.name)["started_at"])

    def has_ended(self, role: Role) -> bool:
        """Whether its process is gone."""
        return self.lab.state(role.name)["status"] in ("exited", "dead")

    # -- orders

    def order(self) -> Order:
        """An order that nobody has seen before."""
        return {
            "order_id": f"{self.random.choice(('Ord', 'web-', 'A.', 'x_'))}{seeded.nonce(self.random, 12)}",
            "customer": seeded.name(self.random),
            "amount_cents": seeded.cents(self.random),
        }

    def orders(self, count: int) -> list[Order]:
        """Several of them."""
        return [self.order() for _ in range(count)]

    def post(self, api: Role, order: Order, within: float | None = None) -> Reply:
        """POST one order."""
        return api.post("/orders", order, within=within or 20 * waiting.factor())

    def publish(self, *orders: Order) -> None:
        """Put orders into the queue, in the form that the contract gives them, when the topology is there."""
        for order in orders:
            self.publish_raw(encoded(order), order["order_id"])

    def publish_raw(self, body: bytes, message_id: str) -> None:
        """Put any bytes into the queue."""
        seen = ["nothing was tried"]

        def sent() -> bool:
            try:
                self.broker.publish(body, exchange=EXCHANGE, key=KEY, message_id=message_id)
            except (Absent, Unrouted) as why:
                seen[0] = str(why)
                return False
            return True

        if not soon(sent, TOPOLOGY_SECONDS):
            fail(
                "no-topology",
                f"A message was published to the exchange {EXCHANGE} with the routing key {KEY}, in a fresh "
                "virtual host in which only your worker runs.",
                expected=f"each role declares what it needs: exchange {EXCHANGE}, queue {QUEUE}, the binding",
                observed=quote(seen[0], 160),
                look="roadmap-labs shell rabbitmq rabbitmqctl -p paperboy list_bindings",
                hint=None,
            )

    # -- what has become of them

    def ready(self) -> int:
        """Messages that wait in the queue; a queue that is not there holds none."""
        return self.broker.ready(QUEUE) or 0

    def dead(self) -> int:
        """Messages in the final queue; while it does not exist it counts as empty."""
        return self.broker.ready(DEAD) or 0

    def queued(self) -> dict[str | None, Message]:
        """What lies in the queue now, by message id."""
        return {message.message_id: message for message in self.broker.peek(QUEUE, 500)}

    def rows(self) -> list[tuple[str, str, int]]:
        """All invoices."""
        found = self.sql.rows(
            "select order_id, signature, amount_cents from billing.invoice order by order_id"
        )
        return [(str(one), str(signature), cents) for one, signature, cents in found]

    def invoiced(self, orders: Sequence[Order]) -> int:
        """How many of these orders have an invoice, or more than one."""
        wanted = {order["order_id"] for order in orders}
        return len({row[0] for row in self.rows()} & wanted)

    def calls(self, *orders: Order) -> list[Request]:
        """Calls of the gateway for these orders, in the order of their arrival; without a name, all calls."""
        wanted = {order["order_id"] for order in orders}
        found = self.gateway.requests("/sign", method="POST")
        return [one for one in found if not wanted or _order_id(one) in wanted]

    def nothing_moves(self, within: float = 10.0, quiet: float = QUIET) -> bool:
        """The barrier: no byte has gone between workers and broker for a moment. Whether that came true in time."""
        deadline = time.monotonic() + within * waiting.factor()
        seen, since = self._bytes(), time.monotonic()
        while time.monotonic() - since < quiet * waiting.factor():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL)  # between two looks
            now = self._bytes()
            if now != seen:
                seen, since = now, time.monotonic()
        return True

    def _bytes(self) -> tuple[int, int]:
        passed = self.fault.seen()
        return passed.bytes_up, passed.bytes_down

    def steady(self, count: Callable[[], int], quiet: float = 1.0, within: float = 15.0) -> int:
        """A number once it has not changed for `quiet` seconds, or what it is when time is up."""
        deadline = time.monotonic() + within * waiting.factor()
        seen, since = count(), time.monotonic()
        while time.monotonic() - since < quiet * waiting.factor() and time.monotonic() < deadline:
            time.sleep(POLL)  # between two looks
            now = count()
            if now != seen:
                seen, since = now, time.monotonic()
        return seen

    # -- failures of the world

    def failing(self, status: int = 503, times: int | None = None) -> None:
        """From now on the gateway answers with this status, so many times or for ever."""
        self.gateway.route(
            "/sign", status=status, json={"error": "nap"}, **({"times": times} if times else {})
        )

    @contextmanager
    def short_of_memory(self) -> Iterator[None]:
        """The broker blocks publishers inside the block: its memory watermark is lowered to one byte."""
        try:
            self._watermark("1")
            waiting.settle(lambda: self.management.alarmed(), 10, "the broker raised its memory alarm")
            yield
        finally:
            self._watermark("normal")
        waiting.settle(lambda: not self.management.alarmed(), 10, "the broker's memory alarm was over")

    def saved(self) -> None:
        """What was declared outlives a kill from now on; by itself the broker saves a quorum queue seconds later."""
        self._tell_broker("saved")

    def _watermark(self, bytes_: str) -> None:
        self._tell_broker("watermark", bytes_)

    def _tell_broker(self, *command: str) -> None:
        ended = self.lab.inside("rabbitmq", command)
        if ended.exit_code != 0:
            raise LabFault(f"The broker did not obey `{' '.join(command)}`: {quote(ended.output)}")


def soon(condition: Callable[[], object], within: float) -> bool:
    """Whether it came true in so many seconds x time factor."""
    return waiting.reached(lambda: bool(condition()), within, every=POLL)[0]


def encoded(order: Order) -> bytes:
    """The body of a message."""
    return json.dumps(order).encode()


def _order_id(request: Request) -> object:
    try:
        found = json.loads(request.body)
    except ValueError:
        return request.header("Idempotency-Key")
    return found.get("order_id") if isinstance(found, dict) else None
