"""bin/roadmap-labs where no engine answers: what it installs, what it asks, what it leaves alone."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.front.conftest import Scratch

APT = "apt-get -q -o DPkg::Lock::Timeout=120 "
INSTALL = APT + "install -y --no-install-recommends "


@pytest.mark.parametrize(
    "words", [["list"], ["check", "--help"], ["images", "list"], ["-C", "start", "status"], []]
)
def test_commands_that_need_no_engine_start_none(scratch: Scratch, words: list[str]) -> None:
    assert scratch.run(*words).arguments == words
    assert scratch.calls("apt-get") == []


@pytest.mark.parametrize(
    "words", [["start", "x"], ["check"], ["images", "build"], ["-C", "shop", "check", "--json"]]
)
def test_on_debian_as_root_an_engine_is_installed_and_started(scratch: Scratch, words: list[str]) -> None:
    done = scratch.run(*words)
    assert done.arguments == words
    assert scratch.calls("apt-get") == [APT + "update", INSTALL + "docker.io iptables mmdebstrap"]
    assert done.stderr.splitlines()[1:] == [
        f"roadmap-labs: no Docker engine answers on {scratch.fake}/root/var/run/docker.sock. "
        "To be done as root: install docker.io iptables mmdebstrap with apt-get, start the daemon",
        "roadmap-labs: installing docker.io iptables mmdebstrap",
        "roadmap-labs: starting the daemon",
    ]
    daemon = int((scratch.fake / "dockerd.pid").read_text())
    assert os.getsid(daemon) == daemon  # outlives the terminal
    assert (scratch.fake / "root/var/log/roadmap-labs-dockerd.log").read_text() == "dockerd: first line\n"
    assert scratch.run(*words).stderr == ""
    assert len(scratch.calls("apt-get")) == 2


def test_only_what_is_missing_is_installed(scratch: Scratch) -> None:
    scratch.has("iptables", "mmdebstrap")
    assert scratch.run("start").code == 0
    assert scratch.calls("apt-get")[-1] == INSTALL + "docker.io"


def test_a_client_in_a_package_of_its_own_is_installed_too(scratch: Scratch) -> None:
    scratch.mark("client-is-apart")
    assert scratch.run("start").code == 0
    assert scratch.calls("apt-get")[-1] == INSTALL + "docker-cli"


def test_ubuntu_gets_the_keys_of_debian_too(scratch: Scratch) -> None:
    scratch.is_os("ubuntu")
    assert scratch.run("start").code == 0
    assert scratch.calls("apt-get")[-1] == INSTALL + "docker.io iptables mmdebstrap debian-archive-keyring"


def test_a_stopped_engine_is_started_again(scratch: Scratch) -> None:
    scratch.run("start")
    os.kill(int((scratch.fake / "dockerd.pid").read_text()), signal.SIGKILL)
    (scratch.fake / "root/var/run/docker.sock").unlink()
    again = scratch.run("start")
    assert again.code == 0
    assert "To be done as root: start the daemon\n" in again.stderr
    assert len(scratch.calls("apt-get")) == 2


def test_the_builder_of_the_base_image_comes_later_where_it_is_needed(scratch: Scratch) -> None:
    scratch.run("start")
    scratch.lacks("mmdebstrap")
    assert scratch.run("start").code == 0
    assert scratch.calls("apt-get")[-1] == INSTALL + "mmdebstrap"
    scratch.lacks("mmdebstrap")
    scratch.mark("has-image")
    assert scratch.run("start").stderr == ""


def test_a_user_with_sudo_is_let_in(scratch: Scratch) -> None:
    scratch.is_user(1000)
    scratch.has("sudo")
    done = scratch.run("start")
    assert done.arguments == ["start"]
    assert "let learner use it (group docker, as good as root)" in done.stderr
    assert scratch.calls("apt-get")[-1] == INSTALL + "docker.io iptables mmdebstrap uidmap"
    assert scratch.calls("usermod") == ["usermod -aG docker learner"]


@pytest.mark.parametrize("tool", ["sudo", "sg"])
def test_a_new_member_of_the_group_need_not_log_in_again(scratch: Scratch, tool: str) -> None:
    refuse_until_the_group_is_new(scratch)
    scratch.is_user(1000, groups="learner docker")
    scratch.has(tool)
    words = ["start", "it's", 'a "b" $x', ""]
    assert scratch.run(*words).arguments == words
    assert len(scratch.calls(tool)) == {"sudo": 2, "sg": 1}[tool]


def test_a_stranger_to_the_group_is_told_the_cure(scratch: Scratch) -> None:
    refuse_until_the_group_is_new(scratch)
    scratch.is_user(1000)
    scratch.has("sudo", "sg")
    refused = scratch.run("start")
    assert (refused.code, refused.stdout) == (69, "")
    assert "sudo usermod -aG docker learner; log in again" in refused.stderr
    assert scratch.calls("usermod") == []


def refuse_until_the_group_is_new(scratch: Scratch) -> None:
    """Root can't be refused, and tests may run as root: the look at the engine is replaced."""
    look = "import os, sys; sys.exit(0 if 'ROADMAP_LABS_NEW_GROUP' in os.environ else 4)\n"
    (scratch.checkout / "bin/lib/ping.py").write_text(look)


