"""The command `fault` inside the container: sets and shows the faults over the admin side, in words.

Knows no password: in a playground the admin side is open, and only there somebody types this.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request

USAGE = """\
fault                        what is broken now, and what has passed
fault swallow up             bytes towards the target are lost (or: down, both)
fault freeze                 connections stand, no byte moves, nothing is lost
fault refuse                 new connections are refused
fault latency_ms 300         each direction is late by so much
fault rate 2000              bytes a second
fault reset                  every connection breaks
fault off                    all is well again
"""


def main(words: list[str]) -> int:
    """Does what the words say; the exit code."""
    match words:
        case []:
            return _ask("GET", "/state")
        case ["off"]:
            return _ask("DELETE", "/faults")
        case ["reset"]:
            return _ask("POST", "/reset")
        case ["freeze" | "refuse" as name]:
            return _ask("PUT", "/faults", {name: True})
        case ["swallow", direction]:
            return _ask("PUT", "/faults", {"swallow": direction})
        case ["latency_ms" | "rate" as name, number] if number.isdigit():
            return _ask("PUT", "/faults", {name: int(number)})
    sys.stdout.write(USAGE)
    return 2


def _ask(method: str, path: str, wish: object = None) -> int:
    body = None if wish is None else json.dumps(wish).encode()
    address = f"http://127.0.0.1:{os.environ['FAULT_ADMIN_PORT']}{path}"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, body, method=method), timeout=10
        ) as reply:
            state = json.load(reply)
    except urllib.error.HTTPError as refused:
        sys.stdout.write(refused.read().decode())
        return 1
    for name in ("faults", "listening", "opened", "closed", "reset", "failed", "bytes", "swallowed"):
        sys.stdout.write(f"{name:10} {json.dumps(state[name])}\n")
    for line in state["connections"]:
        if line["ended"] is None:
            sys.stdout.write(
                f"open       {line['number']} from {line['client']} {json.dumps(line['bytes'])}\n"
            )
    return 0


sys.exit(main(sys.argv[1:]))
