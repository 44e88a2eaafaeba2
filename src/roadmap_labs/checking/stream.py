"""Turns the checking process's stream of events into exactly one result for each promised check. Pure.

The manifest says which checks exist, never the stream. Silence, a crash, a doubled or an unknown line is never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from roadmap_labs.model import Check, CheckResult, Outcome

OUTCOMES: frozenset[str] = frozenset(("pass", "fail", "error", "blocked", "infra"))
_LONGEST = 4_000


@dataclass
class Ledger:
    """Results as they come in, in the order that the manifest promised."""

    checks: tuple[Check, ...]
    results: dict[str, CheckResult] = field(default_factory=dict)
    started: str = ""

    def accept(self, event: Mapping[str, Any]) -> CheckResult | None:
        """Take a "verdict" event in; None where it speaks of no promised check."""
        check = next((check for check in self.checks if check.id == event.get("check")), None)
        if check is None:
            return None
        result = _result(check, event)
        if check.id in self.results:
            result = CheckResult(check, "infra", "I-CHECKER", f"The checks gave two verdicts for {check.id}.")
        self.results[check.id] = result
        return result

    def replace(self, result: CheckResult) -> None:
        """Put a result in the place of the one that the stream gave."""
        self.results[result.check.id] = result

    def whole(
        self, missing: str, *, outcome: Outcome = "infra", code: str = "I-CHECKER"
    ) -> tuple[CheckResult, ...]:
        """All results; a check that has none gets this outcome, and `missing` says why."""
        return tuple(
            self.results.get(check.id)
            or CheckResult(check, outcome, code if outcome != "blocked" else "", missing)
            for check in self.checks
        )


def _result(check: Check, event: Mapping[str, Any]) -> CheckResult:
    outcome = event.get("outcome")
    if not isinstance(outcome, str) or outcome not in OUTCOMES:
        return CheckResult(
            check, "infra", "I-CHECKER", f"The checks gave no verdict that is known for {check.id}."
        )
    hint = event.get("hint")
    seconds = event.get("seconds")
    return CheckResult(
        check,
        cast(Outcome, outcome),
        code=_text(event, "code"),
        message=_text(event, "message"),
        expected=_text(event, "expected"),
        observed=_text(event, "observed"),
        look=_text(event, "look"),
        hint=hint if isinstance(hint, int) and not isinstance(hint, bool) and hint in (1, 2, 3) else None,
        seconds=float(seconds) if isinstance(seconds, float | int) and 0 <= seconds < 1e6 else 0.0,
    )


def _text(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    return value[:_LONGEST] if isinstance(value, str) else ""