@pytest.mark.parametrize(("system", "uid"), [("fedora", 0), ("debian", 1000)])
def test_elsewhere_there_is_one_line_with_the_cure(scratch: Scratch, system: str, uid: int) -> None:
    scratch.run("list")
    scratch.is_os(system)
    scratch.is_user(uid)
    refused = scratch.run("start")
    assert (refused.code, refused.stdout) == (69, "")
    assert len(refused.stderr.splitlines()) == 1
    assert "Install and start Docker Engine 20.10 or newer" in refused.stderr
    assert f"this is {system.title()} 1" in refused.stderr
    assert scratch.calls("apt-get") == []


@pytest.mark.parametrize("variable", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_an_engine_that_somebody_chose_is_theirs(scratch: Scratch, variable: str) -> None:
    assert scratch.run("start", **{variable: "tcp://127.0.0.1:1"}).arguments == ["start"]
    assert scratch.calls("apt-get") == []


@pytest.mark.parametrize(("current", "calls"), [("far-away", 0), ("default", 2)])
def test_the_current_context_is_honoured(scratch: Scratch, current: str, calls: int) -> None:
    (scratch.fake / ".docker").mkdir()
    (scratch.fake / ".docker/config.json").write_text(
        f'{{\n\t"auths": {{}},\n\t"currentContext": "{current}"\n}}'
    )
    assert scratch.run("start").code == 0
    assert len(scratch.calls("apt-get")) == calls


def test_a_failed_installation_of_the_engine_is_said(scratch: Scratch) -> None:
    scratch.mark("apt-fails")
    failed = scratch.run("start")
    assert failed.code == 75
    assert "  E: no such thing\n" in failed.stderr


def test_a_daemon_that_dies_is_said_with_its_last_words(scratch: Scratch) -> None:
    scratch.mark("dockerd-fails")
    began = time.monotonic()
    failed = scratch.run("start")
    assert failed.code == 69
    assert "  dockerd: no cgroups here\n" in failed.stderr
    assert time.monotonic() - began < 15  # and not after a minute of waiting


def on_a_terminal(scratch: Scratch, answer: bytes, *words: str, **more: str) -> tuple[int, str]:
    """Runs the script on a terminal and types the answer at the question: the exit code, all that was shown."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        scratch.command(*words), env=scratch.environment(**more), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown, answered = b"", False
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not piece:
            break
        shown += piece
        if b"[Y/n]" in shown and not answered:
            answered = os.write(ours, answer) > 0
    os.close(ours)
    return running.wait(60), shown.decode()


@pytest.mark.parametrize("answer", [b"n\n", b"nonsense\n", b"\x04"])
def test_no_means_no(scratch: Scratch, answer: bytes) -> None:
    code, shown = on_a_terminal(scratch, answer, "start")
    assert code == 69
    assert "DOCKER_HOST" in shown
    assert scratch.calls("apt-get") == []


@pytest.mark.parametrize("answer", [b"\n", b"y\n", b"YES\n"])
def test_yes_is_the_default(scratch: Scratch, answer: bytes) -> None:
    code, shown = on_a_terminal(scratch, answer, "start")
    assert code == 0
    assert "[Y/n]" in shown
    assert len(scratch.calls("apt-get")) == 2


@pytest.mark.parametrize(("words", "more"), [(("--yes", "start"), {}), (("start",), {"CI": "true"})])
def test_nobody_is_asked_where_that_is_said(
    scratch: Scratch, words: tuple[str, ...], more: dict[str, str]
) -> None:
    code, shown = on_a_terminal(scratch, b"n\n", *words, **more)
    assert code == 0
    assert "[Y/n]" not in shown
    assert '"arguments": ["start"]' in shown
