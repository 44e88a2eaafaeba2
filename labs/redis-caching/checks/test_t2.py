"""T2 Lifetimes: nothing in the cache lives for ever, nothing expires all at once, and absence is cached, too."""

from __future__ import annotations

from functools import partial

from shop import (
    CURRENCIES,
    JITTER,
    NEGATIVE_TTL_SECONDS,
    PREFIX,
    SEE_KEYS,
    SEE_REDIS,
    SEE_STATEMENTS,
    TTL_SECONDS,
    Shop,
    expect_status,
)
from traffic import mixed_traffic

from roadmap_labs.harness import LabFault, Role, difference, fail, needs, quote, together
from roadmap_labs.harness.expiries import Naked, stored
from roadmap_labs.harness.redis import GONE, IMMORTAL, key_text
from roadmap_labs.harness.waiting import settle

CARD = f"{PREFIX}card:".encode()
LONGEST_CARD = TTL_SECONDS * (1 + JITTER) + 1
SHORTEST_CARD = TTL_SECONDS * (1 - JITTER) - 1
LONGEST_OTHER = 24 * 3600
SEE_TTL = f"roadmap-labs shell redis redis-cli ttl {PREFIX}card:7:EUR"


@needs("t1_shared_between_replicas", "t1_keys_are_namespaced")
def test_t2_every_key_expires(shop: Shop) -> None:
    """Every key in the cache has an end"""
    catalog = shop.catalog()
    chosen = shop.products(10)
    for product in chosen:
        shop.read(catalog, product, shop.random.choice(CURRENCIES))
        shop.read(catalog, product)
    shop.must_arrive([shop.key(product) for product in chosen], f"{len(chosen)} products were read.")
    mixed_traffic(shop, catalog)
    ends = shop.redis.expires_at(shop.redis.scan(f"{PREFIX}*"))
    now = shop.redis.now()
    for key, end in sorted(ends.items(), key=lambda pair: not pair[0].startswith(CARD)):
        if end == GONE:
            continue
        longest, kind = (LONGEST_CARD, "cards") if key.startswith(CARD) else (LONGEST_OTHER, "other keys")
        if end == IMMORTAL or end - now > longest * 1000:
            seen = (
                "it has no end at all" if end == IMMORTAL else f"it lives for {(end - now) / 1000:.0f} s more"
            )
            fail(
                "immortal-key" if end == IMMORTAL else "key-lives-too-long",
                f"After reads, changes, creations and deletions the {len(ends)} keys under {PREFIX} were looked at.",
                expected=f"every key expires, {kind} within {longest:.0f} s",
                observed=f"{key_text(key)}: {seen}",
                look=SEE_TTL,
                hint=2,
            )


@needs("t1_shared_between_replicas", "t1_keys_are_namespaced")
def test_t2_expiry_is_atomic(shop: Shop) -> None:
    """A card and its end reach Redis in one step"""
    catalog, monitor = shop.catalog(), shop.redis.monitor
    mark = monitor.mark()
    chosen = shop.products(8)
    for product in chosen:
        shop.read(catalog, product)
    catalog.get(shop.path(shop.unknown_id()))
    shop.must_arrive([shop.key(product) for product in chosen], f"{len(chosen)} cold products were read.")
    seen = stored(monitor.since(mark), lambda key: key.startswith(CARD))
    if not seen.naked:
        return
    one = seen.naked[0]
    fail(
        "expiry-in-a-second-step" if one.expired else "stored-without-expiry",
        f"{len(chosen)} cold products were read while the commands of Redis were watched. "
        + (
            "Between the two commands the card has no end: a service that crashes there leaves it for ever."
            if one.expired
            else "The card was stored without an end."
        ),
        expected="one command, one MULTI … EXEC or one script that stores the card together with its end",
        observed=_two_steps(one),
        look=SEE_REDIS,
        hint=3,
    )


@needs("t1_shared_between_replicas", "t1_keys_are_namespaced")
def test_t2_ttl_is_jittered(shop: Shop) -> None:
    """Cards that were loaded together do not expire together"""
    catalog = shop.catalog()
    chosen = shop.products(120)
    began = shop.redis.now()
    replies = together([partial(catalog.get, shop.path(product)) for product in chosen], threads=8)
    for reply in replies:
        expect_status(reply, 200)
    keys = [shop.key(product) for product in chosen]
    shop.must_arrive(keys, f"{len(chosen)} products were read.")
    ended = shop.redis.now()
    fill = (ended - began) / 1000
    if fill > 60:
        raise LabFault(
            f"Reading {len(chosen)} cards took {fill:.0f} s: too slow to tell jitter from slowness."
        )
    ends = shop.redis.expires_at(keys)
    if IMMORTAL in ends.values() or GONE in ends.values():
        naked = next(key for key, end in ends.items() if end in (IMMORTAL, GONE))
        fail("immortal-key", f"{len(chosen)} products were read.", expected="a card with an end",
             observed=f"{key_text(naked)} has none", look=SEE_TTL, hint=2)  # fmt: skip
    first, last = min(ends.values()), max(ends.values())
    shortest, longest = (first - began) / 1000, (last - ended) / 1000
    if shortest < SHORTEST_CARD or longest > LONGEST_CARD:
        out = (
            f"one lives {shortest:.0f} s at most"
            if shortest < SHORTEST_CARD
            else f"one lives {longest:.0f} s at least"
        )
        fail(
            "ttl-out-of-band",
            f"{len(chosen)} products were read within {fill:.1f} s; then the ends of their cards were compared.",
            expected=f"every card lives between {SHORTEST_CARD + 1:.0f} and {LONGEST_CARD - 1:.0f} s",
            observed=out,
            look=SEE_TTL,
            hint=3,
        )
    spread = (last - first) / 1000
    if spread < fill + 40:
        fail(
            "no-jitter",
            f"{len(chosen)} products were read within {fill:.1f} s; then the ends of their cards were compared.",
            expected=f"ends that lie at least {fill + 40:.0f} s apart, first to last",
            observed=f"all {len(chosen)} cards end within {spread:.1f} s",
            look=SEE_TTL,
            hint=1 if spread < fill + 2 else 3,
        )


