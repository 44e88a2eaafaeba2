"""T5 Redis is an optimisation: what it does or fails to do changes how quick an answer is, not whether it is right."""

from __future__ import annotations

import time
from typing import Any

from crowds import Crowd, first_waiter, gate
from shop import SEE_KEYS, SEE_REDIS, SEE_STATEMENTS, SHORT_LOCK_MS, Shop, expect_status

from roadmap_labs.harness import (
    LabFault,
    LearnerBroke,
    Reply,
    Role,
    difference,
    fail,
    needs,
    quote,
    strictjson,
    waiting,
)

WITHIN = 5.0  # seconds for one answer while Redis is away
GRACE_SECONDS = 20.0  # SHUTDOWN_GRACE_MS
GARBAGE = b'\xff\xfe{"id":'
QUICK = 200  # REDIS_TIMEOUT_MS where nothing is measured: the default of the contract
SLOW = 1_000
READS, CHEAP_SECONDS = 30, 15.0  # a service that asks each time pays READS x SLOW, or a multiple


@needs("t1_hit_skips_database")
def test_t5_no_poisoning(shop: Shop) -> None:
    """Garbage in the cache does no harm, and does not stay"""
    catalog = shop.catalog(LOCK_TTL_MS=SHORT_LOCK_MS)
    shop.counting_works(catalog)
    for damage in (_another_type, _cut_in_half, _no_text):
        product = shop.product()
        card = shop.warm(catalog, product)[product]
        key = shop.key(product)
        shop.must_arrive([key], f"Product {product} was read.")
        did = damage(shop, key)
        what = f"Somebody {did} {key}; then product {product} was read."
        reply = catalog.get(shop.path(product))
        if reply.status != 200 or not _is(card, reply):
            fail(
                "garbage-served" if reply.status == 200 else "garbage-breaks-reads",
                what,
                expected="200 and the right card, from PostgreSQL",
                observed=f"{reply.status} {quote(reply.body, 160)}",
                look="roadmap-labs logs catalog",
                hint=3,
            )
        if not _hit_again(shop, catalog, product):
            fail(
                "garbage-stays",
                what + " The answers were right, but each of them asked the database.",
                expected="the entry is replaced, so that later reads are hits again",
                observed=f"card queries for every read, 5 s long; type of the key: {_type(shop, key)}",
                look=f"{SEE_KEYS}\n{SEE_STATEMENTS}",
                hint=3,
            )


def test_t5_stops_gracefully(shop: Shop) -> None:
    """SIGTERM: what is in progress is answered, then the process ends with code 0"""
    catalog, product = shop.catalog(LOCK_TTL_MS=SHORT_LOCK_MS), shop.product()
    card = shop.card(product)
    with gate(shop, product) as closed:
        crowd = Crowd(shop, [catalog], product)
        first_waiter(closed, product)
        shop.lab.signal(catalog.name, "SIGTERM")
        told = time.monotonic()
        # Time for the service to stop taking work, or to make the mistake: it is over when nobody new is let in.
        waiting.reached(lambda: crowd.held.ended or not _lets_in(catalog), 0.5 / waiting.factor(), every=0.01)
        closed.open()
        result = crowd.held.results(GRACE_SECONDS)[0]
    what = f"A read was waiting for PostgreSQL when {catalog.name} got SIGTERM; after that the query could go on."
    seen = "no answer" if isinstance(result, Exception) else f"{result.status} {quote(result.body, 100)}"
    if isinstance(result, LearnerBroke):
        seen = result.observed
    if isinstance(result, Exception) or result.status != 200 or not _is(card, result):
        fail(
            "request-dropped",
            what,
            expected="200 and the card: a request in progress is finished first",
            observed=seen,
            look="roadmap-labs logs catalog",
            hint=1,
        )
    left = GRACE_SECONDS - (time.monotonic() - told)
    ended = waiting.reached(
        lambda: shop.lab.state(catalog.name)["status"] in ("exited", "dead"),
        left / waiting.factor(),
        every=0.05,
    )[0]
    if not ended:
        fail("does-not-end", what, expected=f"the process ends within {GRACE_SECONDS:.0f} s (SHUTDOWN_GRACE_MS)",
             observed=f"it still runs {time.monotonic() - told:.0f} s after SIGTERM",
             look="roadmap-labs logs catalog", hint=1)  # fmt: skip
    code = shop.lab.state(catalog.name)["exit_code"]
    if code != 0:
        fail("bad-exit-code", what, expected="exit code 0", observed=f"exit code {code}",
             look="roadmap-labs logs catalog", hint=1)  # fmt: skip


