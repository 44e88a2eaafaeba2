"""A program for the inside of a probe's container: asks the kernel for what must be refused, prints one JSON line.

Knows nothing of roadmap-labs and imports nothing of it: its text is handed to a bare python3.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial

Seen = tuple[bool | None, str]

_NUMBERS = {
    "x86_64": "ptrace=101 mount=165 keyctl=250 unshare=272 setns=308 bpf=321 userfaultfd=323 clone=56",
    "aarch64": "ptrace=117 mount=40 keyctl=219 unshare=97 setns=268 bpf=280 userfaultfd=282 clone=220",
}
_NEW_USER_NAMESPACE = 0x10000000

_MYSELF = os.getpid()


def raw_sockets() -> Seen:
    return refused(
        {"raw": opening(socket.AF_INET, socket.SOCK_RAW, 1), "packet": opening(17, socket.SOCK_RAW, 0)}
    )


def odd_sockets() -> Seen:
    wishes = {
        "AF_VSOCK": (40, 1, 0),
        "AF_ALG": (38, 5, 0),
        "uevents": (16, 3, 15),
        "AF_BLUETOOTH": (31, 3, 1),
    }
    return refused({name: opening(*wish) for name, wish in wishes.items()})


def opening(family: int, kind: int, protocol: int) -> Callable[[], None]:
    return lambda: socket.socket(family, kind, protocol).close()


def kernel_calls() -> Seen:
    table = _NUMBERS.get(platform.machine())
    if table is None:
        return None, f"not measured on {platform.machine()}"
    number = {name: int(value) for name, _, value in (pair.partition("=") for pair in table.split())}
    number |= {"io_uring_setup": 425, "clone3": 435}
    arguments = {
        "unshare": (_NEW_USER_NAMESPACE,),
        "clone": (_NEW_USER_NAMESPACE | signal.SIGCHLD,),
        "keyctl": (0, -3),
    }
    return refused({name: partial(call, number[name], *arguments.get(name, ())) for name in number})


def call(number: int, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_long(value) for value in (number, *arguments, 0, 0, 0, 0, 0)]
    found = library.syscall(*padded[:7])
    if found < 0:
        raise OSError(ctypes.get_errno(), "refused")
    if found == 0 and os.getpid() != _MYSELF:
        os._exit(0)  # the child of a clone that was allowed


def refused(trials: dict[str, Callable[[], None]]) -> Seen:
    """Not permitted, not there, no such family: all are refusals; anything else came through."""
    open_ways = []
    for name, trial in trials.items():
        try:
            trial()
        except OSError as error:
            if error.errno in (
                errno.EPERM,
                errno.ENOSYS,
                errno.EACCES,
                errno.EAFNOSUPPORT,
                errno.EPROTONOSUPPORT,
            ):
                continue
            name += f" ({errno.errorcode.get(error.errno or 0, '?')})"
        open_ways.append(name)
    return not open_ways, f"allowed: {', '.join(open_ways)}" if open_ways else f"refused: {', '.join(trials)}"


if __name__ == "__main__":
    measures = {"raw_sockets": raw_sockets(), "odd_sockets": odd_sockets(), "kernel_calls": kernel_calls()}
    sys.stdout.write(json.dumps(measures) + "\n")
