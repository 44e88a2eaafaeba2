"""T3 One rebuild at a time: a card that is missing is loaded once, and whoever loads it may die, fail or be late.

Checks run with LOCK_TTL_MS=60000 (lab.yaml), so that no lock runs out but where a check wants it.
"""

from __future__ import annotations

import time
from typing import Any

from crowds import ANSWER_SECONDS, FIRST_WAITER, SEE_WAITERS, Crowd, first_waiter, gate
from shop import SEE_REDIS, SEE_STATEMENTS, SHORT_LOCK_MS, Shop, expect_status

from roadmap_labs.harness import LearnerBroke, Role, difference, fail, needs, quote, waiting
from roadmap_labs.harness.gates import Gate, Waiter
from roadmap_labs.harness.statements import Ran

CROWD = 24
WATCHED = 3.0  # seconds; who gives up waiting after a moment shows within them


@needs("t1_hit_skips_database")
def test_t3_single_flight(shop: Shop) -> None:
    """Many misses of one card at the same moment cost one query"""
    catalog = shop.catalog()
    _one_rebuild(shop, [catalog] * CROWD, WATCHED, "on one replica")


@needs("t3_single_flight")
def test_t3_single_flight_two_replicas(shop: Shop) -> None:
    """They cost one query on two replicas, too"""
    pair = shop.pair()
    _one_rebuild(shop, [*pair] * (CROWD // 2), 1.0, "half of them on each of two replicas")


@needs("t3_single_flight")
def test_t3_other_products_flow(shop: Shop) -> None:
    """Who waits for one card holds up nobody who wants another"""
    pair = shop.pair()
    product, others = shop.product(), shop.products(4)
    with gate(shop, product) as closed:
        crowd = Crowd(shop, [pair[0]] * CROWD, product)
        first_waiter(closed, product)
        crowd.arrive()
        for number, other in enumerate(others):
            role = pair[number % 2]
            try:
                reply = role.get(shop.path(other), within=10)
            except LearnerBroke as broke:
                if broke.code != "L-TIME":
                    raise
                fail(
                    "other-product-waits",
                    f"{CROWD} requests wait for product {product}, whose card query does not end. "
                    f"Then {role.name} was asked for product {other}, which is cold, too.",
                    expected="200 at once",
                    observed=f"no answer in {10:g} s",
                    look=f"{SEE_WAITERS}\n{SEE_REDIS}",
                    hint=2,
                )
            expect_status(
                reply, 200, code="other-product-refused", after=f" while {CROWD} wait for another", hint=2
            )
        closed.open()
        for reply in crowd.answers():
            expect_status(reply, 200, after=f", one of {CROWD} that had waited", hint=2)


@needs("t3_single_flight")
def test_t3_rebuild_error_is_not_sticky(shop: Shop) -> None:
    """A rebuild that fails is not the end: somebody tries again"""
    pair = shop.pair()
    product = shop.product()
    card = shop.card(product)
    with gate(shop, product, "raise") as closed:
        crowd = Crowd(shop, [*pair] * 5, product)
        first_waiter(closed, product)
        crowd.arrive()
        closed.open()
        what = (
            f"{len(crowd.readers)} requests waited for product {product}; then the card query failed, once."
        )
        # Who waits for the value alone is right, too, and needs somebody who comes later and finds the lock free.
        waiting.reached(lambda: crowd.held.ended, 5, every=0.01)
        for role in (*pair, *pair):
            _is_over(role, product, what, card)
        replies = crowd.answers()
    for reply in replies:
        if reply.status not in (200, 503):
            fail("error-became-an-answer", what, expected="200 after another try, or 503",
                 observed=f"{reply.asked}: {reply.status}", look="roadmap-labs logs catalog", hint=2)  # fmt: skip
        wrong = difference(card, reply.json) if reply.status == 200 else ""
        if wrong:
            fail("wrong-card", what, expected="the card of the product", observed=f"{reply.asked}: {wrong}",
                 look=SEE_REDIS, hint=2)  # fmt: skip


@needs("t3_single_flight")
def test_t3_rebuilder_dies(shop: Shop) -> None:
    """When the replica that rebuilds is killed, another one takes over"""
    pair = shop.pair(LOCK_TTL_MS=SHORT_LOCK_MS)
    product = shop.product()
    card = shop.card(product)
    with gate(shop, product) as closed:
        victim = shop.random.choice(pair)
        survivor = pair[1] if victim is pair[0] else pair[0]
        lost = Crowd(shop, [victim] * 2, product)
        owner = first_waiter(closed, product)
        if owner.address != victim.address:
            victim, survivor = survivor, victim  # asked for by name, found by its address
        crowd = Crowd(shop, [survivor] * 6, product)
        crowd.arrive()
        shop.lab.kill(victim.name)
        closed.end_sessions([one for one in closed.waiters() if one.address == victim.address])
        killed = time.monotonic()
        closed.open()
        what = (
            f"{victim.name} was loading product {product} for everybody when it was killed; "
            f"6 requests for it waited on {survivor.name}. LOCK_TTL_MS was {SHORT_LOCK_MS}."
        )
        for result in crowd.held.results(30 * waiting.factor()):
            after = time.monotonic() - killed
            if isinstance(result, LearnerBroke):
                raise result
            status = "no answer" if isinstance(result, Exception) else f"status {result.status}"
            if isinstance(result, Exception) or result.status != 200:
                fail(
                    "dead-rebuilder-blocks",
                    what,
                    expected=f"200 for all of them within {30 * waiting.factor():.0f} s: somebody else takes over",
                    observed=f"{status} after {after:.0f} s",
                    look=SEE_REDIS,
                    hint=2,
                )
            wrong = difference(card, result.json)
            if wrong:
                fail("wrong-card", what, expected="the right card", observed=wrong, look=SEE_REDIS, hint=2)
    lost.held.results(5)
    expect_status(survivor.get(shop.path(product), within=30 * waiting.factor()), 200, hint=2)
    if not shop.arrived([shop.key(product)], 5):
        fail(
            "never-cached-again",
            what + " Everybody was answered, and then the card was read once more.",
            expected=f"the card is stored again, at {shop.key(product)}",
            observed="no such key: the lock of the dead one seems to be in the way for ever",
            look=SEE_REDIS,
            hint=2,
        )


@needs("t3_single_flight_two_replicas")
def test_t3_lock_belongs_to_its_owner(shop: Shop) -> None:
    """Nobody releases a lock that is not theirs any more"""
    first, second = shop.pair(LOCK_TTL_MS=SHORT_LOCK_MS)
    product = shop.product()
    with gate(shop, product) as closed:
        slow = Crowd(shop, [first], product)
        loser = first_waiter(closed, product)
        runs_out = time.monotonic() + SHORT_LOCK_MS / 1000  # it was taken before it was seen
        # A request that comes now would have to wait; one that comes when the lock has run out has to take it.
        waiting.reached(lambda: time.monotonic() > runs_out + 0.05, 2 * SHORT_LOCK_MS / 1000)
        asked = time.monotonic()
        fast = Crowd(shop, [second], product)
        _takes_over(closed, second, product)
        closed.end_sessions([loser])
        # Its rebuild has failed. Whatever it releases now, it does before it answers, or at once after.
        lives_until = asked + SHORT_LOCK_MS / 1000 - 0.05
        waiting.reached(
            lambda: slow.held.ended or time.monotonic() > lives_until - 1, 1 / waiting.factor(), every=0.01
        )
        known = {one.pid for one in closed.waiters()}
        third = Crowd(shop, [first], product)
        third.arrive()
        watched_until = min(lives_until, time.monotonic() + 1)
        seen: list[Waiter] = []
        while time.monotonic() < watched_until and not seen:
            found = [one for one in closed.waiters() if one.pid not in known]
            seen += found if time.monotonic() < lives_until else []
            time.sleep(0.01)  # between two looks
        if seen:
            fail(
                "released-a-foreign-lock",
                f"{first.name} was so slow to load product {product} that its lock ran out ({SHORT_LOCK_MS} ms), and "
                f"{second.name} took over with a lock of its own. Then the load of {first.name} failed, and a new "
                f"request for the product came to {first.name}.",
                expected=f"it waits for {second.name}, whose lock still lives",
                observed=f"a query of its own, from {seen[0].address}, {time.monotonic() - asked:.1f} s after "
                f"{second.name} had begun: the lock was gone",
                look=SEE_REDIS,
                hint=3,
            )
        closed.open()
        for crowd in (fast, third):
            crowd.answers()
        slow.held.results(5)


def _is_over(role: Role, product: int, what: str, card: Any) -> None:
    """Ends the check unless a request that comes after a failed rebuild is answered as if nothing had been."""
    try:
        reply = role.get(f"/products/{product}", within=ANSWER_SECONDS * waiting.factor())
    except LearnerBroke as broke:
        if broke.code != "L-TIME":
            raise
        code, seen = "error-is-kept", f"no answer in {ANSWER_SECONDS * waiting.factor():.0f} s"
    else:
        if reply.status == 200 and not difference(card, reply.json):
            return
        code = "error-is-kept" if reply.status in (200, 503) else "error-became-an-answer"
        seen = f"{reply.status} {quote(reply.body, 100)}"
    fail(
        code,
        what + f" A request that came to {role.name} after that was looked at.",
        expected="200 and the right card, at once",
        observed=seen,
        look=f"{SEE_REDIS}\nroadmap-labs logs catalog",
        hint=3,
    )


def _one_rebuild(shop: Shop, readers: list[Role], watched: float, where: str) -> None:
    product = shop.product()
    shop.counting_works(readers[0])
    card = shop.card(product)
    before = shop.sql.snapshot()
    with gate(shop, product) as closed:
        crowd = Crowd(shop, readers, product)
        first_waiter(closed, product)
        crowd.arrive()
        began = time.monotonic()
        most = closed.most(watched, enough=2)
        seconds = time.monotonic() - began
        what = f"{len(readers)} requests for product {product}, which was not in the cache, came at once, {where}."
        early = crowd.held.ended
        if most > 1:
            fail(
                "many-rebuilds",
                what,
                expected="1 query that loads the card, and everybody else waits for it",
                observed=f"{len(closed.waiters())} card queries at the same time, after {seconds:.1f} s",
                look=SEE_WAITERS,
                hint=1 if seconds < 0.5 else 2,
            )
        closed.open()
        replies = crowd.answers()
    for reply in replies:
        expect_status(reply, 200, after=f", one of {len(readers)} that came at once", hint=2)
        wrong = difference(card, reply.json)
        if wrong:
            fail(
                "wrong-card",
                what,
                expected="the same right card for all",
                observed=wrong,
                look=SEE_REDIS,
                hint=2,
            )
    ran = shop.sql.ran_since(before)
    if shop.card_calls(ran) != 1:
        _not_one(shop, ran, what, early)


def _not_one(shop: Shop, ran: Ran, what: str, early: int) -> None:
    fail(
        "many-rebuilds" if shop.card_calls(ran) > 1 else "uncounted-rebuild",
        what
        + " All of them were answered, then the calls were counted."
        + (f" {early} came early." if early else ""),
        expected="1 call of the card query",
        observed=str(ran),
        look=SEE_STATEMENTS,
        hint=2,
    )


def _takes_over(closed: Gate, role: Role, product: int) -> None:
    """Ends the check unless a query of this replica comes to the gate."""

    def there() -> bool:
        return any(one.address == role.address for one in closed.waiters())

    if not waiting.reached(there, FIRST_WAITER, every=0.01)[0]:
        fail(
            "lock-never-ends",
            f"A replica has been loading product {product} for longer than its lock may live ({SHORT_LOCK_MS} ms). "
            f"Then {role.name} was asked for it.",
            expected=f"{role.name} takes over",
            observed=f"no card query of {role.name} in {FIRST_WAITER * waiting.factor():.0f} s",
            look=SEE_REDIS,
            hint=2,
        )
