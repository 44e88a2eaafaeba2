"""T4 Writes: after a write was answered, nobody reads what was true before it."""

from __future__ import annotations

from functools import partial
from typing import NoReturn

from crowds import HELD_SECONDS, SEE_WAITERS, Crowd, gate, row_lock
from shop import CURRENCIES, PREFIX, SEE_KEYS, SEE_REDIS, SEE_STATEMENTS, SHORT_LOCK_MS, Shop, expect_status

from roadmap_labs.harness import Reply, Role, difference, fail, held, needs, quote, seeded, waiting
from roadmap_labs.harness.crowd import Held

ROUNDS = 20
# Also for a service whose writers wait for the lock of a rebuild: that is allowed, and costs it SHORT_LOCK_MS.
WRITE_SECONDS = 20.0  # for a write that nothing of ours holds up any more; the solution needs 0.01 s


@needs("t1_shared_between_replicas")
def test_t4_read_after_write(shop: Shop) -> None:
    """After a write was answered every replica shows the new card"""
    pair = shop.pair(LOCK_TTL_MS=SHORT_LOCK_MS)
    product = shop.product()
    for turn in range(ROUNDS):
        writer = shop.random.choice(pair)
        for role in pair:
            shop.read(role, product, hint=2)
        version = _change(shop, writer, product)
        readers = list(pair)
        shop.random.shuffle(readers)
        for role in readers:
            _shows(shop, role, product, version, f"PUT on {writer.name} (round {turn + 1} of {ROUNDS})")


@needs("t1_shared_between_replicas")
def test_t4_delete_is_seen(shop: Shop) -> None:
    """A product that was deleted is gone on every replica, in every currency"""
    pair = shop.pair(LOCK_TTL_MS=SHORT_LOCK_MS)
    for turn in range(2):
        product = shop.planted()
        for role in pair:
            for currency in CURRENCIES:
                shop.read(role, product, currency, hint=2)
        shop.arrived([shop.key(product, currency) for currency in CURRENCIES])
        writer = pair[turn]
        expect_status(writer.delete(shop.path(product)), 204)
        for role in (*pair, *pair):
            for currency in CURRENCIES:
                reply = role.get(shop.path(product, currency))
                if reply.status != 404:
                    fail(
                        "deleted-product-shown",
                        f"Product {product} was read in all currencies; then {writer.name} answered DELETE with 204.",
                        expected=f"404 from {role.name} in {currency}",
                        observed=f"{reply.status} {quote(reply.body, 120)}{_left(shop, product, currency)}",
                        look=SEE_KEYS,
                        hint=2,
                    )


@needs("t1_variants_kept_apart", "t1_shared_between_replicas")
def test_t4_all_variants_invalidated(shop: Shop) -> None:
    """A write makes the cards in all currencies new"""
    pair = shop.pair(LOCK_TTL_MS=SHORT_LOCK_MS)
    for turn in range(3):
        product, writer = shop.product(), pair[turn % 2]
        for currency in CURRENCIES:
            shop.read(pair[0], product, currency, hint=2)
        shop.arrived([shop.key(product, currency) for currency in CURRENCIES])
        version = _change(shop, writer, product)
        for role in pair:
            for currency in shop.random.sample(CURRENCIES, 3):
                _shows(
                    shop, role, product, version, f"PUT on {writer.name}", currency, code="variant-stays-old"
                )


