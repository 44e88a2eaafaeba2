"""Row 56: whoever is in one sealed network reaches nobody in another one, by address or by name."""

from __future__ import annotations

import time

import pytest

from roadmap_labs.engine.protocol import Attachment, ContainerSpec, Engine
from tests.engine.conftest import IMAGE, any_network, marked, real_engine, stack  # noqa: F401 (fixtures)

pytestmark = pytest.mark.engine

_LISTENS = (
    "import socket\ns = socket.create_server(('', 7000))\nwhile True:\n    s.accept()[0].sendall(b'here')\n"
)
_KNOCKS = """
import socket, sys, time
def knock(target):
    try:
        with socket.create_connection((target, 7000), timeout=2) as line:
            return line.recv(4).decode()
    except OSError:
        return "no"
until = time.monotonic() + 20
while knock("peer") != "here" and time.monotonic() < until:
    time.sleep(0.05)
print(*(f"{target} {knock(target)}" for target in sys.argv[1:]), sep="\\n")
"""


def _image(engine: Engine) -> str:
    from roadmap_labs.content import shelf
    from roadmap_labs.content.submission import submission_of
    from roadmap_labs.stack.assembly import gather

    lab = shelf.load_lab("redis-caching")
    found = gather(engine, lab, lab.manifest.scaffolds[0], submission_of(()), lambda phase, step: None)
    return found.roles["catalog"]


def _program(
    engine: Engine, prefix: str, image: str, name: str, network: str, *command: str
) -> tuple[str, str]:
    spec = ContainerSpec(
        f"{prefix}-{name}", image, marked(prefix), Attachment(network, None, (name,)),
        ("python3", "-I", "-c", *command), user="10001:10001",
    )  # fmt: skip
    made = engine.create_container(spec)
    engine.start(made)
    return made, engine.inspect(made).addresses[network]


def test_another_labs_network_is_out_of_reach(real_engine: Engine, stack: str) -> None:  # noqa: F811
    engine, image = real_engine, _image(real_engine)
    sealed = {"internal": True, "isolated_gateway": True, "masquerade": False}
    theirs, _ = any_network(engine, stack, "-theirs", **sealed)
    ours, _ = any_network(engine, stack, "-ours", **sealed)
    _, target = _program(engine, stack, image, "victim", theirs, _LISTENS)
    _program(engine, stack, image, "peer", ours, _LISTENS)
    # The peer shows that the knocking program can reach somebody at all.
    knocks, _ = _program(engine, stack, image, "knocks", ours, _KNOCKS, "peer", target, "victim")
    deadline = time.monotonic() + 40
    while engine.inspect(knocks).status == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert engine.logs(knocks).decode().splitlines() == ["peer here", f"{target} no", "victim no"]