@needs("t1_hit_skips_database")
def test_t5_redis_frozen(shop: Shop) -> None:
    """Answers are right and in time while Redis hangs"""
    catalog = shop.catalog(REDIS_TIMEOUT_MS=QUICK)
    products = _half_warm(shop, catalog)
    with shop.lab.paused("redis"):
        _goes_on(
            shop, catalog, products, "Redis was frozen: it takes connections and never answers.", "frozen"
        )


@needs("t1_hit_skips_database")
def test_t5_redis_gone(shop: Shop) -> None:
    """Answers are right and in time while there is no Redis"""
    # Not the replica of the check before: one that is still silent since Redis was frozen would not notice anything.
    catalog = shop.catalog(REDIS_TIMEOUT_MS=SLOW)
    products = _half_warm(shop, catalog)
    with shop.lab.stopped("redis"):
        _goes_on(shop, catalog, products, "Redis was stopped: even its name is gone.", "gone", 4 * WITHIN)


@needs("t5_redis_frozen")
def test_t5_outage_is_cheap(shop: Shop) -> None:
    """A Redis that does not answer is not asked again and again"""
    catalog = shop.catalog(REDIS_TIMEOUT_MS=SLOW)
    products = _half_warm(shop, catalog)
    with shop.lab.paused("redis"):
        began = time.monotonic()
        for number in range(READS):
            _read(
                catalog,
                shop.path(products[number % len(products)]),
                "Redis was frozen.",
                "frozen",
                4 * WITHIN,
            )
            took = time.monotonic() - began
            if took > CHEAP_SECONDS:
                fail(
                    "outage-is-expensive",
                    f"Redis was frozen, REDIS_TIMEOUT_MS was {SLOW}. Then {READS} reads were made, one after another.",
                    expected=f"all {READS} within {CHEAP_SECONDS:.0f} s: after a few failures nobody asks for a while",
                    observed=f"{number + 1} of them took {took:.1f} s, {took / (number + 1):.1f} s each",
                    look="roadmap-labs logs catalog",
                    hint=2,
                )


@needs("t5_redis_gone")
def test_t5_recovers_by_itself(shop: Shop) -> None:
    """When Redis is back, empty, the service uses it again"""
    catalog = shop.catalog(REDIS_TIMEOUT_MS=SLOW)
    shop.counting_works(catalog)
    product = shop.product()
    shop.warm(catalog, product)
    started = shop.lab.state(catalog.name)["started_at"]
    with shop.lab.stopped("redis"):
        for _ in range(5):
            _read(catalog, shop.path(product), "Redis was stopped.", "gone", 4 * WITHIN)
    if shop.redis.exists(shop.key(product)):
        raise LabFault("Redis was started again and still has a card.")
    back = time.monotonic()
    recovered = waiting.reached(lambda: not _calls_of_a_read(shop, catalog, product), 30)[0]
    if not recovered:
        fail(
            "never-comes-back",
            f"Redis was stopped, product {product} was read 5 times, and Redis was started again, empty. Then the "
            "product was read again and again.",
            expected=f"hits within {30 * waiting.factor():.0f} s",
            observed=f"every read asks the database, still after {time.monotonic() - back:.0f} s",
            look=f"{SEE_REDIS}\n{SEE_STATEMENTS}",
            hint=2,
        )
    if shop.lab.state(catalog.name)["started_at"] != started:
        fail("was-restarted", "Redis was stopped and started again.", expected="the service runs on",
             observed="it was started anew", look="roadmap-labs logs catalog", hint=2)  # fmt: skip


