"""The fares that were seen, and when. Knows nothing of partners."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

MOST = 10_000  # routes; those that nobody has seen for longest are forgotten first


class Memory:
    """The last fare of each route, each good for a limited time after it was received."""

    def __init__(self, max_age: float) -> None:
        self._max_age = max_age
        self._seen: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def keep(self, route: str, fare: Any) -> None:
        """This fare has just been received."""
        self._seen[route] = (time.monotonic(), fare)
        self._seen.move_to_end(route)
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)

    def forget(self, route: str) -> None:
        """The route does not exist any more."""
        self._seen.pop(route, None)

    def recall(self, route: str) -> Any:
        """The fare, or None where there is none that may be shown."""
        received, fare = self._seen.get(route, (0.0, None))
        return fare if time.monotonic() - received <= self._max_age else None
