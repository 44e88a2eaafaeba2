"""A second Docker engine in a container of the first, with a network of its own: another host, as far as we can see.

It is Debian 13's engine, newer than most. Its ports are published inside its own network, so what uses them runs there
(`Host.command`). Needs root.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from roadmap_labs.engine import labels
from roadmap_labs.engine.debian import ensure_base
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.sweep import remove_all
from roadmap_labs.harness import waiting
from tests.engine.conftest import marked

_IMAGE = "roadmap-labs/test-second-engine"
_CAPABILITIES = (
    "SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "MKNOD", "NET_RAW", "DAC_READ_SEARCH", "SETFCAP",
    "AUDIT_WRITE", "SYSLOG", "IPC_LOCK",
)  # fmt: skip


@dataclass(frozen=True)
class Host:
    """The second host: where its engine listens, and the process whose network it has."""

    socket: Path
    pid: int
    gateway: str  # the first host's address, as seen from here

    def command(self, words: Sequence[str]) -> list[str]:
        """A command as if typed on that host: its network, its engine."""
        return [
            "nsenter",
            "--target",
            str(self.pid),
            "--net",
            "env",
            f"DOCKER_HOST=unix://{self.socket}",
            *words,
        ]

    def load(self, images: Sequence[str]) -> None:
        """Carry images over, so that nothing has to be built there."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saving:
            subprocess.run(
                ["docker", "--host", f"unix://{self.socket}", "load"], stdin=saving.stdout, check=True,
                capture_output=True,
            )  # fmt: skip
        assert saving.returncode == 0


@contextmanager
def second_engine() -> Iterator[Host]:
    """Bring it up; all of it is removed at the end of the block."""
    engine = open_engine()
    ensure_base(engine, print)
    _docker("build", "--quiet", "--tag", _IMAGE, str(Path(__file__).with_name("engine")))
    name = f"test-{secrets.token_hex(4)}"
    words = [word for key, value in marked(name).items() for word in ("--label", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        try:
            _docker("volume", "create", *words, name)
            _docker(
                "run", "--detach", "--name", name, *words, *(f"--cap-add={one}" for one in _CAPABILITIES),
                "--security-opt", "seccomp=unconfined", "--env", "DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1",
                "--volume", f"{name}:/var/lib/docker", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup",
                "--volume", f"{folder}:/run/engine", _IMAGE,
            )  # fmt: skip
            seen = _docker("inspect", "--format", "{{.State.Pid}} {{.NetworkSettings.Gateway}}", name).split()
            host = Host(Path(folder) / "docker.sock", int(seen[0]), seen[1])
            waiting.settle(lambda: _answers(host), 60, "the second engine answers")
            yield host
        finally:
            remove_all(engine, {labels.STACK: name})
            engine.close()


def _answers(host: Host) -> bool:
    asked = ["docker", "--host", f"unix://{host.socket}", "version"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _docker(*words: str) -> str:
    ended = subprocess.run(
        ["docker", *words], check=True, capture_output=True, text=True, timeout=600,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )  # fmt: skip
    return ended.stdout
