"""The sealed profile, measured from the inside. Fails when anything is open, and shows that each measure can fail."""

from __future__ import annotations

import json
import time
from pathlib import Path

import docker
import pytest

from roadmap_labs.engine import inside, inside_kernel, isolation
from roadmap_labs.engine.images import Recipe, ensure
from roadmap_labs.engine.protocol import Attachment, ContainerSpec, Engine
from roadmap_labs.stack import awaiting
from tests.engine.conftest import any_network, marked

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def image(real_engine: Engine) -> str:
    recipe = Recipe("python-http", ROOT / "scaffolds" / "python-http" / "image")
    return ensure(real_engine, recipe, progress=print)


def test_nothing_is_open_under_the_sealed_profile(real_engine: Engine, image: str) -> None:
    findings = isolation.probe(real_engine, image)
    assert {finding.name: finding.seen for finding in findings if finding.ok is not True} == {}
    assert len(findings) == 21


def test_the_name_of_a_peer_that_is_gone_is_refused_at_once(
    stack: str, real_engine: Engine, image: str
) -> None:
    network, _ = any_network(real_engine, stack, internal=True)
    body = "import socket, time; began = time.monotonic()\ntry: socket.getaddrinfo('redis', 6379)\nexcept OSError: pass"
    spec = ContainerSpec(stack, image, marked(stack), Attachment(network),
                         command=("python3", "-c", f"{body}\nprint(time.monotonic() - began)"))  # fmt: skip
    container = real_engine.create_container(spec)
    real_engine.start(container)
    assert awaiting.await_end(real_engine, container, seconds=30)
    assert float(real_engine.logs(container)) < 0.9, "a second is what a resolver waits at least"


def test_open_gateway_is_noticed(real_engine: Engine, image: str) -> None:
    findings = {
        finding.name: finding for finding in isolation.probe(real_engine, image, isolated_gateway=False)
    }
    assert findings["host"].ok is False
    assert findings["host"].cure
    assert findings["routes"].ok is False


def test_measures_can_fail(stack: str, real_engine: Engine, image: str) -> None:
    """The same programs where nothing is sealed: root, capabilities, no seccomp, no limits, a writable root."""
    client = docker.from_env()
    texts = [Path(module.__file__ or "").read_text() for module in (inside, inside_kernel)]
    container = client.containers.create(
        image,
        ["sh", "-c", 'python3 -I -c "$0"; python3 -I -c "$1"', *texts],
        labels=marked(stack),
        user="0:0",
        cap_add=["SYS_ADMIN", "NET_RAW", "SYS_PTRACE"],
        security_opt=["seccomp=unconfined"],
        pids_limit=200,
        environment={
            "PROBE_MEMORY": "1",
            "PROBE_PROCESSES": "16",
            "PROBE_NONCE": "n",
            "PROBE_TARGETS": "",
            "PROBE_PEER": "9 n",
            "HTTP_PROXY": "http://192.0.2.1:1",
        },
    )
    container.start()
    deadline = time.monotonic() + 60
    while (container.reload(), container.status)[1] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found: dict[str, tuple[bool | None, str]] = {}
    for line in container.logs(stderr=False).decode().splitlines():
        found |= json.loads(line)
    client.close()
    closed = {name for name, (ok, _) in found.items() if ok is not False}
    # These depend on the host, not on the profile; `host` has its own test above.
    assert closed <= {"setuid", "host", "inet6", "outside_names", "engine_socket", "swap", "limits"}, found


def test_the_engine_answers_beside_the_worst(real_engine: Engine, image: str) -> None:
    from roadmap_labs.engine import crowding

    found = {one.name: one for one in crowding.measure(real_engine, image)}
    assert {"answers", "removal"} == found.keys()
    assert all(one.ok for one in found.values()), found
