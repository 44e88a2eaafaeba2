"""The AMQP broker's image, its readiness, and the words that look into it, against one real container."""

from __future__ import annotations

import ipaddress
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from roadmap_labs.content.shelf import load_service
from roadmap_labs.engine import images, labels
from roadmap_labs.engine.protocol import Attachment, ContainerSpec, Engine, Limits
from roadmap_labs.engine.sweep import remove_all
from roadmap_labs.harness import LabFault, waiting
from roadmap_labs.harness.amqp import Absent, Amqp, Unrouted
from roadmap_labs.harness.management import Management
from roadmap_labs.harness.service import Service
from roadmap_labs.stack import ready
from roadmap_labs.stack.plan import MIB, ServicePlan
from tests.engine.conftest import any_network, marked

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Broker:
    """One running container of the broker."""

    engine: Engine
    container: str
    plan: ServicePlan

    @property
    def service(self) -> Service:
        published = self.engine.inspect(self.container).published
        return Service(
            "rabbitmq", "127.0.0.1", published[5672], 5672, self.plan.settings, "checker",
            self.plan.checker_password, {"management": ("127.0.0.1", published[15672])}, "amqp",
        )  # fmt: skip

    def answers(self) -> bool:
        published = self.engine.inspect(self.container).published
        return ready.service_answers(self.plan, "127.0.0.1", published.get(5672, 0))


@pytest.fixture(scope="module")
def broker(real_engine: Engine) -> Iterator[Broker]:
    known = load_service("rabbitmq")
    manifest = known.manifest
    image = images.ensure(real_engine, images.Recipe("rabbitmq", known.image_folder), print)
    plan = ServicePlan("rabbitmq", manifest, image, dict(manifest.settings), True, "learner", "checks")
    stack = f"test-{secrets.token_hex(4)}"
    network, subnet = any_network(real_engine, stack)
    uid, gid = manifest.user.split(":")
    spec = ContainerSpec(
        name=stack,
        image=image,
        labels=marked(stack),
        attachment=Attachment(network, str(ipaddress.ip_network(subnet)[5]), ("rabbitmq",)),
        environment=plan.environment(),
        user=manifest.user,
        tmpfs={
            "/tmp": "size=16m,mode=1777",
            str(manifest.data): f"size={manifest.data_size},uid={uid},gid={gid},mode=0700",
        },
        publish={5672: None, 15672: None},
        limits=Limits(
            memory_bytes=manifest.memory * MIB, processes=manifest.processes, cpus=2.0, open_files=8192
        ),
    )
    container = real_engine.create_container(spec)
    found = Broker(real_engine, container, plan)
    try:
        assert not found.answers()
        real_engine.start(container)
        waiting.settle(found.answers, 60, "the broker answers a login")
        yield found
    finally:
        remove_all(real_engine, {labels.STACK: stack})


@pytest.fixture
def vhost(broker: Broker) -> Iterator[str]:
    name = f"v-{secrets.token_hex(4)}"
    management = Management(broker.service)
    management.new_vhost(name, user="lab")
    yield name
    management.drop_vhost(name)


@pytest.fixture
def amqp(broker: Broker, vhost: str) -> Iterator[Amqp]:
    found = Amqp(broker.service, vhost)
    yield found
    found.close()


def _declare(amqp: Amqp, queue: str, **more: object) -> None:
    amqp._ask(lambda channel: channel.queue_declare(queue, durable=True, **more))


def test_what_is_not_there_is_nothing(amqp: Amqp) -> None:
    assert amqp.ready("invoices") is None
    assert amqp.consumers("invoices") is None
    assert not amqp.has_exchange("orders")
    with pytest.raises(Absent):
        amqp.publish(b"{}", exchange="orders", key="invoice")
    assert amqp.ready("invoices") is None  # the channel that the error closed is replaced


def test_what_was_fetched_from_a_quorum_queue_is_back_at_once(amqp: Amqp) -> None:
    _declare(amqp, "invoices", arguments={"x-queue-type": "quorum"})
    for number in range(5):
        amqp.publish(b"{}", exchange="", key="invoices", message_id=f"{number}")
    for _ in range(20):
        assert len(amqp.peek("invoices", 10)) == 5
        assert amqp.ready("invoices") == 5


def test_a_message_is_fetched_looked_at_and_put_back(amqp: Amqp) -> None:
    _declare(amqp, "invoices")
    amqp.publish(b"\xff", exchange="", key="invoices", message_id="one", headers={"x-attempts": 2})
    amqp.publish(b"{}", exchange="", key="invoices", message_id="two")
    for _ in range(2):
        first, second = amqp.peek("invoices", 10)
        assert (first.message_id, first.body, first.delivery_mode, first.headers) == (
            "one",
            b"\xff",
            2,
            {"x-attempts": 2},
        )
        assert second.content_type == "application/json"
        assert amqp.ready("invoices") == 2
    taken = amqp.take("invoices")
    assert taken is not None
    assert taken.message_id == "one"
    assert taken.redelivered
    assert amqp.ready("invoices") == 1


def test_a_message_without_a_queue_comes_back(amqp: Amqp) -> None:
    _declare(amqp, "invoices")
    amqp.bind("invoices", "amq.direct", "invoice")
    amqp.publish(b"{}", exchange="amq.direct", key="invoice")
    amqp.unbind("invoices", "amq.direct", "invoice")
    with pytest.raises(Unrouted):
        amqp.publish(b"{}", exchange="amq.direct", key="invoice")
    assert amqp.ready("invoices") == 1


def test_a_policy_is_in_force_inside_its_block(broker: Broker, amqp: Amqp, vhost: str) -> None:
    _declare(amqp, "invoices")
    limit = {"max-length": 1, "overflow": "reject-publish"}
    with Management(broker.service).policy(vhost, "^invoices$", limit):
        amqp.publish(b"1", exchange="", key="invoices")
        with pytest.raises(LabFault, match="refused a message"):
            amqp.publish(b"2", exchange="", key="invoices")
    amqp.publish(b"3", exchange="", key="invoices")
    assert amqp.ready("invoices") == 2


def test_virtual_hosts_are_strangers(broker: Broker, amqp: Amqp) -> None:
    _declare(amqp, "invoices")
    other = Amqp(broker.service, "no-such-vhost")
    with pytest.raises(LabFault):
        other.ready("invoices")


def test_the_watermark_blocks_publishers_at_once(broker: Broker, amqp: Amqp) -> None:
    _declare(amqp, "invoices")
    management = Management(broker.service)
    assert not management.alarmed()
    inside = broker.engine.run_inside(broker.container, ("watermark", "1"), seconds=30)
    assert inside is not None
    try:
        waiting.settle(management.alarmed, 10, "the alarm is on")
        blocked = threading.Thread(
            target=lambda: amqp.publish(b"{}", exchange="", key="invoices"), daemon=True
        )
        blocked.start()
        blocked.join(0.5)
        assert blocked.is_alive()
    finally:
        broker.engine.run_inside(broker.container, ("watermark", "normal"), seconds=30)
    waiting.settle(lambda: not management.alarmed(), 10, "the alarm is off")
    blocked.join(10)
    assert not blocked.is_alive()
    assert amqp.ready("invoices") == 1


def test_a_connection_that_a_pause_outlives_goes_on(broker: Broker, amqp: Amqp) -> None:
    _declare(amqp, "invoices")
    broker.engine.pause(broker.container)
    try:
        began = time.monotonic()
        assert not broker.answers()
        assert time.monotonic() - began < 10
    finally:
        broker.engine.unpause(broker.container)
    assert amqp.ready("invoices") == 0
