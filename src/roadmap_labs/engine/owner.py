"""The identity of a process as a label's value, and whether such a process is still there.

Knows nothing of engines or stacks. Identity is host, boot, pid namespace, pid and start time, because a pid
alone comes back.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
from contextlib import suppress
from pathlib import Path

_SEPARATOR = " "
_NO_NAMESPACE = "-"


@functools.cache
def _host() -> tuple[str, str, str]:
    """Host name, boot and pid namespace; together they say whether a pid means anything here."""
    name = platform.node().replace(_SEPARATOR, "_") or "localhost"
    return (f"{name}/{_machine()}", _boot(), _namespace())


def owner(pid: int | None = None) -> str:
    """This process (or `pid` on this host) as a label's value."""
    number = os.getpid() if pid is None else pid
    return _SEPARATOR.join((*_host(), str(number), _started(number) or "gone"))


def is_dead(label: str) -> bool | None:
    """True where the process has ended, False where it runs, None where this host can't tell."""
    parts = label.split(_SEPARATOR)
    if len(parts) != 5 or not parts[3].isdigit():
        return None
    host, boot, namespace, pid, started = parts
    here_host, here_boot, here_namespace = _host()
    if host != here_host:
        return None
    if boot != here_boot:
        return True  # the same machine was started anew since
    if namespace != here_namespace:
        return None
    return _started(int(pid)) != started


def _machine() -> str:
    """Two machines of one name may share one engine."""
    for place in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with suppress(OSError):
            return hashlib.sha256(Path(place).read_bytes()).hexdigest()[:12]
    return _NO_NAMESPACE


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _ask("sysctl", "-n", "kern.boottime").replace(_SEPARATOR, "_") or "unknown"


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return _NO_NAMESPACE


def _started(pid: int) -> str:
    """When a process began, in the unit of the system; "" where there is none (or only a zombie)."""
    if not Path("/proc/self/stat").exists():
        return _ask("ps", "-o", "lstart=", "-p", str(pid)).replace(_SEPARATOR, "_")
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    state, start_time = after_name[0], after_name[19]
    return "" if state in "ZX" else start_time


def _ask(*command: str) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False, env=_plain())
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def _plain() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
