"""Readers that are kept waiting at a closed gate. Judges nothing but that they ask and are answered."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial

from shop import Shop

from roadmap_labs.harness import LabFault, LearnerBroke, Reply, Role, fail, held, quote
from roadmap_labs.harness.crowd import Held
from roadmap_labs.harness.gates import Gate, GateWords, RowLock, Waiter, closed, locked
from roadmap_labs.harness.waiting import factor, settle

HELD_SECONDS = 55.0  # what a request that is held may take in all; a check takes 60 s at most
ANSWER_SECONDS = 15.0  # for whoever was held, after the gate was opened; the solution needs 0.1 s
FIRST_WAITER = 15.0  # seconds for a cold read to reach the database; the solution needs 0.01 s

_WORDS = GateWords(
    close="select lab.close_gate(cast(:product as bigint), cast(:mode as text))",
    open="call lab.open_gate(cast(:product as bigint))",
    waiters="select pid, coalesce(host(client_addr), ''), usename from lab.waiter where product_id = :product",
    pass_through="select lab.product_card(cast(:product as bigint), 'EUR')",
)

SEE_WAITERS = (
    "echo \"select pid, client_addr, wait_event_type, left(query, 50) from pg_stat_activity where usename = 'catalog'\""
    " | roadmap-labs shell postgres"
)


def gate(shop: Shop, product: int, mode: str = "wait") -> AbstractContextManager[Gate]:
    """The card query of this product stops at its end, until the gate is opened. `raise`: then it fails, once."""
    return closed(shop.sql, _WORDS, product=product, mode=mode)


def row_lock(shop: Shop, product: int) -> AbstractContextManager[RowLock]:
    """Nobody can change the row of this product; it can be read as it is."""
    return locked(
        shop.sql,
        "select 1 from shop.product where id = cast(:product as bigint) for update",
        product=product,
    )


class Crowd:
    """GETs of one product that are under way on some replicas."""

    def __init__(
        self, shop: Shop, readers: Sequence[Role], product: int, currency: str | None = None
    ) -> None:
        self.sent = 0
        self._counting = threading.Lock()
        ask = partial(self._get, path=shop.path(product, currency))
        self.held: Held[Reply] = held([partial(ask, role) for role in readers])
        self.readers = readers

    def _get(self, role: Role, path: str) -> Reply:
        return role.get(path, within=HELD_SECONDS * factor(), sent=self._count)

    def _count(self) -> None:
        with self._counting:
            self.sent += 1

    def arrive(self) -> None:
        """The barrier: every request has been sent, and each replica has since answered another one.

        What a service asks Redis for is no barrier: one that joins equal requests in memory asks once for all of them,
        and is right. So the crowd counts as being inside when its bytes are on their way and a request that came later
        has been answered; who is slower than that still has all the time that the waiters are watched. No verdict
        depends on it: a crowd that comes late can only hide something, and the calls are counted to the end.
        """
        settle(lambda: self.sent + self.held.ended >= len(self.readers), 20, "all requests had been sent")
        for role in {role.name: role for role in self.readers}.values():
            role.get("/healthz", within=20 * factor())

    def answers(self, within: float = ANSWER_SECONDS) -> list[Reply]:
        """All answers; ends the check when one of them does not come."""
        replies = []
        for role, result in zip(self.readers, self.held.results(within * factor()), strict=True):
            if isinstance(result, LearnerBroke):
                raise result
            if isinstance(result, TimeoutError):
                fail(
                    "request-hangs",
                    f"{len(self.readers)} requests for one card were waiting when its card query could go on. "
                    f"One on {role.name} had no answer {within * factor():.0f} s later.",
                    expected="an answer to every request",
                    observed=f"{self.held.ended} of {len(self.readers)} were answered",
                    look=SEE_WAITERS,
                    hint=2,
                )
            if isinstance(result, Exception):
                raise LabFault(f"A request of the checks broke: {quote(result)}")
            replies.append(result)
        return replies


def first_waiter(closed: Gate, product: int) -> Waiter:
    """Whoever loads the product; ends the check when nobody does."""
    waiters = closed.held(1, FIRST_WAITER)
    if not waiters:
        fail(
            "nobody-loads",
            f"Product {product} is not in the cache and was asked for.",
            expected="the card query reaches PostgreSQL",
            observed=f"no card query of it in {FIRST_WAITER * factor():.0f} s",
            look=SEE_WAITERS,
            hint=2,
        )
    return waiters[0]
