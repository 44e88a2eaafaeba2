"""Both ways to the base image: pulled by digest from a registry of the suite's own, built from Debian's packages."""

from __future__ import annotations

import hashlib
import io
import shutil
import time
from collections.abc import Iterator

import docker
import pytest
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy

from roadmap_labs.engine import debian, labels
from roadmap_labs.engine.debian import ensure_base, host_bundle
from roadmap_labs.engine.images import Recipe, ensure
from roadmap_labs.engine.protocol import ContainerSpec, Engine
from tests.engine.conftest import IMAGE, marked

pytestmark = pytest.mark.engine

REGISTRY = f"""FROM {IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends docker-registry && rm -rf /var/lib/apt/lists/*
COPY registry.yml /etc/registry.yml
USER 10001:10001
CMD ["docker-registry", "serve", "/etc/registry.yml"]
"""
SETTINGS = """version: 0.1
storage: {filesystem: {rootdirectory: /tmp/registry}, delete: {enabled: true}}
http: {addr: ":5000"}
"""
NOBODY = f"127.0.0.1:9/debian@sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def registry(real_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry on loopback, for as long as this module runs."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "Dockerfile").write_text(REGISTRY)
    (folder / "registry.yml").write_text(SETTINGS)
    ensure_base(real_engine, print)
    image = ensure(real_engine, Recipe("test-registry", folder), print)
    testcontainers_config.ryuk_disabled = True
    # It takes a machine with /.dockerenv for a container beside ours; the port is published on this very machine.
    testcontainers_config.connection_mode_override = ConnectionMode.docker_host
    testcontainers_config.tc_host_override = "127.0.0.1"
    container = DockerContainer(image).with_kwargs(labels=marked("test-registry"))
    container.ports = {"5000/tcp": ("127.0.0.1", None)}
    container.waiting_for(HttpWaitStrategy(5000, "/v2/").for_status_code(200).with_poll_interval(0.05))
    with container:
        yield f"127.0.0.1:{container.get_exposed_port(5000)}"


@pytest.fixture
def scratch(stack: str, real_engine: Engine) -> Iterator[str]:
    """A tag in the place of the real base, which stays what it is."""
    tag = f"roadmap-labs/{stack}:trixie"
    yield tag
    real_engine.remove("image", tag)


@pytest.fixture
def pushed(registry: str, stack: str) -> Iterator[str]:
    """`registry/debian@sha256:…` of an image that only the registry has any more."""
    client = docker.APIClient(version="auto")
    name = f"{registry}/debian"
    note = f"FROM {IMAGE}\nRUN echo {stack} > /etc/pulled\n"
    for _ in client.build(fileobj=io.BytesIO(note.encode()), tag=f"{name}:slim", rm=True, decode=True):
        pass
    reports = list(client.push(name, tag="slim", stream=True, decode=True))
    digest = next(report["aux"]["Digest"] for report in reports if "aux" in report)
    client.remove_image(f"{name}:slim", force=True)
    yield f"{name}@{digest}"
    # The pulled name goes; its layers stay as long as an image that was made of them.
    client.remove_image(f"{name}@{digest}", force=True, noprune=True)
    client.close()


def printed(engine: Engine, stack: str, image: str, *command: str) -> str:
    one = engine.create_container(ContainerSpec(f"{stack}-look", image, marked(stack), command=command))
    engine.start(one)
    deadline = time.monotonic() + 20
    while engine.inspect(one).status == "running":
        assert time.monotonic() < deadline
        time.sleep(0.03)
    text = engine.logs(one, tail=1000).decode()
    engine.remove("container", one)
    return text


def assert_is_a_base(engine: Engine, stack: str, tag: str) -> None:
    found = engine.image(tag)
    assert found is not None
    assert found.labels[labels.RECIPE] == "trixie"
    bundle = host_bundle()
    assert bundle is not None
    wanted = hashlib.sha256(bundle.read_bytes()).hexdigest()
    look = 'sha256sum < "$SSL_CERT_FILE"; echo "$PIP_CERT" "$NODE_EXTRA_CA_CERTS" "$REQUESTS_CA_BUNDLE"'
    assert printed(engine, stack, tag, "sh", "-c", look).split() == [
        wanted,
        "-",
        *["/etc/ssl/certs/ca-certificates.crt"] * 3,
    ]
    packages = printed(engine, stack, tag, "dpkg-query", "-f", "${Package}\\n", "-W").split()
    assert {"apt", "ca-certificates", "libc6", "openssl"} <= set(packages)
    assert "VERSION_CODENAME=trixie" in printed(engine, stack, tag, "cat", "/etc/os-release")


def test_base_is_pulled_by_its_digest(
    real_engine: Engine, stack: str, scratch: str, pushed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(debian.VARIABLE, pushed)
    monkeypatch.setattr(debian, "_debootstrap", lambda *arguments: pytest.fail("it was to be pulled"))
    lines: list[str] = []
    assert ensure_base(real_engine, lines.append, tag=scratch) == scratch
    assert any("Digest: sha256:" in line for line in lines), lines
    assert printed(real_engine, stack, scratch, "cat", "/etc/pulled").strip() == stack
    assert_is_a_base(real_engine, stack, scratch)
    lines.clear()
    ensure_base(real_engine, lines.append, tag=scratch)
    assert lines == []


@pytest.mark.skipif(
    shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed: apt-get install it"
)
def test_base_is_built_where_no_registry_answers(
    real_engine: Engine, stack: str, scratch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(debian.VARIABLE, NOBODY)
    lines: list[str] = []
    began = time.monotonic()
    ensure_base(real_engine, lines.append, tag=scratch)
    assert "could not be pulled" in lines[0] or "would not pull" in lines[0], lines
    assert time.monotonic() - began < 300
    assert_is_a_base(real_engine, stack, scratch)
    assert real_engine.image(f"{scratch}-raw") is None
