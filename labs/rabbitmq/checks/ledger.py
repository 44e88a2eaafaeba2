"""Orders that are posted one after another while the broker is frozen and killed. Judges nothing."""

from __future__ import annotations

import threading
import time

from billing import Billing, Order, soon
from posting import DEADLINE

from roadmap_labs.harness import LearnerBroke, Role, waiting

POSTS, GAP, ACCEPTED = 60, 0.1, 10


class Ledger:
    """Orders that are posted one after another in a thread of their own, and which of them were answered with 202."""

    def __init__(self, billing: Billing, api: Role) -> None:
        self._billing, self._api = billing, api
        self._over = threading.Event()
        self._crew: threading.Thread | None = None
        self._orders = iter(billing.orders(2_000))
        self.posted = 0
        self.accepted: list[Order] = []
        self.under_way = threading.Event()  # a POST has been sent and is not answered

    def begin(self) -> None:
        self._crew = threading.Thread(target=self._post_on, daemon=True)
        self._crew.start()

    def _post_on(self) -> None:
        while not self._over.is_set():
            order = next(self._orders)
            try:
                self.under_way.set()
                reply = self._billing.post(self._api, order, DEADLINE)
            except LearnerBroke:
                reply = None
            finally:
                self.under_way.clear()
                self.posted += 1
            if reply is not None and reply.status == 202:
                self.accepted.append(order)
            self._over.wait(GAP)

    def enough(self) -> None:
        """Returns when there are enough posts and enough of them were accepted, or when it makes no sense to wait."""
        soon(lambda: self.posted >= POSTS and len(self.accepted) >= ACCEPTED, 10 / waiting.factor())
        soon(lambda: len(self.accepted) >= ACCEPTED, 10 / waiting.factor())

    def end(self) -> None:
        self._over.set()
        if self._crew is not None:
            self._crew.join(DEADLINE + 5)


def disturb(billing: Billing, ledger: Ledger) -> None:
    """Three times frozen for a second, once killed, in random order; killed while a POST waits."""
    lab = billing.lab
    steps = ["freeze", "freeze", "freeze", "kill"]
    billing.random.shuffle(steps)
    for step in steps:
        time.sleep(billing.random.uniform(0.2, 0.7))  # the moment is to be random
        if step == "freeze":
            with lab.paused("rabbitmq"):
                time.sleep(1.0)  # so long it is frozen, while orders are posted
            continue
        lab.pause("rabbitmq")
        soon(ledger.under_way.is_set, 2)
        time.sleep(0.2)  # what was on its way when it froze has arrived by now; nothing is decided by this
        lab.kill("rabbitmq")
        lab.start("rabbitmq")
