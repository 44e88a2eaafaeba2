"""Words for time: until something holds, as long as it holds. Knows nothing of what is watched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from roadmap_labs.harness.verdicts import CheckFailed, LabFault, quote

T = TypeVar("T")

_factor = 1.0


def set_factor(value: float) -> None:
    """How much slower than usual this machine may be; set once, by the plugin."""
    global _factor
    _factor = max(1.0, value)


def factor() -> float:
    """What every patient deadline is multiplied with."""
    return _factor


def eventually(
    condition: Callable[[], T],
    within: float,
    what: str,
    *,
    every: float = 0.02,
    code: str = "not-in-time",
    look: str = "",
    hint: int = 1,
) -> T:
    """The first true value of `condition`; a failed check when there is none in `within` seconds x time factor."""
    limit = within * _factor
    found = reached(condition, within, every=every)
    if found[0]:
        return found[1]
    raise CheckFailed(
        code, f"Waited {limit:g} s until {what}.", what, f"the last look saw {_seen(found[1])}", look, hint
    )


def reached(condition: Callable[[], T], within: float, *, every: float = 0.02) -> tuple[bool, T]:
    """Whether `condition` became true in `within` seconds x time factor, and what it gave last. Fails nothing."""
    for _ in _looks(within * _factor, every):
        value = condition()
        if value:
            return True, value
    return False, value


def settle(condition: Callable[[], T], within: float, what: str, *, every: float = 0.02) -> T:
    """As `eventually`, but for our own tools: a lab fault when it does not come true."""
    done, value = reached(condition, within, every=every)
    if not done:
        raise LabFault(f"Waited {within * _factor:g} s until {what}; the last look saw {_seen(value)}.")
    return value


def always(
    condition: Callable[[], Any],
    during: float,
    what: str,
    *,
    every: float = 0.02,
    code: str = "did-not-stay",
    look: str = "",
    hint: int = 1,
) -> None:
    """A failed check as soon as `condition` is not true; it is looked at from now on for `during` seconds."""
    for after in _looks(during, every):
        value = condition()
        if not value:
            raise CheckFailed(
                code,
                f"Watched for {during:g} s whether {what}.",
                what,
                f"after {after:.2f} s: {_seen(value)}",
                look,
                hint,
            )


def never(
    condition: Callable[[], Any],
    during: float,
    what: str,
    *,
    every: float = 0.02,
    code: str = "happened",
    look: str = "",
    hint: int = 1,
) -> None:
    """A failed check as soon as `condition` is true; `what` names the thing that must not happen."""
    seen: list[Any] = []

    def quiet() -> bool:
        seen[:] = [condition()]
        return not seen[0]

    try:
        always(quiet, during, what, every=every, code=code, look=look, hint=hint)
    except CheckFailed as error:
        when = error.observed.partition(":")[0]
        raise CheckFailed(
            code, f"Watched for {during:g} s.", f"never {what}", f"{when}: {_seen(seen[0])}", look, hint
        ) from None


def at_most(
    limit: int,
    count: Callable[[], int],
    during: float,
    what: str,
    *,
    every: float = 0.02,
    code: str = "too-many",
    look: str = "",
    hint: int = 1,
) -> int:
    """The highest `count` seen for `during` seconds; a failed check as soon as it is above `limit`."""
    highest = 0
    for _ in _looks(during, every):
        highest = max(highest, count())
        if highest > limit:
            raise CheckFailed(
                code, f"Counted {what} for {during:g} s.", f"at most {limit}", f"{highest}", look, hint
            )
    return highest


def _looks(seconds: float, every: float) -> Iterator[float]:
    """One turn for each look, with the seconds since the first; the last one comes when the time is over."""
    began = time.monotonic()
    while True:
        after = time.monotonic() - began
        yield after
        if after >= seconds:
            return
        time.sleep(every)  # between two looks, not instead of one


def _seen(value: Any) -> str:
    return quote(repr(value))
