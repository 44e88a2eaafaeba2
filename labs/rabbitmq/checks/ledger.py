"""Orders that are posted one after another while the broker is frozen and killed. Judges nothing."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from billing import Billing, Order, soon
from posting import DEADLINE

from roadmap_labs.harness import LearnerBroke, Role, waiting

POSTS, GAP, ACCEPTED = 60, 0.1, 10
# What hangs when the broker is killed must end by that, and not because its time was up before.
PATIENT_MS = 10_000


class Ledger:
    """Orders that are posted one after another in a thread of their own, and which of them were answered with 202."""

    def __init__(self, billing: Billing, api: Role) -> None:
        self._billing, self._api = billing, api
        self._over = threading.Event()
        self._crew: threading.Thread | None = None
        self._orders = iter(billing.orders(2_000))
        self._turn = threading.Lock()  # held while a POST is under way
        self._began = 0.0  # when it was sent; 0 while none is
        self._took: list[float] = []  # seconds, of those that were accepted
        self.posted = 0
        self.accepted: list[Order] = []

    def begin(self) -> None:
        self._crew = threading.Thread(target=self._post_on, daemon=True)
        self._crew.start()

    def _post_on(self) -> None:
        while not self._over.is_set():
            order = next(self._orders)
            with self._turn:
                self._began = time.monotonic()
                try:
                    reply = self._billing.post(self._api, order, DEADLINE)
                except LearnerBroke:
                    reply = None
                self.posted += 1
                if reply is not None and reply.status == 202:
                    self._took.append(time.monotonic() - self._began)
                    self.accepted.append(order)
                self._began = 0.0
            self._over.wait(GAP)

    def accepts(self) -> bool:
        """Whether one more is accepted soon."""
        before = len(self.accepted)
        return soon(lambda: len(self.accepted) > before, 10)

    @contextmanager
    def between(self) -> Iterator[None]:
        """No POST is under way inside the block, unless one takes very long; the next one begins after it."""
        taken = self._turn.acquire(timeout=5)
        try:
            yield
        finally:
            if taken:
                self._turn.release()

    def hangs(self) -> bool:
        """Whether a POST has been under way for much longer than one takes while all is well."""
        usual = statistics.median(self._took) if self._took else 0.0
        patience = min(max(0.2, 3 * usual), 1.0)
        return 0 < self._began < time.monotonic() - patience

    def enough(self) -> None:
        """Returns when there are enough posts and enough of them were accepted, or when it makes no sense to wait."""
        soon(lambda: self.posted >= POSTS and len(self.accepted) >= ACCEPTED, 10 / waiting.factor())
        soon(lambda: len(self.accepted) >= ACCEPTED, 10 / waiting.factor())

    def end(self) -> None:
        self._over.set()
        if self._crew is not None:
            self._crew.join(DEADLINE + 5)


def disturb(billing: Billing, ledger: Ledger) -> None:
    """Three times frozen for a second, once killed, in random order.

    It is killed with an order on the way: from a moment between two POSTs of a service that is well, what that sends is
    lost, and the broker is killed when the next POST hangs. To freeze the broker instead would not do: killed, it
    thaws, and until its first process has taken the others along it reads the order and may save it.
    """
    lab = billing.lab
    steps = ["freeze", "freeze", "freeze", "kill"]
    billing.random.shuffle(steps)
    for step in steps:
        time.sleep(billing.random.uniform(0.2, 0.7))  # the moment is to be random
        if step == "freeze":
            with lab.paused("rabbitmq"):
                time.sleep(1.0)  # so long it is frozen, while orders are posted
            continue
        ledger.accepts()
        with ledger.between():
            billing.fault.break_by(swallow="up")
        soon(ledger.hangs, 4)
        lab.kill("rabbitmq")
        billing.fault.mend()  # and with it the connection breaks, if the end of the broker has not broken it yet
        lab.start("rabbitmq")
