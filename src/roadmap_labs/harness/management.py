"""The management side of an AMQP broker, for what AMQP itself can't do: virtual hosts, rights, policies. Knows no lab.

    broker = lab.management("rabbitmq")
    broker.new_vhost("v1", user="paperboy")       for the checker and for this user
    broker.drop_vhost("v1")                       every connection to it is closed
    with broker.policy("v1", "^invoices$", {"max-length": 5, "overflow": "reject-publish"}):

Numbers that it could tell (messages, rates) are seconds old: ask `amqp.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote as escaped

from roadmap_labs.harness import http
from roadmap_labs.harness.service import Service
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke, quote

EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
POLICY = "of-a-check"


@dataclass(frozen=True)
class Management:
    """One broker's management side, with the checker's account."""

    service: Service

    def ask(self, method: str, path: str, wish: Mapping[str, Any] | None = None) -> Any:
        """One request below /api; a lab fault where it has no success."""
        one = self.service
        body = b"" if wish is None else http.encode(dict(wish))
        reply = self._request(method, path, body)
        if not 200 <= reply.status < 300:
            raise LabFault(
                f"{one.name} refused the checks: {method} {path}: {reply.status} {quote(reply.body)}"
            )
        return reply.json if reply.body else None

    def alarmed(self) -> bool:
        """Whether an alarm of memory or disk is in force now, so that the broker blocks publishers."""
        return self._request("GET", "/health/checks/local-alarms", b"").status != 200

    def _request(self, method: str, path: str, body: bytes) -> http.Reply:
        one = self.service
        host, port = one.ports["management"]
        account = base64.b64encode(f"{one.user}:{one.password}".encode()).decode()
        try:
            return http.request(
                one.name,
                host,
                port,
                method,
                f"/api{path}",
                headers={"Authorization": f"Basic {account}"},
                body=body,
            )
        except LearnerBroke as broke:
            raise LabFault(
                f"The management side of {one.name} gave no answer: {broke.message}", code="I-STATE"
            ) from None

    def new_vhost(self, name: str, *, user: str) -> None:
        """A new virtual host, in which this user may do everything, and the checker as well."""
        vhost = escaped(name, safe="")
        self.ask("PUT", f"/vhosts/{vhost}", {})
        for account in (user, self.service.user):
            self.ask("PUT", f"/permissions/{vhost}/{escaped(account, safe='')}", EVERYTHING)

    def drop_vhost(self, name: str) -> None:
        """Remove it with all that is in it; every connection to it is closed."""
        self.ask("DELETE", f"/vhosts/{escaped(name, safe='')}")

    @contextmanager
    def policy(self, vhost: str, pattern: str, definition: Mapping[str, Any]) -> Iterator[None]:
        """A policy for the queues whose names match, in force inside the block."""
        path = f"/policies/{escaped(vhost, safe='')}/{POLICY}"
        self.ask("PUT", path, {"pattern": pattern, "definition": dict(definition), "apply-to": "queues"})
        try:
            if self.ask("GET", path).get("definition") != dict(definition):
                raise LabFault(f"{self.service.name} does not show the policy that was set.")
            yield
        except BaseException:
            with suppress(LabFault):  # the check has its verdict; a second problem must not take its place
                self.ask("DELETE", path)
            raise
        self.ask("DELETE", path)
