"""Asks the admin side of one of our own servers, in JSON, with the checker's password. Knows no server in particular.

Whatever goes wrong here is our fault, never the learner's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from roadmap_labs.harness import http
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke, quote

_NOTHING: Any = object()


@dataclass(frozen=True)
class Admin:
    """Where the admin side of a server answers, and the password that it wants."""

    name: str
    host: str
    port: int
    password: str = field(repr=False)

    def ask(self, method: str, path: str, wish: Any = _NOTHING) -> Any:
        """The JSON answer; a lab fault where there is none, or one with a status that is no success."""
        headers = {"Authorization": f"Bearer {self.password}"} if self.password else {}
        body = b"" if wish is _NOTHING else http.encode(wish)
        try:
            reply = http.request(self.name, self.host, self.port, method, path, headers=headers, body=body)
            found = reply.json if reply.body else None
        except LearnerBroke as broke:
            raise LabFault(
                f"The admin side of {self.name} gave no answer: {broke.message}", code="I-STATE"
            ) from None
        if not 200 <= reply.status < 300:
            raise LabFault(
                f"{self.name} refused the checks: {method} {path}: {reply.status} {quote(reply.body)}"
            )
        return found
