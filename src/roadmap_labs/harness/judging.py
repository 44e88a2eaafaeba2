"""Turns what pytest saw of one check into one verdict. Sends nothing anywhere."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from roadmap_labs.harness import channel
from roadmap_labs.harness.verdicts import Verdict, quote


@dataclass(frozen=True)
class Judged:
    """A verdict as it travels; `trace` stays out of it and is for the lab's author."""

    outcome: str
    code: str = ""
    message: str = ""
    expected: str = ""
    observed: str = ""
    look: str = ""
    hint: int | None = None
    trace: str = ""

    def fields(self) -> dict[str, Any]:
        found = asdict(self)
        del found["trace"]
        return found


# The words of pytest_timeout, the one place where the limit that held for a check can be read.
_TIME_UP = re.compile(r"Timeout \(>([0-9.]+)s\) from pytest-timeout")
_MACHINERY = ("/_pytest/", "/pluggy/", "/pytest_timeout")  # frames that tell an author nothing

SILENT = Judged("infra", "I-CHECKER", "The check ended without a verdict.")


def judge(error: BaseException, phase: str, seconds: float) -> Judged:
    """`phase` is setup, call or teardown; `seconds` is how long the check has run."""
    if isinstance(error, Verdict):
        return Judged(
            error.outcome, error.code, error.message, error.expected, error.observed, error.look, error.hint,
            trace=trace(error) if error.outcome == "infra" else "",
        )  # fmt: skip
    if isinstance(error, pytest.skip.Exception | pytest.xfail.Exception):
        return Judged("infra", "I-CHECKER", f"The check skipped itself, which no check may: {quote(error)}")
    if isinstance(error, pytest.fail.Exception) and (up := _TIME_UP.match(str(error))):
        return _too_long(error, float(up[1]), seconds)
    kind = type(error).__name__
    where = f" while it was set up or cleaned up ({phase})" if phase != "call" else ""
    said = "bare assertion (use fail(code, message, …))" if isinstance(error, AssertionError) else kind
    return Judged(
        "infra", "I-CHECKER", f"The check itself broke{where}: {said}: {quote(error)}", trace=trace(error)
    )


def _too_long(error: BaseException, limit: float, seconds: float) -> Judged:
    asked = _unanswered(error)
    if asked:
        message = f"roadmap-labs did not finish `{asked}` in the {limit:g} s that this check may take."
        return Judged("infra", "I-STATE", message, trace=trace(error))
    return Judged(
        "error",
        "L-TIME",
        f"The check was ended when its {limit:g} s were up: your program kept it waiting.",
        f"an answer before the {limit:g} s are up",
        f"still waiting after {seconds:.1f} s",
    )


def _unanswered(error: BaseException) -> str:
    """The verb that the orchestrator was asked for when the time was up, if it was."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__") == channel.__name__ and "verb" in frame.f_locals:
            return str(frame.f_locals["verb"])
    return ""


def trace(error: BaseException) -> str:
    """The traceback without pytest's own frames."""
    whole = traceback.TracebackException.from_exception(error)
    ours = [frame for frame in whole.stack if not any(name in frame.filename for name in _MACHINERY)]
    whole.stack = traceback.StackSummary.from_list(ours)
    return "".join(whole.format())[-8000:]


def blocked_by(needed: tuple[str, ...], outcomes: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """Why a check need not run, or nothing: a check that it needs was run before and did not pass."""
    for check in needed:
        if outcomes.get(check, "pass") != "pass":
            return f"Waits for “{titles.get(check, check)}” ({check}), which did not pass."
    return ""
