"""A real RabbitMQ in a container of its own, with its data on a volume, that tests may kill and start again."""

from __future__ import annotations

import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from roadmap_labs.content.shelf import load_service
from roadmap_labs.engine import images, labels
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.sweep import remove_all
from roadmap_labs.harness import waiting
from roadmap_labs.stack import ready
from roadmap_labs.stack.plan import ServicePlan
from tests.engine.conftest import marked


@dataclass(frozen=True)
class Rabbit:
    """A broker; `url` stays the same over a restart."""

    name: str
    port: int
    plan: ServicePlan

    @property
    def url(self) -> str:
        return f"amqp://lab:lab@127.0.0.1:{self.port}/lab"

    @property
    def inner_url(self) -> str:
        """The same broker by its own address, which other containers' networks reach, too."""
        address = _docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.name).strip()
        return f"amqp://lab:lab@{address}:5672/lab"

    def kill(self) -> None:
        """End it as a power cut would."""
        _docker("kill", "--signal", "KILL", self.name)

    def start(self) -> None:
        """Start it (again), and come back when it takes a login."""
        _docker("start", self.name)
        waiting.settle(
            lambda: ready.service_answers(self.plan, "127.0.0.1", self.port), 60, "the broker takes a login"
        )


@contextmanager
def rabbit() -> Iterator[Rabbit]:
    """Debian's RabbitMQ, as our labs use it, published on the loopback."""
    engine = open_engine()
    known = load_service("rabbitmq")
    image = images.ensure(engine, images.Recipe("rabbitmq", known.image_folder), print)
    plan = ServicePlan("rabbitmq", known.manifest, image, dict(known.manifest.settings), False, "lab", "")
    name = f"test-{secrets.token_hex(4)}"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    words = [word for key, value in marked(name).items() for word in ("--label", f"{key}={value}")]
    _docker("volume", "create", *words, name)
    data = f"{name}:{known.manifest.data}"
    _docker(
        "create", "--name", name, *words, "--publish", f"127.0.0.1:{port}:5672", "--volume", data,
        *(word for key, value in plan.environment().items() for word in ("--env", f"{key}={value}")), image,
    )  # fmt: skip
    found = Rabbit(name, port, plan)
    try:
        found.start()
        yield found
    finally:
        remove_all(engine, {labels.STACK: name})
        engine.close()


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, timeout=60, text=True).stdout