@needs("t1_shared_between_replicas", "t1_keys_are_namespaced")
def test_t2_expiry_is_real(shop: Shop) -> None:
    """A card that has expired is loaded again, once"""
    catalog, product = shop.catalog(), shop.product()
    key = shop.key(product)
    shop.counting_works(catalog)
    shop.warm(catalog, product)
    shop.must_arrive([key], f"Product {product} was read once.")
    shop.sql.settled()
    shop.redis.ask("PEXPIRE", key, 1)
    settle(lambda: not shop.redis.exists(key), 5, f"{key} had expired")
    for turn, expected in (("the first read after that", 1), ("the second read after that", 0)):
        before = shop.sql.snapshot()
        shop.warm(catalog, product)
        ran = shop.sql.ran_since(before)
        calls = shop.card_calls(ran)
        if calls != expected:
            fail(
                "expired-card-served" if calls < expected else "reload-not-stored",
                f"The key {key} was made to expire; {turn} was counted.",
                expected=f"{expected} call{'' if expected == 1 else 's'} of the card query",
                observed=f"{calls}: {ran}",
                look=f"{SEE_REDIS}\n{SEE_STATEMENTS}",
                hint=2,
            )


@needs("t1_shared_between_replicas", "t1_keys_are_namespaced")
def test_t2_absent_is_cached(shop: Shop) -> None:
    """A product that does not exist is asked for once, not each time"""
    reads = 30
    catalog, unknown = shop.catalog(), shop.unknown_id()
    key = shop.key(unknown)
    shop.counting_works(catalog)
    before = shop.sql.snapshot()
    for turn in range(reads):
        reply = catalog.get(shop.path(unknown))
        expect_status(reply, 404, after=f" (read {turn + 1} of a product that does not exist)")
        body = reply.json
        if not isinstance(body, dict) or body.get("error") != "not_found":
            fail("wrong-refusal", f"{reply.asked} asks for a product that does not exist.",
                 expected='{"error": "not_found"}', observed=quote(reply.body), hint=None)  # fmt: skip
        if turn == 0:
            shop.arrived([key])
    ran = shop.sql.ran_since(before)
    if max((count for _, count in ran.calls), default=0) > 1:
        fail(
            "absence-not-cached",
            f"{reads} reads of product {unknown}, which does not exist.",
            expected="at most 1 call of the card query",
            observed=str(ran),
            look=f"{SEE_REDIS}\n{SEE_STATEMENTS}",
            hint=2,
        )
    left = shop.redis.lives_for(key)
    if left == GONE:
        shop.must_arrive([key], f"Product {unknown}, which does not exist, was read {reads} times.")
        left = shop.redis.lives_for(key)
    if left == IMMORTAL or left > (NEGATIVE_TTL_SECONDS + 1) * 1000:
        fail(
            "absence-lives-too-long",
            f"Product {unknown}, which does not exist, was read; then its note at {key} was looked at.",
            expected=f"it lives for {NEGATIVE_TTL_SECONDS} s at most",
            observed="it has no end" if left == IMMORTAL else f"it lives for {left / 1000:.0f} s",
            look=SEE_KEYS,
            hint=2,
        )


@needs("t2_absent_is_cached")
def test_t2_created_after_404(shop: Shop) -> None:
    """A product that is created shows at once, also where it was missing before"""
    pair = shop.pair()
    for turn in range(4):
        number = shop.unknown_id()
        body = shop.new_product(number)
        creator = pair[turn % 2]
        currencies = CURRENCIES if turn < 2 else ("EUR",)
        for role in pair:
            for currency in currencies:
                expect_status(role.get(shop.path(number, currency)), 404, after=" before it was created")
            # What a service notes after its answer must have arrived before the product is created.
            shop.arrived([shop.key(number, currency) for currency in currencies], 0.5)
        expect_status(creator.post("/products", body), 201)
        for currency in currencies:
            for role in (*pair, *pair):
                _shows(shop, role, creator, number, currency)


def _shows(shop: Shop, role: Role, creator: Role, number: int, currency: str) -> None:
    reply = role.get(shop.path(number, currency))
    what = f"Product {number} was missing in {currency}; then {creator.name} answered its POST with 201."
    if reply.status != 200:
        key = shop.key(number, currency)
        left = shop.redis.lives_for(key)
        note = f"; {key} is still in Redis, for {left / 1000:.0f} s more" if left > 0 else ""
        fail("absence-outlives-creation", what, expected=f"200 from {role.name} at once",
             observed=f"{reply.status} from {role.name}{note}", look=SEE_REDIS, hint=2)  # fmt: skip
    wrong = difference(shop.card(number, currency), reply.json)
    if wrong:
        fail(
            "wrong-card", what, expected="the card of the new product", observed=wrong, look=SEE_REDIS, hint=2
        )


def _two_steps(one: Naked) -> str:
    first = f"{one.written.name} {key_text(one.key)} without an end"
    return first + (
        f", then {one.expired.name} {key_text(one.key)} as a command of its own" if one.expired else ""
    )
