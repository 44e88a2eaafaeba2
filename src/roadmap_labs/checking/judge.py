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
from roadmap_labs.checking.outcomes import Outcomes
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
# Codes of an answer that did not come, or not whole; the latter perhaps because the program is just dying.
_HUNG_UP = frozenset(("L-PORT", "L-HTTP"))
_SILENT = _HUNG_UP | {"L-TIME"}


def keep_nothing(result: CheckResult) -> bool:
    """Keep nothing."""
    del result
    return False


@dataclass(frozen=True)
class Order:
    """What is to be judged: which checks of which lab, with which seed. Empty `checks` means all.

    The first result that `keep` says yes to ends it, and the stack stays as it is, for a look.
    """

    lab: Lab
    checks: tuple[Check, ...]
    seed: int
    fail_fast: bool = False
    time_factor: float = 1.0
    keep: Callable[[CheckResult], bool] = keep_nothing


@dataclass(frozen=True)
class Watcher:
    """Who is told while it goes on; all calls come from one thread.

    `begun` gets what ends the judgement early, `left` why something of the stack could not be removed, `kept` the
    stack that stays up for a look.
    """

    started: Callable[[Check], None] = lambda check: None
    judged: Callable[[CheckResult], None] = lambda result: None
    begun: Callable[[Callable[[], None]], None] = lambda end_early: None
    left: Callable[[Problem], None] = lambda problem: None
    kept: Callable[[Stack], None] = lambda stack: None


def judge(
    order: Order,
    raise_stack: Callable[[], Stack],
    watcher: Watcher | None = None,
    outcomes: Outcomes | None = None,
) -> Report:
    """Judge. `raise_stack` makes the stack (in a thread of its own, while the checks are being imported).

    The stack is removed whatever happens, unless it is to be kept. A `Problem` while raising it becomes results with a
    code, not an exception; Ctrl-C goes through after everything has been removed. `outcomes` are those of all lanes,
    where this is one of several.
    """
    began = time.monotonic()
    desk_folder = _desk_folder()
    pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="judge")
    checker = Checker(order.lab.checks_folder, pycache=places.cache() / "pycache", desk=desk_folder)
    stack = _Raising(pool, raise_stack)
    desk = Desk(stack.future)
    for name, role in order.lab.manifest.roles.items():
        if role.prestart:
            pool.submit(_warm, desk, name)
    run = _Run(order, checker, desk, pool, watcher or Watcher(), outcomes or Outcomes())
    try:
        run.watcher.begun(checker.kill)
        results = run.listen()
    finally:
        checker.end()
        try:
            stack.keep(run.watcher) if run.kept else stack.down()
        except Problem as problem:  # a verdict that was reached stays one
            run.watcher.left(problem)
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

    def keep(self, watcher: Watcher) -> None:
        """Leave it up; what never came up is removed as ever."""
        if not self.future.done() or self.future.exception() is not None or self._stack is None:
            self.down()
            return
        self._stack.keep()
        watcher.kept(self._stack)

    def down(self) -> None:
        self.future.cancel()
        if not self.future.cancelled():
            self.future.exception()  # waits: what is half raised can't be removed yet
        if self._stack is not None:
            self._stack.down()


class _Run:
    """What the lines of one checking process are answered with, and what they add up to."""

    def __init__(
        self,
        order: Order,
        checker: Checker,
        desk: Desk,
        pool: ThreadPoolExecutor,
        watcher: Watcher,
        outcomes: Outcomes,
    ) -> None:
        self.order, self.checker, self.desk, self.pool = order, checker, desk, pool
        self.watcher, self.outcomes = watcher, outcomes
        self.ledger = Ledger(order.checks)
        self.kept = False
        self._checks = {check.id: check for check in order.checks}
        self._trouble: list[str] = []

    def listen(self) -> tuple[CheckResult, ...]:
        """Follow the checking process to its end; one result for each check of the order."""
        order, ledger = self.order, self.ledger
        limit = (_STACK_SECONDS + CHECK_SECONDS * len(order.checks)) * order.time_factor
        try:
            for message in self.checker.messages(time.monotonic() + limit):
                if "ask" in message:
                    self._answer(message)
                    continue
                last = self._hear(message)
                if last is not None:
                    return last
                if message.get("event") == "finished":
                    break
        except TimeoutError:
            self._trouble.append(f"The checks were not done after {limit:.0f} s.")
        self.desk.put_right(ledger.started)  # a checking process that died gave no verdict to do it after
        results = ledger.whole(_missing(ledger))
        if any(result.code == "I-CHECKER" for result in results):
            results = _with_log(results, self._trouble, self.checker.said())
        return results

    def _hear(self, message: Mapping[str, Any]) -> tuple[CheckResult, ...] | None:
        """Take one event in; the results, where it is the last that matters."""
        check = str(message.get("check"))
        match message.get("event"):
            case "started" if check in self._checks:
                self.ledger.started = check
                self.watcher.started(self._checks[check])
            case "verdict":
                return self._verdict(check, self.ledger.accept(message))
            case "problem":
                self._trouble.append(f"{message.get('message', '')}\n{message.get('trace', '')}")
        return None

    def _verdict(self, check: str, result: CheckResult | None) -> tuple[CheckResult, ...] | None:
        if result is not None:
            broken = self.desk.broken_roles(silent=result.code in _SILENT, hung_up=result.code in _HUNG_UP)
            result = _explained(result, broken)
            self.ledger.replace(result)
            self.outcomes.tell(check, result.outcome)
            self.kept = self.order.keep(result)
        if not self.kept:
            self.desk.put_right(check)
        if result is None:
            return None
        self.watcher.judged(result)
        if self.kept:
            return self.ledger.whole(
                "not run, because the stack is kept as it is (--keep)", outcome="blocked"
            )
        if self.order.fail_fast and result.outcome != "pass":
            return self.ledger.whole(
                "not run, because a check before it failed (--fail-fast)", outcome="blocked"
            )
        return None

    def _answer(self, message: Mapping[str, Any]) -> None:
        ask, verb, arguments = message["ask"], str(message.get("verb")), message.get("arguments") or {}
        if verb == "hello":
            self.checker.reply(ask, ok=self._hello())
            return
        turn = self.desk.turn

        def serve() -> None:
            try:
                if verb == "outcome":
                    self.checker.reply(ask, ok={"outcome": self.outcomes.wait_for(str(arguments["check"]))})
                else:
                    self.checker.reply(ask, ok=self.desk.serve(verb, arguments, turn))
            except Refusal as refusal:
                self.checker.reply(ask, error=refusal.error)
            except Exception as error:  # noqa: BLE001 (a bug of ours: whoever asked must not wait for ever)
                said = f"roadmap-labs itself failed at '{verb}': {error!r}."
                self.checker.reply(ask, error=Refusal("I-ENGINE", said).error)

        self.pool.submit(serve)

    def _hello(self) -> dict[str, object]:
        here = [check.id for check in self.order.checks]
        return {
            "seed": self.order.seed,
            "time_factor": self.order.time_factor,
            "lab": self.order.lab.slug,
            "ids": here,
            "elsewhere": [check for check in self.outcomes.known() if check not in here],
            "check_seconds": CHECK_SECONDS,
        }


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