@needs("t1_hit_skips_database")
def test_t4_neighbours_untouched(shop: Shop) -> None:
    """A write takes nothing but its own product out of the cache"""
    catalog = shop.catalog(LOCK_TTL_MS=SHORT_LOCK_MS)
    shop.counting_works(catalog)
    product, family = shop.family(6)
    others = [*family, *shop.products(14)]
    shop.random.shuffle(others)
    shop.warm(catalog, product, *others)
    foreign = [f"billing:card:{product}:EUR", f"{PREFIX[:-1]}2:card:{product}:EUR", f"card:{product}:EUR"]
    for key in foreign:
        shop.redis.ask("SET", key, seeded.name(shop.random), "EX", 3600)
    try:
        _change(shop, catalog, product)
        before = shop.sql.snapshot()
        for other in others:
            shop.read(catalog, other, hint=2)
        ran = shop.sql.ran_since(before)
        if shop.card_calls(ran):
            fail(
                "neighbours-invalidated",
                f"{len(others)} cards were warm; product {product} was changed and the {len(others)} were read again.",
                expected="0 calls of the card query: they have not changed",
                observed=str(ran),
                look=f"{SEE_REDIS}\n{SEE_STATEMENTS}",
                hint=2,
            )
        gone = [key for key in foreign if not shop.redis.exists(key)]
        if gone:
            fail(
                "foreign-key-deleted",
                f"Other teams keep keys in this Redis, among them {', '.join(foreign)}. Product {product} was changed.",
                expected="all of them are still there",
                observed=f"gone: {', '.join(gone)}",
                look=SEE_REDIS,
                hint=2,
            )
    finally:
        shop.redis.ask("DEL", *foreign)


@needs("t4_read_after_write")
def test_t4_invalidate_after_commit(shop: Shop) -> None:
    """A reader that comes while a write is under way does not keep the old card alive"""
    pair = shop.pair(LOCK_TTL_MS=SHORT_LOCK_MS)
    _commits_late(shop, pair, writer=pair[0], reader=pair[1])
    _commits_late(shop, pair, writer=pair[1], reader=pair[1])


def _commits_late(shop: Shop, pair: tuple[Role, Role], *, writer: Role, reader: Role) -> None:
    product = shop.product()
    shop.warm(reader, product)
    with row_lock(shop, product) as lock:
        write = _writing(shop, writer, product)
        if not waiting.reached(lambda: lock.waiters() or write.ended, 15, every=0.01)[0]:
            _no_write(product, writer, "no statement that wants to change its row")
        # A service whose readers wait for a writer of the same card is right, too: it need not answer now.
        readers = Crowd(shop, [reader, pair[0]], product)
        waiting.reached(lambda: readers.held.ended == 2, 2, every=0.01)
        shop.arrived([shop.key(product)], 0.3)
        lock.release()
        version = _answered(write, product)
        what = (
            f"PUT on {writer.name} waited for the row of product {product}; meanwhile the product was read, "
            "which fills the cache if it is empty. Then the PUT went on."
        )
        _shows(shop, reader, product, version, what, code="old-card-came-back", whole=True)
    readers.answers()
    for role in pair:
        _shows(shop, role, product, version, what, code="old-card-came-back", whole=True)


@needs("t4_read_after_write")
def test_t4_stale_fill_loses(shop: Shop) -> None:
    """A reader that was slower than a write can't bring the old card back"""
    pair = shop.pair(LOCK_TTL_MS=SHORT_LOCK_MS)
    _fills_late(shop, pair, reader=pair[0], writer=pair[0])
    _fills_late(shop, pair, reader=pair[0], writer=pair[1])
    # Apart from the others, because one who reads the new card could repair what the slow one has spoilt.
    _fills_late(shop, pair, reader=pair[0], writer=pair[1], one_more=True)


def _fills_late(
    shop: Shop, pair: tuple[Role, Role], *, reader: Role, writer: Role, one_more: bool = False
) -> None:
    product = shop.product()
    old = shop.card(product)
    with gate(shop, product) as closed:
        slow = Crowd(shop, [reader], product)
        if not closed.held(1, 15):
            _no_write(product, reader, "no card query, although the card is not in the cache")
        write = _writing(shop, writer, product)
        # One that stores the new card itself asks for it first, and waits at the gate like everybody.
        waiting.reached(lambda: write.ended or len(closed.waiters()) > 1, WRITE_SECONDS, every=0.01)
        late = None
        if one_more and write.ended:
            _answered(write, product)
            late = Crowd(shop, [reader], product)
            late.arrive()
            closed.held(2, 0.2)
        closed.open()
        version = _answered(write, product)
        first = slow.answers()[0]
    new = shop.card(product)
    where = "the same replica" if reader is writer else "two replicas"
    what = (
        f"{reader.name} had read product {product} (version {old['version']}) in PostgreSQL and was held up there; "
        f"PUT on {writer.name} answered 200 with version {version} ({where}); then the reader went on."
    )
    expect_status(first, 200, hint=1)
    if difference(old, first.json) and difference(new, first.json):
        fail("wrong-card", what, expected="the old card or the new one, whole",
             observed=quote(first.body, 160), look=SEE_REDIS, hint=1)  # fmt: skip
    for role in (*pair, reader) * 3 + (writer,):
        _shows(shop, role, product, version, what, code="stale-fill-won", whole=True)
    if late is not None:
        _is_new(shop, late.answers()[0], version, what, "joined-an-old-read", product, "EUR")


