"""Who made an object, and whether that process is still there."""

from __future__ import annotations

import subprocess
import sys

from roadmap_labs.engine.owner import is_dead, owner


def changed(label: str, part: int, value: str) -> str:
    parts = label.split(" ")
    parts[part] = value
    return " ".join(parts)


def test_this_process_lives() -> None:
    assert is_dead(owner()) is False


def test_process_that_ended_is_dead_even_before_it_is_waited_for() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    label = owner(child.pid)
    assert is_dead(label) is False
    child.kill()
    # A zombie has ended as well; waitid leaves it one.
    import os

    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(label) is True
    child.communicate()
    assert is_dead(label) is True


def test_pid_that_came_back_is_another_process() -> None:
    assert is_dead(changed(owner(), 4, "1")) is True


def test_an_earlier_boot_is_over() -> None:
    assert is_dead(changed(owner(), 1, "another-boot")) is True


def test_another_host_or_namespace_can_not_be_judged() -> None:
    assert is_dead(changed(owner(), 0, "elsewhere/0")) is None
    assert is_dead(changed(owner(), 2, "1")) is None


def test_nonsense_can_not_be_judged() -> None:
    for label in ("", "a b", "a b c d e", "a b c 1 2 3"):
        assert is_dead(label) is None
