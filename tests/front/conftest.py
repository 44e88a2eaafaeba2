"""A scratch checkout and a machine around it: fake tools that write down their calls, a fake system root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REAL_TOOLS = [
    *(
        "sh",
        "cat",
        "chmod",
        "cksum",
        "cp",
        "dirname",
        "env",
        "flock",
        "grep",
        "ln",
        "mkdir",
        "mktemp",
        "readlink",
    ),
    *("rm", "rmdir", "sed", "setsid", "sleep", "tail", "touch", "tr", "true", "uname"),
]

FAKES = {
    "uv": """
        case "$1 $2" in
            "venv "*) for folder; do :; done; python3 -I -m venv --without-pip "$folder" ;;
            "pip install")
                [ ! -e "$FAKE/uv-hangs" ] || sleep 30
                [ ! -e "$FAKE/uv-fails" ] || { echo no route; exit 2; } ;;
        esac""",
    "apt-get": """
        [ ! -e "$FAKE/apt-fails" ] || { echo E: no such thing; exit 100; }
        for word; do [ ! -e "$FAKE/shop/$word" ] || cp "$FAKE/shop/$word" "$FAKE/bin/"; done
        [ ! -e "$FAKE/bin/docker.io" ] || cp "$FAKE/shop/dockerd" "$FAKE/bin/dockerd"
        [ ! -e "$FAKE/bin/docker.io" ] || [ -e "$FAKE/client-is-apart" ] || : >"$FAKE/bin/docker"
        [ ! -e "$FAKE/bin/docker" ] || chmod +x "$FAKE/bin/docker" """,
    "id": 'case $1 in -u) cat "$FAKE/uid" ;; -nG) cat "$FAKE/groups" ;; *) echo learner ;; esac',
    "sudo": """
        case $1 in -v) exit 0 ;; -n) shift ;; esac
        case $1 in -E) shift 3; exec "$@" ;; esac
        echo 0 >"$FAKE/uid"; "$@"; code=$?; echo 1000 >"$FAKE/uid"; exit $code""",
    "sg": 'exec sh -c "$3"',
    "usermod": ":",
}

DOCKERD = f"""#!{sys.executable} -IS
import os, signal, socket, sys
fake = os.environ["FAKE"]
signal.alarm(60)
print("dockerd: first line", flush=True)
if os.path.exists(fake + "/dockerd-fails"):
    sys.exit("dockerd: no cgroups here")
with open(fake + "/dockerd.pid", "w") as file:
    file.write(str(os.getpid()))
door = socket.socket(socket.AF_UNIX)
door.bind(fake + "/root/var/run/docker.sock")
door.listen()
while True:
    caller = door.accept()[0]
    asked = caller.recv(200)
    found = b"_ping" in asked or os.path.exists(fake + "/has-image")
    caller.sendall(b"HTTP/1.0 " + (b"200 OK" if found else b"404 Not Found") + b"\\r\\n\\r\\n")
    caller.close()
"""

STUB = """
import json, os, sys
def main():
    print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "path": sys.path}))
"""


@dataclass(frozen=True)
class Outcome:
    """How one call of a script ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def arguments(self) -> list[str]:
        """What reached the command line, which must be all that there is on stdout."""
        return list(json.loads(self.stdout)["arguments"])


@dataclass(frozen=True)
class Scratch:
    """A checkout whose PATH holds nothing but `fake/bin` and whose system's files lie below `fake/root`."""

    checkout: Path
    fake: Path

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": str(self.fake / "bin"),
            "HOME": str(self.fake),
            "FAKE": str(self.fake),
            "ROADMAP_LABS_SYSROOT": str(self.fake / "root"),
            **more,
        }

    def command(self, *arguments: str) -> list[str]:
        return [str(self.checkout / "bin/roadmap-labs"), *arguments]

    def run(self, *arguments: str, cwd: Path | None = None, **more: str) -> Outcome:
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(**more),
            cwd=cwd or self.fake,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def calls(self, *names: str) -> list[str]:
        """The calls of these fake tools, in order."""
        record = self.fake / "calls"
        lines = record.read_text().splitlines() if record.exists() else []
        return [line for line in lines if line.split(" ")[0] in names]

    def is_os(self, name: str) -> None:
        (self.fake / "root/etc/os-release").write_text(f'ID={name}\nPRETTY_NAME="{name.title()} 1"\n')

    def is_user(self, uid: int, groups: str = "learner") -> None:
        (self.fake / "uid").write_text(f"{uid}\n")
        (self.fake / "groups").write_text(f"{groups}\n")

    def has(self, *tools: str) -> None:
        for tool in tools:
            _script(self.fake / "bin" / tool, FAKES.get(tool, ":"))

    def lacks(self, *tools: str) -> None:
        for tool in tools:
            (self.fake / "bin" / tool).unlink()

    def mark(self, name: str) -> Path:
        """Changes what a fake tool does."""
        (self.fake / name).touch()
        return self.fake / name


def _script(path: Path, body: str) -> None:
    path.write_text(f'#!/bin/sh\necho "{path.name} $*" >>"$FAKE/calls"\n{body}\n')
    path.chmod(0o755)


def _furnish(fake: Path) -> None:
    for folder in ("bin", "shop", "root/etc", "root/var/run", "root/usr/share/keyrings"):
        (fake / folder).mkdir(parents=True)
    for tool in REAL_TOOLS:
        found = shutil.which(tool)
        if found:  # flock is missing on macOS
            (fake / "bin" / tool).symlink_to(found)
    (fake / "bin/python3").symlink_to(sys.executable)
    for name in ("docker.io", "iptables", "mmdebstrap"):
        _script(fake / "shop" / name, ":")
    (fake / "shop/dockerd").write_text(DOCKERD)
    (fake / "shop/dockerd").chmod(0o755)


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    """A Debian with root, uv and apt-get, without an engine; the path is short for the socket's sake."""
    with tempfile.TemporaryDirectory(prefix="rl-") as folder:
        place = Path(folder).resolve()
        made = Scratch(checkout=place / "check out", fake=place / "f")
        _furnish(made.fake)
        shutil.copytree(ROOT / "bin", made.checkout / "bin")
        for name in ("requirements.lock", "requirements-dev.lock"):
            (made.checkout / name).write_text("# nothing\n")
        cli = made.checkout / "src/roadmap_labs/cli"
        cli.mkdir(parents=True)
        (cli / "main.py").write_text(STUB)
        made.is_os("debian")
        made.is_user(0)
        made.has("uv", "apt-get", "id", "usermod")
        yield made
        pid = made.fake / "dockerd.pid"
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGKILL)
