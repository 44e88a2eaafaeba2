"""`sim`: the admin side for fingers, inside the container. Knows nothing of what the words mean to the simulator.

sim                     whether it listens, its gates, how many requests
sim log [PATH]          the latest 20 requests, those whose target begins with PATH
sim counts [PATH]       how many, how many in progress now and at most at once
sim routes              all routes, first the one that is asked first
sim route '{"path": "/x", "status": 500}'      a new one in front
sim gate NAME '{"path": "/x/*"}'    closes a gate;   sim gates   shows all;   sim open NAME   opens one
sim refuse              nobody listens any more;   sim listen   again
sim reset               everything as it was at the start
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from typing import Any
from urllib.parse import quote


def ask(method: str, path: str, body: str | None = None) -> Any:
    """The JSON answer of the admin side; ends with exit code 1 where it is an error."""
    line = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("SIM_ADMIN_PORT", "9001")), timeout=10)
    token = os.environ.get("SIM_TOKEN")
    line.request(method, path, body, {"Authorization": f"Bearer {token}"} if token else {})
    reply = line.getresponse()
    found = json.loads(reply.read())
    if reply.status >= 300:
        sys.exit(f"sim: {found.get('reason') or found['error']}")
    return found


def main(words: list[str]) -> None:
    """Does what the words say and prints what comes back."""
    match words:
        case ["log", *path]:
            _log(path[0] if path else "")
        case ["counts", *path]:
            _show(ask("GET", f"/counts?path={quote(path[0]) if path else ''}"))
        case ["routes"]:
            _each(ask("GET", "/routes")["routes"])
        case ["route", route]:
            _show(ask("POST", "/routes", route))
        case ["gates"]:
            _each(ask("GET", "/gates")["gates"])
        case ["gate", name, pattern]:
            _show(ask("PUT", f"/gates/{quote(name, safe='')}", pattern))
        case ["open", name]:
            _show(ask("POST", f"/gates/{quote(name, safe='')}/open"))
        case ["refuse" | "listen" as word]:
            _show(ask("PUT", "/listener", json.dumps({"open": word == "listen"})))
        case ["reset"]:
            _show(ask("POST", "/reset"))
        case []:
            _show(ask("GET", "/"))
        case _:
            sys.exit((__doc__ or "").partition("\n\n")[2])


def _log(path: str) -> None:
    latest = ask("GET", "/counts")["sequence"]
    found = ask("GET", f"/log?path={quote(path)}&since={max(0, latest - 200)}")
    for one in found["requests"][-20:]:
        ago = found["now"] - one["arrived"]
        took = "" if one["ended"] is None else f" after {(one['ended'] - one['arrived']) * 1000:.0f} ms"
        how = f"{one['status'] or '-'} {one['outcome'] or 'in progress'}{took}"
        gate = f" (gate {one['gate']})" if one["gate"] else ""
        _line(f"#{one['sequence']}  {ago:.1f} s ago  {one['method']} {one['target']}  {how}{gate}")


def _each(found: list[Any]) -> None:
    for one in found:
        _show(one)


def _show(found: Any) -> None:
    _line(json.dumps(found))


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
