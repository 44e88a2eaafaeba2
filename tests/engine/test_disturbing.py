"""Disturbances on a real engine: each shows, each is undone, and what is disturbed can still be removed."""

from __future__ import annotations

import ipaddress

import pytest

from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import Attachment, ContainerSpec, Engine
from roadmap_labs.engine.sweep import remove_all
from roadmap_labs.stack.disturbing import Disturbances
from tests.engine.conftest import IMAGE, any_network, marked

pytestmark = pytest.mark.engine


class OneServer:
    """A stack of one service that sleeps."""

    def __init__(self, engine: Engine, stack: str) -> None:
        network, subnet = any_network(engine, stack, internal=True)
        self.engine = engine
        self.leg = Attachment(network, str(ipaddress.ip_network(subnet)[5]), ("server",))
        spec = ContainerSpec(
            name=stack,
            image=IMAGE,
            labels=marked(stack),
            attachment=self.leg,
            command=("sh", "-c", "trap 'exit 7' TERM; sleep 600 & wait"),
        )
        self.containers = {"server": engine.create_container(spec)}
        self.replicas: dict[str, object] = {}
        engine.start(self.containers["server"])

    def start_again(self, name: str) -> None:
        self.engine.start(self.containers[name])

    def cut(self, name: str) -> None:
        self.engine.disconnect(self.containers[name], self.leg.network)

    def mend(self, name: str) -> None:
        self.engine.connect(self.containers[name], self.leg)

    @property
    def seen(self) -> tuple[str, int, str]:
        """Status, exit code and address."""
        state = self.engine.inspect(self.containers["server"])
        return state.status, state.exit_code, state.addresses.get(self.leg.network, "")


def test_each_disturbance_shows_and_is_put_right(real_engine: Engine, stack: str) -> None:
    one = OneServer(real_engine, stack)
    harm = Disturbances(one)  # type: ignore[arg-type]
    whole = one.seen
    assert whole[2] == one.leg.address
    harm.pause("server")
    assert one.seen[0] == "paused"
    harm.put_right()
    assert one.seen == whole
    harm.disconnect("server")
    assert one.seen[2] == ""
    harm.put_right()
    assert one.seen == whole
    harm.stop("server")
    assert one.seen[:2] == ("exited", 7)
    harm.put_right()
    assert one.seen == whole
    harm.kill("server")
    harm.put_right()
    assert one.seen == whole


def test_a_paused_and_cut_container_comes_back_whole(real_engine: Engine, stack: str) -> None:
    one = OneServer(real_engine, stack)
    harm = Disturbances(one)  # type: ignore[arg-type]
    whole = one.seen
    harm.pause("server")
    harm.disconnect("server")
    harm.put_right()
    assert one.seen == whole


@pytest.mark.parametrize("how", ["pause", "stop", "disconnect"])
def test_what_is_disturbed_can_be_removed(real_engine: Engine, stack: str, how: str) -> None:
    one = OneServer(real_engine, stack)
    Disturbances(one).verbs[how]("server")  # type: ignore[arg-type]
    remove_all(real_engine, {labels.STACK: stack})
    assert not real_engine.find("container", {labels.STACK: stack})
    assert not real_engine.find("network", {labels.STACK: stack})