def _half_warm(shop: Shop, catalog: Role) -> list[int]:
    """Ten products, of which five are in the cache."""
    products = shop.products(10, "priced")
    shop.warm(catalog, *products[:5])
    shop.random.shuffle(products)
    return products


def _goes_on(
    shop: Shop, catalog: Role, products: list[int], what: str, code: str, within: float = WITHIN
) -> None:
    cards = {product: shop.card(product) for product in products}
    for product in (*products, *products):
        reply = _read(catalog, shop.path(product), what, code, within)
        wrong = difference(cards[product], reply.json)
        if wrong:
            fail("wrong-card", f"{what} Then product {product} was read.", expected="the right card",
                 observed=wrong, look="roadmap-labs logs catalog", hint=1)  # fmt: skip
    _read(catalog, "/healthz", what, code, within)


def _read(catalog: Role, path: str, what: str, code: str, within: float) -> Reply:
    """GET that must be answered with 200 in time, whatever Redis does."""
    try:
        reply = catalog.get(path, within=within)
    except LearnerBroke as broke:
        if broke.code != "L-TIME":
            raise
        fail(
            f"hangs-while-{code}",
            f"{what} Then GET {path} was asked for.",
            expected=f"200 within {within:g} s",
            observed=f"no answer in {within:g} s",
            look="roadmap-labs logs catalog",
            hint=2,
        )
    if reply.status != 200:
        fail(
            f"fails-while-{code}",
            f"{what} Then GET {path} was asked for.",
            expected="200: PostgreSQL has the card",
            observed=f"{reply.status} {quote(reply.body, 120)}",
            look="roadmap-labs logs catalog",
            hint=1,
        )
    return reply


def _calls_of_a_read(shop: Shop, catalog: Role, product: int) -> int:
    before = shop.sql.snapshot()
    _read(catalog, shop.path(product), "Redis was stopped and started again.", "back", 4 * WITHIN)
    return shop.card_calls(shop.sql.ran_since(before))


def _hit_again(shop: Shop, catalog: Role, product: int) -> bool:
    def hit() -> bool:
        before = shop.sql.snapshot()
        expect_status(catalog.get(shop.path(product)), 200)
        return not shop.card_calls(shop.sql.ran_since(before))

    return waiting.reached(hit, 5)[0]


def _is(card: Any, reply: Reply) -> bool:
    """Whether an answer is this card; one that is no JSON is none."""
    try:
        return not difference(card, strictjson.parse(reply.body))
    except strictjson.NotJson:
        return False


def _lets_in(role: Role) -> bool:
    try:
        return role.get("/healthz", within=2).status < 500
    except LearnerBroke:
        return False


def _type(shop: Shop, key: str) -> str:
    return str(shop.redis.ask("TYPE", key).decode())


def _another_type(shop: Shop, key: str) -> str:
    kind = "hash" if _type(shop, key) == "list" else "list"
    shop.redis.ask("DEL", key)
    shop.redis.ask(*(("RPUSH", key, "a", "b") if kind == "list" else ("HSET", key, "a", "b")))
    shop.redis.ask("EXPIRE", key, 300)
    return f"put a {kind} at"


def _cut_in_half(shop: Shop, key: str) -> str:
    """The service's own entry, whatever its form, without its second half."""
    kind = _type(shop, key)
    if kind == "string":
        whole = shop.redis.ask("GET", key)
        shop.redis.ask("SET", key, whole[: len(whole) // 2], "KEEPTTL")
        return "cut off the second half of the entry at"
    return _no_text(shop, key)


def _no_text(shop: Shop, key: str) -> str:
    if _type(shop, key) == "hash":
        for field in shop.redis.ask("HKEYS", key):
            shop.redis.ask("HSET", key, field, GARBAGE)
    else:
        shop.redis.ask("SET", key, GARBAGE, "EX", 300)
    return "put bytes that are no text at"
