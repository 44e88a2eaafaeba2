"""The pytest plug-in: takes the selection from the orchestrator, streams every verdict back.

Knows nothing of any lab. Whatever is not a clear pass is not a pass.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Generator
from typing import Any, cast

import pytest

from roadmap_labs.harness import channel, waiting
from roadmap_labs.harness.judging import SILENT, Judged, blocked_by, judge, trace
from roadmap_labs.harness.lab import Lab, Stage
from roadmap_labs.harness.verdicts import Blocked, quote

PREFIX = "test_"
NAME = "roadmap-labs-run"


class Run:
    """What one pytest process remembers: the selection, the verdicts so far."""

    def __init__(self, wire: channel.Channel) -> None:
        self.channel = wire
        hello = wire.ask("hello")
        self.ids = tuple(hello.get("ids") or ())
        self.elsewhere = frozenset(
            hello.get("elsewhere") or ()
        )  # judged side by side with these, in another process
        self.factor = float(hello.get("time_factor") or 1.0)
        self.stage = Stage(wire, int(hello.get("seed") or 0))
        self.titles: dict[str, str] = {}
        self.outcomes: dict[str, str] = {}
        self.judged: Judged | None = None
        self.started = 0.0
        self.warming = threading.Thread(target=self._warm, name="warming", daemon=True)

    def _warm(self) -> None:
        """Pays for imports and for the wait for the servers while pytest collects."""
        import pg8000.native  # noqa: F401

        with contextlib.suppress(Exception):  # asked again by the first check that needs it, and told there
            _ = self.stage.services

    # -- collection

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        self._inspect(items)
        wanted = set(self.ids)
        chosen = [item for item in items if not wanted or _check(item) in wanted]
        dropped = [item for item in items if wanted and _check(item) not in wanted]
        for check in wanted - {_check(item) for item in items}:
            self.problem(
                f"The check {quote(check)} was asked for, but no function {PREFIX}{quote(check)} exists."
            )
        for item in chosen:
            self._stretch(item)
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        items[:] = chosen

    def _inspect(self, items: list[pytest.Item]) -> None:
        known = {_check(item) for item in items}
        for item in items:
            check = _check(item)
            title = (getattr(getattr(item, "function", None), "__doc__", None) or "").strip().split("\n")[0]
            if not title:
                self.problem(f"The check {check} has no docstring; its first line is what the learner reads.")
            if check in self.titles or hasattr(item, "callspec"):
                self.problem(
                    f"The check {check} exists more than once; a check is one function, never parametrised."
                )
            missing = [need for need in _needed(item) if need not in known]
            late = [need for need in _needed(item) if need in known and need not in self.titles]
            if missing or late:
                named = ", ".join(missing + late)
                self.problem(f"The check {check} needs {named}, which must exist and stand before it.")
            self.titles[check] = title or check

    def _stretch(self, item: pytest.Item) -> None:
        mark = item.get_closest_marker("timeout")
        if mark and mark.args and self.factor > 1:
            item.add_marker(pytest.mark.timeout(float(mark.args[0]) * self.factor), append=False)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.channel.tell("collected", checks=[_check(item) for item in session.items])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problem(
                f"{report.nodeid or 'The folder of checks'} can't be collected.", str(report.longrepr)
            )

    def pytest_internalerror(self, excrepr: Any) -> None:
        self.problem("pytest itself broke.", str(excrepr))

    def problem(self, message: str, trace: str = "") -> None:
        self.channel.tell("problem", message=message, trace=trace[-8000:])

    # -- running

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """The servers' start must not be charged to the first check's time."""
        if session.items and not session.testsfailed:
            self.warming.join()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        check = _check(item)
        # Outside of every time limit: what another lane still has to find out is not this check's time.
        for need in self.elsewhere.intersection(_needed(item)) - self.outcomes.keys():
            self.outcomes[need] = str(self.channel.ask("outcome", check=need)["outcome"])
        self.judged, self.started = None, time.monotonic()
        self.channel.tell("started", check=check)
        try:
            return (yield)
        finally:
            self._conclude(check, sys.exc_info()[1])

    def _conclude(self, check: str, ending: BaseException | None) -> None:
        judged = self.judged or SILENT
        if ending is not None and judged.outcome in ("pass", SILENT.outcome):
            judged = Judged(
                "infra", "I-CHECKER", f"The check was ended from outside: {type(ending).__name__}."
            )
        self.outcomes[check] = judged.outcome
        if judged.trace:
            self.problem(f"{check}: {judged.message}", judged.trace)
        seconds = round(time.monotonic() - self.started, 3)
        self.channel.tell("verdict", check=check, **judged.fields(), seconds=seconds)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        reason = blocked_by(_needed(item), self.outcomes, self.titles)
        if reason:
            raise Blocked(reason)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        error = call.excinfo.value if call.excinfo else None
        if error is not None and (self.judged is None or self.judged.outcome == "pass"):
            self.judged = judge(error, call.when, time.monotonic() - self.started)
        elif call.when == "call" and self.judged is None:
            self.judged = Judged("pass")
        return (yield)

    def pytest_sessionfinish(self) -> None:
        self.channel.tell("finished")


_early: dict[str, channel.Channel] = {}


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """The channel is open before the first line of a lab's code runs, so that even a broken conftest is told."""
    wire = _early["channel"] = channel.connect()
    # importlib mode gives checks no siblings; last on the path, the folder can hide nothing.
    sys.path.append(str(early_config.rootpath))
    try:
        return (yield)
    except Exception as error:
        wire.tell("problem", message="The checks' conftest.py can't be loaded.", trace=trace(error))
        wire.tell("finished")
        raise


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*checks): says nothing new when one of these did not pass")
    run = Run(_early.pop("channel"))
    waiting.set_factor(run.factor)
    if config.getvalue("timeout") is None:
        config.option.timeout = float(config.getini("timeout") or 60) * run.factor
    config.pluginmanager.register(run, NAME)
    run.warming.start()


@pytest.fixture(scope="session")
def stage(pytestconfig: pytest.Config) -> Stage:
    """What all checks of the run share; for fixtures that live as long as the run."""
    run = pytestconfig.pluginmanager.get_plugin(NAME)
    return cast(Run, run).stage


@pytest.fixture
def lab(stage: Stage, request: pytest.FixtureRequest) -> Lab:
    """The running system, as one check sees it."""
    return Lab(stage, _check(request.node))


def _check(item: pytest.Item) -> str:
    return getattr(item, "originalname", item.name).removeprefix(PREFIX)


def _needed(item: pytest.Item) -> tuple[str, ...]:
    return tuple(name for mark in item.iter_markers("needs") for name in mark.args)
