"""T1 Cache-aside reads: a warm card costs PostgreSQL nothing, and is still the right card."""

from __future__ import annotations

from typing import Any

from shop import (
    CURRENCIES,
    PREFIX,
    SEE_KEYS,
    SEE_REDIS,
    SEE_STATEMENTS,
    Shop,
    expect_status,
    see_card,
)
from traffic import mixed_traffic, refusals

from roadmap_labs.harness import LabFault, Reply, difference, fail, needs, quote, seeded
from roadmap_labs.harness.monitor import Command
from roadmap_labs.harness.postgres import table_state
from roadmap_labs.harness.strictjson import NotJson, parse, show

RUDE = {"KEYS", "FLUSHDB", "FLUSHALL"}


def test_t1_same_answer(shop: Shop) -> None:
    """Answers the right card, cold and warm"""
    catalog = shop.catalog()
    chosen = [*shop.products(4, "bare"), *shop.products(4, "round"), *shop.products(8)]
    chosen += [shop.planted() for _ in range(4)]
    shop.random.shuffle(chosen)
    for number, product in enumerate(chosen):
        currency = shop.random.choice((None, *CURRENCIES))
        expected = shop.card(product, currency or "EUR")
        for turn in ("cold", "warm"):
            reply = catalog.get(shop.path(product, currency))
            expect_status(reply, 200, after=f" when the card was {turn}")
            wrong = difference(expected, reply.json)
            if wrong:
                fail(
                    f"{turn}-card-differs",
                    f"{reply.asked}, {turn} (product {number + 1} of {len(chosen)}).",
                    expected="the JSON that lab.product_card gives, value by value, type by type",
                    observed=wrong,
                    look=see_card(product, currency or "EUR"),
                    hint=3,
                )


@needs("t1_same_answer")
def test_t1_hit_skips_database(shop: Shop) -> None:
    """A warm read asks the database nothing"""
    reads = 25
    catalog, product = shop.catalog(), shop.product()
    shop.counting_works(catalog)
    expected = shop.warm(catalog, product)[product]
    before = shop.sql.snapshot()
    replies = [catalog.get(shop.path(product)) for _ in range(reads)]
    ran = shop.sql.ran_since(before)
    if ran.total:
        fail(
            "warm-read-asks-database",
            f"{reads} reads of product {product}, all after it had been read once, caused {ran.total} statements.",
            expected="0 statements in PostgreSQL",
            observed=str(ran),
            look=f"{SEE_STATEMENTS}\n{SEE_REDIS}",
            hint=1,
        )
    for reply in replies:
        _same_card(reply, expected, "A warm card")


@needs("t1_hit_skips_database")
def test_t1_shared_between_replicas(shop: Shop) -> None:
    """What one replica has read, the other need not ask for"""
    first, second = shop.pair()
    chosen = shop.products(5, "priced")
    shop.counting_works(first)
    for warm, cold in ((first, second), (second, first)):
        expected = shop.warm(warm, *chosen)
        before = shop.sql.snapshot()
        replies = {product: cold.get(shop.path(product)) for product in chosen}
        ran = shop.sql.ran_since(before)
        if shop.card_calls(ran):
            fail(
                "replica-starts-cold",
                f"{len(chosen)} cards were read through {warm.name}, then through {cold.name}. The second did not "
                "profit from the first: the cache seems to live in the memory of one process.",
                expected="0 calls of the card query",
                observed=str(ran),
                look=f"{SEE_KEYS}\n{SEE_STATEMENTS}",
                hint=2,
            )
        for product, reply in replies.items():
            _same_card(reply, expected[product], f"The card of {product}, warmed by {warm.name},")
        chosen = shop.products(5, "priced")


@needs("t1_same_answer")
def test_t1_variants_kept_apart(shop: Shop) -> None:
    """Each currency has its own card"""
    catalog = shop.catalog()
    for _ in range(3):
        product, cards = _priced_apart(shop)
        order = [*CURRENCIES, *CURRENCIES, None]
        shop.random.shuffle(order)
        asked: list[str] = []
        for currency in order:
            reply = catalog.get(shop.path(product, currency))
            expect_status(reply, 200)
            wrong = difference(cards[currency or "EUR"], reply.json)
            if wrong:
                fail(
                    "variants-mixed",
                    f"Product {product} was asked for in {currency or 'EUR (no currency named)'}"
                    + (f", after {', '.join(asked)}." if asked else "."),
                    expected=f"the card in {currency or 'EUR'}",
                    observed=wrong,
                    look=SEE_KEYS,
                    hint=3,
                )
            asked.append(currency or "no currency")


