"""The outcomes of one judgement's checks, for whoever waits for one of another lane. Knows no stack, no process."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future

from roadmap_labs.model import Outcome


class Outcomes:
    """Every check has an outcome in the end; a lane that ends without one closes it as `infra`."""

    def __init__(self, checks: Iterable[str] = ()) -> None:
        self._outcomes: dict[str, Future[Outcome]] = {check: Future() for check in checks}

    def known(self) -> tuple[str, ...]:
        """The ids of all checks."""
        return tuple(self._outcomes)

    def tell(self, check: str, outcome: Outcome) -> None:
        """A check has its outcome; the first word stands."""
        future = self._outcomes.get(check)
        if future is not None and not future.done():
            future.set_result(outcome)

    def close(self, checks: Iterable[str]) -> None:
        """Nobody will tell of these any more."""
        for check in checks:
            self.tell(check, "infra")

    def wait_for(self, check: str) -> Outcome:
        """Its outcome, as soon as there is one; `KeyError` for a check that is not judged."""
        return self._outcomes[check].result()
