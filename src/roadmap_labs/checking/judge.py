"""One judgement, whole: a fresh sealed stack, the checks against it, a report, and nothing left. Prints nothing.

`check`, `prove` and `grade` all come through here, so a verdict is the same wherever it is given.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from roadmap_labs import places
from roadmap_labs.checking.checker import Checker
from roadmap_labs.checking.desk import Desk, Refusal
from roadmap_labs.checking.stream import Ledger
from roadmap_labs.content.shelf import Lab
from roadmap_labs.errors import Problem
from roadmap_labs.model import Check, CheckResult, Report
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.running import Stack

CHECK_SECONDS = (
    60.0  # what one check may take, enforced inside; the outer limit allows all of them and the stack
)
_STACK_SECONDS = 180.0
_DESK = "roadmap-labs-desk-"
# Outcomes for which a role that ended by itself is the better explanation.
_EXPLAINED_BY_AN_END = frozenset(("fail", "error", "infra"))


@dataclass(frozen=True)
class Order:
    """What is to be judged: which checks of which lab, with which seed. Empty `checks` means all."""

    lab: Lab
    checks: tuple[Check, ...]
    seed: int
    fail_fast: bool = False
    time_factor: float = 1.0


@dataclass(frozen=True)
class Watcher:
    """Who is told while it goes on; all calls come from one thread.

    `begun` gets what ends the judgement early, `left` why something of the stack could not be removed.
    """

    started: Callable[[Check], None] = lambda check: None
    judged: Callable[[CheckResult], None] = lambda result: None
    begun: Callable[[Callable[[], None]], None] = lambda end_early: None
    left: Callable[[Problem], None] = lambda problem: None


def judge(order: Order, raise_stack: Callable[[], Stack], watcher: Watcher | None = None) -> Report:
    """Judge. `raise_stack` makes the stack (in a thread of its own, while the checks are being imported).

    The stack is removed whatever happens. A `Problem` while raising it becomes results with a code, not an exception;
    Ctrl-C goes through after everything has been removed.
    """
    began = time.monotonic()
    desk_folder = _desk_folder()
    pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="judge")
    checker = Checker(order.lab.checks_folder, pycache=places.cache() / "pycache", desk=desk_folder)
    stack = _Raising(pool, raise_stack)
    desk = Desk(stack.future)
    for role in order.lab.manifest.roles:
        pool.submit(_warm, desk, role)
    watcher = watcher or Watcher()
    try:
        watcher.begun(checker.kill)
        results = _listen(order, checker, desk, pool, watcher)
    finally:
        checker.end()
        try:
            stack.down()
        except Problem as problem:  # a verdict that was reached stays one
            watcher.left(problem)
        pool.shutdown(wait=True)
        shutil.rmtree(desk_folder, ignore_errors=True)
    return Report(order.lab.slug, order.lab.manifest.version, order.seed, time.monotonic() - began, results)


def _desk_folder() -> Path:
    """A folder of this judgement alone; those of processes that were killed go on the way."""
    for old in Path(tempfile.gettempdir()).glob(f"{_DESK}*-*"):
        pid = old.name.removeprefix(_DESK).partition("-")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(old, ignore_errors=True)
        except (ValueError, OverflowError, PermissionError):
            continue  # not ours
    return Path(tempfile.mkdtemp(prefix=f"{_DESK}{os.getpid()}-"))


def _warm(desk: Desk, role: str) -> None:
    """Raise the first replica before a check asks for it: every check begins with one."""
    with contextlib.suppress(Refusal):  # whoever asks for it gets the same answer
        desk.serve("run", {"role": role, "replicas": 1})


class _Raising:
    """A stack that is being raised in a thread, and that will be removed however far it came."""

    def __init__(self, pool: ThreadPoolExecutor, raise_stack: Callable[[], Stack]) -> None:
        self._stack: Stack | None = None
        self.future: Future[Stack] = pool.submit(self._up, raise_stack)

    def _up(self, raise_stack: Callable[[], Stack]) -> Stack:
        self._stack = raise_stack()
        self._stack.up()
        return self._stack

    def down(self) -> None:
        self.future.cancel()
        if not self.future.cancelled():
            self.future.exception()  # waits: what is half raised can't be removed yet
        if self._stack is not None:
            self._stack.down()


def _listen(
    order: Order, checker: Checker, desk: Desk, pool: ThreadPoolExecutor, watcher: Watcher
) -> tuple[CheckResult, ...]:
    ledger = Ledger(order.checks)
    by_id = {check.id: check for check in order.checks}
    limit = (_STACK_SECONDS + CHECK_SECONDS * len(order.checks)) * order.time_factor
    trouble: list[str] = []
    try:
        for message in checker.messages(time.monotonic() + limit):
            if "ask" in message:
                _answer(message, order, checker, desk, pool)
            elif message.get("event") == "started" and message.get("check") in by_id:
                ledger.started = str(message["check"])
                watcher.started(by_id[ledger.started])
            elif message.get("event") == "verdict":
                result = ledger.accept(message)
                desk.put_right(str(message.get("check")))
                if result is not None:
                    result = _explained(result, desk.ended_roles())
                    ledger.replace(result)
                    watcher.judged(result)
                    if order.fail_fast and result.outcome != "pass":
                        return ledger.whole(
                            "not run, because a check before it failed (--fail-fast)", outcome="blocked"
                        )
            elif message.get("event") == "problem":
                trouble.append(str(message.get("message", "")) + "\n" + str(message.get("trace", "")))
            elif message.get("event") == "finished":
                break
    except TimeoutError:
        trouble.append(f"The checks were not done after {limit:.0f} s.")
    desk.put_right(ledger.started)  # a checking process that died gave no verdict to do it after
    results = ledger.whole(_missing(ledger))
    if any(result.code == "I-CHECKER" for result in results):
        results = _with_log(results, trouble, checker.said())
    return results


def _answer(
    message: Mapping[str, Any], order: Order, checker: Checker, desk: Desk, pool: ThreadPoolExecutor
) -> None:
    ask, verb, arguments = message["ask"], str(message.get("verb")), message.get("arguments") or {}
    if verb == "hello":
        checker.reply(
            ask,
            ok={
                "seed": order.seed,
                "time_factor": order.time_factor,
                "lab": order.lab.slug,
                "ids": [check.id for check in order.checks],
                "check_seconds": CHECK_SECONDS,
            },
        )
        return

    turn = desk.turn

    def serve() -> None:
        try:
            checker.reply(ask, ok=desk.serve(verb, arguments, turn))
        except Refusal as refusal:
            checker.reply(ask, error=refusal.error)
        except Exception as error:  # noqa: BLE001 (a bug of ours: whoever asked must not wait for ever)
            said = f"roadmap-labs itself failed at '{verb}': {error!r}."
            checker.reply(ask, error=Refusal("I-ENGINE", said).error)

    pool.submit(serve)


def _explained(result: CheckResult, ended: tuple[RoleBroke, ...]) -> CheckResult:
    """A failure after which the learner's process is found dead is about that death."""
    if not ended or result.outcome not in _EXPLAINED_BY_AN_END:
        return result
    broke = ended[0]
    return replace(
        result,
        outcome="error",
        code=broke.code,
        message=broke.message,
        expected=broke.expected,
        observed=broke.observed,
        look="",
    )


def _missing(ledger: Ledger) -> str:
    if ledger.started and ledger.started not in ledger.results:
        return f"The checking process ended during {ledger.started}; this check has no verdict."
    return "The checking process ended before this check had a verdict."


def _with_log(results: tuple[CheckResult, ...], trouble: list[str], said: str) -> tuple[CheckResult, ...]:
    """Keep what the checking process said in a file, and name the file where the fault is ours."""
    file = places.state() / "logs" / f"checker-{time.strftime('%Y%m%d-%H%M%S')}.log"
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join([*trouble, said, ""]), encoding="utf-8")
    except OSError as error:
        raise Problem(f"The log {file} can't be written: {error}.") from error
    return tuple(
        replace(result, look=f"less {file}") if result.code == "I-CHECKER" and not result.look else result
        for result in results
    )