def test_t1_keys_are_namespaced(shop: Shop) -> None:
    """Keeps to its own keys in a Redis that others use, too"""
    catalog = shop.catalog()
    planted = _plant(shop)
    try:
        before = shop.redis.ask_all([("DUMP", key) for key in planted])
        if any(not isinstance(value, bytes) for value in before):
            raise LabFault("The foreign keys could not be planted in Redis.")
        mixed_traffic(shop, catalog)
        product = shop.product()
        expect_status(catalog.get(shop.path(product)), 200)
        after = shop.redis.ask_all([("DUMP", key) for key in planted])
        harmed = [key for key, old, new in zip(planted, before, after, strict=True) if old != new]
        if harmed:
            fail(
                "foreign-key-harmed",
                "Keys of another team lay in the same Redis while products were read, changed, created and deleted.",
                expected=f"{len(planted)} foreign keys untouched",
                observed=f"{len(harmed)} changed or gone, among them {harmed[0]}",
                look=SEE_REDIS,
                hint=3,
            )
        strays = [
            key
            for key in shop.redis.scan()
            if not key.startswith(PREFIX.encode()) and key.decode("latin-1") not in planted
        ]
        if strays:
            fail(
                "key-without-prefix",
                "Products were read, changed, created and deleted; then all keys in Redis were listed.",
                expected=f"every key of the service begins with {PREFIX}",
                observed=f"{len(strays)} that do not, among them {quote(strays[0], 80)}",
                look="roadmap-labs shell redis redis-cli --scan",
                hint=3,
            )
        shop.must_arrive([shop.key(product)], f"Product {product} was read once.")
    finally:
        shop.redis.ask("DEL", *planted)


def test_t1_contract_errors(shop: Shop) -> None:
    """Refuses what the contract refuses, and writes nothing then"""
    catalog = shop.catalog()
    cases = refusals(shop)
    before = table_state(shop.sql, "shop.product", "t.id")
    wrong: list[str] = []
    for method, path, body, status, error in cases:
        reply = catalog.request(method, path) if body is None else catalog.request(method, path, body)
        if reply.status != status or _error_of(reply) != error:
            sent = "" if body is None else f" {show(body, 100)}"
            seen = f"{reply.status} {quote(reply.body, 80)}"
            wrong.append(f'{method} {path}{sent}: expected {status} {{"error": "{error}"}}, saw {seen}')
    after = table_state(shop.sql, "shop.product", "t.id")
    if wrong:
        fail(
            "wrong-refusal",
            f"{len(cases)} requests were sent that the contract refuses; {len(wrong)} were answered otherwise.",
            expected="400 bad_request, 404 not_found, 409 conflict, each with its JSON body",
            observed="\n".join(wrong[:3]),
            look="README.md, the contract",
            hint=None,
        )
    if after != before:
        fail(
            "refused-but-written",
            f"{len(cases)} requests were refused as they must be, yet shop.product is not what it was.",
            expected=f"{before.rows} rows, none changed",
            observed=f"{after.rows} rows" + ("" if after.rows != before.rows else ", at least one changed"),
            look=SEE_STATEMENTS,
            hint=None,
        )


def test_t1_polite_to_redis(shop: Shop) -> None:
    """Never stops everybody's Redis with KEYS or FLUSHALL"""
    catalog, monitor = shop.catalog(), shop.redis.monitor
    own = monitor.mark()
    mixed_traffic(shop, catalog)
    for product in shop.products(5):
        expect_status(catalog.get(shop.path(product)), 200)
    end = monitor.mark()
    if not monitor.since(own, end):
        fail(
            "redis-unused",
            "Products were read, changed, created and deleted while the commands of Redis were watched.",
            expected="at least one command of your service",
            observed="no command at all",
            look=SEE_REDIS,
            hint=1,
        )
    rude = [command for command in monitor.since(0, end) if _is_rude(command)]
    if rude:
        fail(
            "rude-command",
            "The commands of Redis were watched during all checks of this run.",
            expected="no KEYS, FLUSHDB, FLUSHALL: each of them stops Redis for everybody, or takes everybody's keys",
            observed=f"{len(rude)} of them, first: {quote(str(rude[0]), 100)}",
            look=SEE_REDIS,
            hint=3,
        )


# -- what several of them use


def _same_card(reply: Reply, expected: Any, what: str) -> None:
    expect_status(reply, 200)
    wrong = difference(expected, reply.json)
    if wrong:
        fail("warm-card-differs", f"{what} came back changed from {reply.asked}.",
             expected="the card of the first read", observed=wrong, look=SEE_REDIS, hint=3)  # fmt: skip


def _error_of(reply: Reply) -> object:
    try:
        body = parse(reply.body)
    except NotJson:
        return None
    return body.get("error") if isinstance(body, dict) else None


def _is_rude(command: Command) -> bool:
    return command.name in RUDE


def _plant(shop: Shop) -> list[str]:
    names = [
        f"billing:{kind}:{seeded.nonce(shop.random)}" for kind in ("invoice", "card", "queue", "session")
    ]
    shop.redis.ask("SET", names[0], seeded.name(shop.random))
    shop.redis.ask("HSET", names[1], "total", seeded.cents(shop.random))
    shop.redis.ask("RPUSH", names[2], "one", "two")
    shop.redis.ask("SET", names[3], "open", "EX", 3600)
    return names


def _priced_apart(shop: Shop) -> tuple[int, dict[str, Any]]:
    """A fresh product whose price differs in all currencies, and its cards."""
    for product in shop.products(20, "priced"):
        cards = {currency: shop.card(product, currency) for currency in CURRENCIES}
        if len({card["price"] for card in cards.values()}) == len(CURRENCIES):
            return product, cards
    raise LabFault("No product was found whose price differs in all currencies.")