def _change(shop: Shop, writer: Role, product: int) -> int:
    """A PUT of fresh values; its version."""
    body = {"price_cents": seeded.cents(shop.random, 100), "stock": shop.random.randint(0, 900)}
    reply = writer.put(shop.path(product), body)
    return _version(reply, product)


def _writing(shop: Shop, writer: Role, product: int) -> Held[Reply]:
    """A PUT that is under way."""
    body = {"price_cents": seeded.cents(shop.random, 100)}
    return held([partial(writer.put, shop.path(product), body, within=HELD_SECONDS * waiting.factor())])


def _version(reply: Reply, product: int) -> int:
    expect_status(reply, 200)
    said = reply.json
    version = said.get("version") if isinstance(said, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        fail("wrong-version", f"{reply.asked} was answered.", expected=f'{{"id": {product}, "version": …}}',
             observed=quote(reply.body), hint=None)  # fmt: skip
    return version


def _answered(write: Held[Reply], product: int) -> int:
    """The version that a write under way is answered with, now that nothing of ours holds it up."""
    result = write.results(WRITE_SECONDS * waiting.factor())[0]
    if isinstance(result, TimeoutError):
        fail(
            "write-hangs",
            f"A PUT of product {product} was under way, and nothing held it up any more.",
            expected="200",
            observed=f"no answer {WRITE_SECONDS * waiting.factor():.0f} s later",
            look=SEE_WAITERS,
            hint=1,
        )
    if isinstance(result, Exception):
        raise result
    return _version(result, product)


def _shows(
    shop: Shop,
    role: Role,
    product: int,
    version: int,
    what: str,
    currency: str = "EUR",
    *,
    code: str = "old-card-after-write",
    whole: bool = False,
) -> None:
    """Ends the check unless a read gives the new card."""
    text = what if whole else f"{what} of product {product} was answered with version {version}."
    _is_new(shop, role.get(shop.path(product, currency)), version, text, code, product, currency)


def _is_new(
    shop: Shop, reply: Reply, version: int, what: str, code: str, product: int, currency: str
) -> None:
    expect_status(reply, 200)
    card = reply.json
    seen = card.get("version") if isinstance(card, dict) else None
    if isinstance(seen, int) and seen < version:
        fail(
            code,
            what,
            expected=f"version {version} from then on"
            + ("" if currency == "EUR" else f", in {currency}, too"),
            observed=f"{reply.asked}: version {seen}{_left(shop, product, currency)}",
            look=SEE_REDIS,
            hint=1,
        )
    wrong = difference(shop.card(product, currency), card)
    if wrong:
        fail(
            code,
            what,
            expected="the new card, whole",
            observed=f"{reply.asked}: {wrong}",
            look=SEE_REDIS,
            hint=2,
        )


def _left(shop: Shop, product: int, currency: str) -> str:
    """How long the cache would go on telling this."""
    left = shop.redis.lives_for(shop.key(product, currency))
    if left <= 0:
        return ""
    return f"; {shop.key(product, currency)} is in Redis and would have lived for {left / 1000:.0f} s more"


def _no_write(product: int, role: Role, seen: str) -> NoReturn:
    fail(
        "nothing-reached-database",
        f"{role.name} was asked about product {product}.",
        expected="a statement in PostgreSQL",
        observed=seen,
        look=SEE_WAITERS,
        hint=1,
    )
