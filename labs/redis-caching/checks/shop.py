"""The vocabulary of the redis-caching checks: products, cards, keys, warm and cold. Judges nothing by itself, except
that a card that is read on the way must be the right one."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any

from roadmap_labs.harness import (
    Lab,
    LabFault,
    Reply,
    Role,
    difference,
    fail,
    quote,
    seeded,
    strictjson,
    waiting,
)
from roadmap_labs.harness.postgres import Postgres
from roadmap_labs.harness.redis import Redis
from roadmap_labs.harness.statements import Ran

PREFIX = "catalog:"  # the defaults of the contract; T1 and T2 run with them
TTL_SECONDS = 300
JITTER = 0.2
NEGATIVE_TTL_SECONDS = 30
# LOCK_TTL_MS where a lock has to run out: long enough for the steps between two ends on a busy machine. What comes
# after that, in T4 and T5, has no wish of its own and takes the same, so that nothing has to be started anew.
SHORT_LOCK_MS = 1_500
CURRENCIES = ("EUR", "USD", "GBP")
HIGHEST_ID = 9_223_372_036_854_775_807
CARD_QUERY = r"\bproduct_card\b"

SEE_REDIS = "roadmap-labs shell redis redis-cli monitor"
SEE_KEYS = f"roadmap-labs shell redis redis-cli --scan --pattern '{PREFIX}*'"
SEE_STATEMENTS = (
    'echo "select calls, query from pg_stat_statements order by 1 desc limit 5" | roadmap-labs shell postgres'
)


class Shelf:
    """Products in random order; what one check took, no other check of the run gets."""

    def __init__(self, lab: Lab) -> None:
        self._turn = threading.Lock()
        self._sql = lab.sql("postgres")
        rows = self._sql.rows(
            "select id, price_cents, (price_cents >= 100 and description is null) as bare,"
            " (price_cents >= 100 and price_cents % 10 = 0) as round, price_cents >= 100 as priced"
            " from shop.product order by id"
        )
        lab.random.shuffle(rows)
        self._rows = rows

    def take(self, count: int, kind: str = "any") -> list[int]:
        """Fresh ids: of any product, or of one that is `bare` (no description), `round` (12.50) or `priced`."""
        column = {"any": None, "bare": 2, "round": 3, "priced": 4}[kind]
        with self._turn:
            found = [row for row in self._rows if column is None or row[column]][:count]
            if len(found) < count:
                raise LabFault(f"The shop has not enough products left: {count} of kind '{kind}' wanted.")
            self._rows = [row for row in self._rows if row not in found]
        return [int(row[0]) for row in found]


class Shop:
    """What one check sees of the shop."""

    def __init__(self, lab: Lab, shelf: Shelf) -> None:
        self.lab = lab
        self.shelf = shelf
        self.random: random.Random = lab.random
        self.sql: Postgres = lab.sql("postgres")

    # -- the system

    @property
    def redis(self) -> Redis:
        """The cache; asked for each time, because a check may have started it anew."""
        return self.lab.redis("redis")

    def catalog(self, **environment: object) -> Role:
        """One replica of the service, with these variables changed."""
        return self.lab.run("catalog", environment={name: str(value) for name, value in environment.items()})

    def pair(self, **environment: object) -> tuple[Role, Role]:
        """Two replicas of the service, with these variables changed."""
        changed = {name: str(value) for name, value in environment.items()}
        first, second = self.lab.replicas("catalog", 2, environment=changed)
        return first, second

    # -- products

    def product(self, kind: str = "priced") -> int:
        """The id of a product that nobody has asked for in this run."""
        return self.shelf.take(1, kind)[0]

    def products(self, count: int, kind: str = "any") -> list[int]:
        """Several of them."""
        return self.shelf.take(count, kind)

    def family(self, count: int) -> tuple[int, list[int]]:
        """A product, and `count` others whose ids begin with its own."""
        first = self.planted()
        return first, [self.planted(first * 10 + last) for last in range(count)]

    def planted(self, number: int | None = None) -> int:
        """A product that the checks have just put into the database, with values that nobody has seen before."""
        body = self.new_product(number or self.unknown_id())
        self.sql.rows(
            "insert into shop.product (id, sku, name, price_cents, stock, version)"
            " values (:id, :sku, :name, :price_cents, :stock, :version)",
            **body,
            version=self.random.randint(2, 900),
        )
        return int(body["id"])

    def unknown_id(self) -> int:
        """An id that no product has."""
        while True:
            number = self.random.randint(10**7, 10**12)
            if not self.sql.rows("select 1 from shop.product where id = :id", id=number):
                return number

    def new_product(self, number: int) -> dict[str, Any]:
        """The body of a POST, with values that nobody has seen before."""
        return {
            "id": number,
            "sku": f"NEW-{seeded.nonce(self.random)}",
            "name": seeded.name(self.random),
            "price_cents": seeded.cents(self.random, 100),
            "stock": self.random.randint(0, 500),
        }

    def card(self, product: int, currency: str = "EUR") -> Any:
        """The card as PostgreSQL makes it now, read with the checks' own account."""
        text = self.sql.value(
            "select lab.product_card(cast(:id as bigint), cast(:currency as text))::text",
            id=product,
            currency=currency,
        )
        if text is None:
            raise LabFault(f"PostgreSQL has no card of product {product} in {currency}.")
        return strictjson.parse(str(text).encode())

    # -- requests

    @staticmethod
    def path(product: int | str, currency: str | None = None) -> str:
        return f"/products/{product}" + (f"?currency={currency}" if currency else "")

    def read(self, role: Role, product: int, currency: str | None = None, *, hint: int = 1) -> Reply:
        """GET a card that exists; ends the check when it is not answered with 200 and the right card."""
        reply = role.get(self.path(product, currency))
        expect_status(reply, 200)
        wrong = difference(self.card(product, currency or "EUR"), reply.json)
        if wrong:
            fail(
                "wrong-card",
                f"{reply.asked} answered a card that is not the one in PostgreSQL.",
                expected="the JSON that lab.product_card gives, value by value, type by type",
                observed=wrong,
                look=see_card(product, currency or "EUR"),
                hint=hint,
            )
        return reply

    def warm(self, role: Role, *products: int) -> dict[int, Any]:
        """Read cards once, and give a service that stores them after the answer a moment to do so."""
        cards = {product: self.read(role, product).json for product in products}
        self.arrived([self.key(product) for product in products])
        return cards

    # -- the cache

    @staticmethod
    def key(product: int, currency: str = "EUR") -> str:
        """Where the contract says that a card lives."""
        return f"{PREFIX}card:{product}:{currency}"

    def arrived(self, keys: Sequence[str], within: float = 1.0) -> bool:
        """Whether all keys are in Redis, soon."""
        return waiting.reached(lambda: self.redis.ask("EXISTS", *keys) == len(keys), within, every=0.01)[0]

    def must_arrive(self, keys: Sequence[str], done: str) -> None:
        """Ends the check when a card that was read is not in Redis at its key."""
        if self.arrived(keys, 2.0):
            return
        missing = next(key for key in keys if not self.redis.exists(key))
        there = self.redis.scan(f"{PREFIX}*")
        shown = ", ".join(quote(key, 60) for key in there[:3])
        fail(
            "no-card-in-redis",
            done,
            expected=f"the key {missing} in Redis",
            observed=f"no such key; {len(there)} keys begin with {PREFIX}"
            + (f", among them {shown}" if there else ""),
            look=SEE_KEYS,
            hint=3,
        )

    def counting_works(self, role: Role) -> None:
        """Ends the check unless PostgreSQL counts what this service asks: a card that is new to all must cost a call.

        A statement that is still open when its connection is closed is never counted.
        """
        self.sql.proves_itself()
        product = self.planted()
        before = self.sql.snapshot()
        self.read(role, product)
        ran = self.sql.ran_since(before)
        if not self.card_calls(ran):
            fail(
                "transaction-left-open",
                f"Product {product} was put into the database and read at once, but PostgreSQL saw no card query end. "
                "Does the service close its connection inside a transaction?",
                expected="1 call of the card query that ended, by COMMIT, ROLLBACK or autocommit",
                observed=str(ran),
                look=SEE_STATEMENTS,
                hint=None,
            )

    def card_calls(self, ran: Ran) -> int:
        """How often the card query ran."""
        return ran.of(CARD_QUERY)


def see_card(product: int, currency: str) -> str:
    """The line that shows a card as PostgreSQL makes it."""
    product = product if product < 1_000_000 else 7  # what the checks planted is not in a playground
    return f"echo \"select lab.product_card({product}, '{currency}')\" | roadmap-labs shell postgres"


def expect_status(
    reply: Reply, status: int, *, code: str = "wrong-status", after: str = "", hint: int = 1
) -> None:
    """Ends the check when an answer has another status."""
    if reply.status != status:
        fail(
            code,
            f"{reply.asked} was answered with the wrong status{after}.",
            expected=f"status {status}",
            observed=f"status {reply.status}, body {quote(reply.body, 120) if reply.body else 'empty'}",
            look="roadmap-labs logs catalog",
            hint=hint,
        )
