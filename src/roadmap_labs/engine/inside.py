"""A program for the inside of a probe's container: looks at its surroundings and prints one JSON line.

Knows nothing of roadmap-labs and imports nothing of it: its text is handed to a bare python3.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Seen = tuple[bool | None, str]

_SOCKETS = (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
)
_MAY_WRITE = {"/tmp", "/dev/shm", "/dev/mqueue"}  # noqa: S108 - places to look at, not to use


def status(field: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith(field + ":")), "")


def capabilities() -> Seen:
    found = {name: status(name) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")}
    return all(int(value or "1", 16) == 0 for value in found.values()), f"CapEff {found['CapEff']}"


def new_privileges() -> Seen:
    return status("NoNewPrivs") == "1", f"NoNewPrivs {status('NoNewPrivs')}"


def seccomp() -> Seen:
    return status("Seccomp") == "2", f"mode {status('Seccomp')}"


def setuid() -> Seen:
    """Who a program of root's with the setuid bit really is, once it runs."""
    if os.getuid() == 0:
        return None, "the probe itself runs as root"
    program = next(
        (path for path in ("/usr/bin/su", "/bin/su", "/usr/bin/passwd") if Path(path).exists()), None
    )
    if program is None or not Path(program).stat().st_mode & 0o4000:
        return True, "no setuid program in the image"
    with subprocess.Popen([program], stdin=-1, stdout=-3, stderr=-3) as child:
        deadline = time.monotonic() + 2
        users = ""
        while time.monotonic() < deadline and child.poll() is None:
            lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
            users = next((line for line in lines if line.startswith("Uid:")), users)
            if lines[0].split()[1] == Path(program).name:
                break
        child.kill()
    return (
        (None, "it ended too early") if not users else ("\t0" not in users, f"{program} runs with {users!r}")
    )


def root_file_system() -> Seen:
    read_only = bool(os.statvfs("/").f_flag & os.ST_RDONLY)
    return read_only, "read-only" if read_only else "writable"


def writable_places() -> Seen:
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = line.split()[4]
        try:
            if Path(place).is_dir():
                trial = Path(place) / ".trial"
                trial.write_bytes(b"")
                trial.unlink()
            else:
                if not Path(place).is_file():
                    continue  # a device such as /dev/null
                os.close(os.open(place, os.O_WRONLY))
        except OSError:
            continue
        found.append(place)
    return set(found) <= _MAY_WRITE, ", ".join(sorted(found)) or "none"


def temporary_files() -> Seen:
    written = 0
    try:
        with open("/tmp/fill", "wb", buffering=0) as file:  # noqa: S108, PTH123
            for _ in range(64):
                written += file.write(b"\0" * 1024 * 1024)
    except OSError as error:
        return error.errno == errno.ENOSPC, f"{errno.errorcode[error.errno or 0]} after {written >> 20} MiB"
    finally:
        Path("/tmp/fill").unlink(missing_ok=True)  # noqa: S108
    return False, f"{written >> 20} MiB went in"


def cgroup(*places: str) -> str:
    return next((Path(place).read_text().strip() for place in places if Path(place).exists()), "")


def memory() -> Seen:
    value = cgroup("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    return value == os.environ["PROBE_MEMORY"], f"limit {value or 'not to be seen'}"


def swap() -> Seen:
    swaps = len(Path("/proc/swaps").read_text().splitlines()) - 1
    extra = cgroup("/sys/fs/cgroup/memory.swap.max")
    both = cgroup("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
    if extra or both:
        return extra == "0" or both == os.environ["PROBE_MEMORY"], f"limit {extra or both}"
    return swaps == 0, "swap is not counted here, and the host has " + (
        f"{swaps} swap areas" if swaps else "none"
    )


def processes() -> Seen:
    children: list[int] = []
    most = int(os.environ["PROBE_PROCESSES"])
    try:
        while len(children) <= most:
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    except OSError as error:
        return True, f"{errno.errorcode[error.errno or 0]} at {len(children)} children"
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return False, f"{len(children)} children began"


def limits() -> Seen:
    core = resource.getrlimit(resource.RLIMIT_CORE)[1]
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    size = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    fine = core == 0 and 0 < files <= 65536 and size != resource.RLIM_INFINITY
    return fine, f"core {core}, open files {files}, file size {size}"


def routes() -> Seen:
    """Some engines leave a default route to a gateway that is not there: only its silence tells."""
    rows = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    gateway = next((int(row[2], 16) for row in rows if row[1] == "00000000"), None)
    if gateway is None:
        return True, "no default route"
    address = socket.inet_ntoa(gateway.to_bytes(4, "little"))
    with contextlib.suppress(OSError):
        socket.create_connection((address, 9), timeout=1).close()
    neighbours = [line.split() for line in Path("/proc/net/arp").read_text().splitlines()[1:]]
    there = any(row[0] == address and row[2] != "0x0" for row in neighbours)
    return not there, f"gateway {address} " + ("is there" if there else "does not exist")


def answers(target: str, nonce: str) -> bool:
    """A connection alone proves nothing: something in between may have accepted it."""
    host, _, port = target.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1) as link:
            return link.recv(64) == nonce.encode()
    except OSError:
        return False


def host() -> Seen:
    targets = os.environ["PROBE_TARGETS"].split()
    if not targets:
        return None, "not measured: the engine is not on this machine"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda target: answers(target, os.environ["PROBE_NONCE"]), targets))
    reached = [target for target, answered in zip(targets, found, strict=True) if answered]
    return (
        not reached,
        f"reached {', '.join(reached)}" if reached else f"{len(targets)} addresses tried, none answers",
    )


def outside_names() -> Seen:
    began = time.monotonic()
    try:
        found = socket.getaddrinfo("example.com", 80)
    except OSError:
        seconds = time.monotonic() - began
        return seconds < 3, f"refused after {seconds:.1f} s"
    return False, f"example.com is {found[0][4][0]}"


def peers() -> Seen:
    port, nonce = os.environ["PROBE_PEER"].split()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if answers(f"peer:{port}", nonce):
            return True, f"peer is {socket.gethostbyname('peer')} and answers"
        time.sleep(0.03)
    return False, "peer does not answer"


def engine_socket() -> Seen:
    found = [place for place in _SOCKETS if Path(place).exists()]
    return not found, ", ".join(found) or "none"


def inet6() -> Seen:
    place = Path("/proc/net/if_inet6")
    rows = place.read_text().splitlines() if place.exists() else []
    found = [row.split()[0] for row in rows if not row.endswith(" lo")]
    return not found, ", ".join(found) or "no address"


def proxies() -> Seen:
    found = [name for name in os.environ if name.lower().endswith("_proxy")]
    return not found, ", ".join(found) or "none"


MEASURES = """
    capabilities new_privileges seccomp setuid root_file_system writable_places temporary_files memory swap processes
    limits routes host outside_names peers engine_socket inet6 proxies
"""


def measure() -> dict[str, Seen]:
    found: dict[str, Seen] = {}
    for name in MEASURES.split():
        try:
            found[name] = globals()[name]()
        except Exception as error:  # noqa: BLE001 - one measure that fails must not hide the others
            found[name] = (None, f"not measured: {error!r}")
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
