"""Raises the servers of a lab from nothing and uses each at once, as the learner's account and once only.

Whatever `up` calls ready has to answer a login and a real command the first time; nothing here tries again.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pg8000.native

from roadmap_labs.content import shelf
from roadmap_labs.content.rendering import starter_files
from roadmap_labs.content.submission import submission_of
from roadmap_labs.engine.owner import owner
from roadmap_labs.engine.protocol import Engine
from roadmap_labs.stack.assembly import gather, plans
from roadmap_labs.stack.network import Door
from roadmap_labs.stack.plan import CHECKER, ServicePlan, seat
from roadmap_labs.stack.running import Stack

LAB = "redis-caching"  # it has both servers; nothing of its own code is run here
_SECONDS = 5


@dataclass(frozen=True)
class ColdStart:
    """One stack: how long `up` took, and which servers it judged ready too early, with what they said."""

    seconds: float
    too_early: dict[str, str]


def starts(engine: Engine, folder: Path, run: str) -> Callable[[], ColdStart]:
    """What raises one stack after another, with images and plans made ready before the clock runs."""
    lab = shelf.load_lab(LAB)
    scaffold = shelf.load_scaffold(lab.manifest.scaffolds[0])
    files = submission_of(starter_files(lab, scaffold))
    gathered = gather(engine, lab, scaffold.name, files, lambda phase, step: None)

    def start() -> ColdStart:
        planned = replace(plans(lab, gathered, sealed=True), roles={})
        who = seat("check", lab, workspace="cold", folder=folder, run=run, owner=owner(), seconds=600)
        stack = Stack(engine, who, planned, images=gathered.common, sealed=True)
        began = time.monotonic()
        try:
            stack.up()
            seconds = time.monotonic() - began
            said = {plan.name: _use(plan, stack.doors[plan.name]) for plan in planned.services}
        finally:
            stack.down()
        return ColdStart(seconds, {name: what for name, what in said.items() if what})

    return start


def new_run() -> str:
    """An id for `starts`, to be given to a watchdog before."""
    return secrets.token_hex(5)


def _use(plan: ServicePlan, door: Door) -> str:
    """ "" where the server did what was asked, else what it said instead."""
    try:
        (_postgres if plan.manifest.ready == "postgres" else _redis)(plan, door)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is too early
        return f"{type(error).__name__}: {error}"
    return ""


def _postgres(plan: ServicePlan, door: Door) -> None:
    for user, password in ((plan.settings["user"], plan.password), (CHECKER, plan.checker_password)):
        connection = pg8000.native.Connection(
            user,
            host=door.host,
            port=door.port,
            password=password,
            database=plan.settings["database"],
            timeout=_SECONDS,
        )
        assert connection.run("SELECT count(*) > 0, pg_is_in_recovery() FROM shop.product") == [[True, False]]
        connection.close()


def _redis(plan: ServicePlan, door: Door) -> None:
    login = f"AUTH {CHECKER} {plan.checker_password}\r\n"
    wanted = b"+OK\r\n$4\r\nwarm\r\n:1\r\n"
    for lines, answer in (("", wanted), (login, b"+OK\r\n" + wanted)):
        commands = f"{lines}SET cold:start warm PX 60000\r\nGET cold:start\r\nDEL cold:start\r\n"
        with socket.create_connection((door.host, door.port), timeout=_SECONDS) as connection:
            connection.sendall(commands.encode())
            got = b""
            while len(got) < len(answer) and (piece := connection.recv(4096)):
                got += piece
        assert got == answer, got
