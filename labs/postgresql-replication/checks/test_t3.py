"""T3: reads go to the standby, and nobody sees a world older than the one they know."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cluster import Cluster, Node
from shop import SEE_READS, SEE_REPLICATION, TOKEN, Counted, Placed, Shop, replica, shown

from roadmap_labs.harness import LabFault, LearnerBroke, Reply, fail, needs, quote
from roadmap_labs.harness.waiting import factor

LIMIT = 1_048_576  # MAX_REPLICA_LAG_BYTES, the default of the contract
BOUNDARY = 0x1000_0000  # where positions get one digit more: 0/FFFFFFF, then 0/10000000
BEFORE = 400_000  # bytes of log between the pause and the boundary; a checkpoint makes the first order cost 100,000
ORDERS = 20
FAR = "FFFFFFFF/FFFFFFFF"


@needs("t1_streaming")
def test_t3_reads_use_the_replica(cluster: Cluster) -> None:
    """Reads without a token are served by the standby"""
    a, b = cluster.whole(), cluster.b
    cards = [card for _, card in cluster.insert(a, 10)]
    cluster.caught_up(a, b)
    shop = Shop(cluster)
    shop.in_rotation()
    _proves_counting(a, b)
    with Counted(a, b) as counted:
        for number, role in enumerate(shop.turns(40)):
            shop.read(role, cards[number % 10])
    on_a, on_b = counted.reads(a), counted.reads(b)
    if on_b < 36 or on_a > 4:
        fail(
            "reads-on-primary",
            "40 orders were read without a token while pg-b was up to date. The hosts counted who was asked.",
            expected="at least 36 reads of shop.orders on pg-b, at most 4 on pg-a",
            observed=f"{on_b} on pg-b, {on_a} on pg-a",
            look=SEE_READS,
            hint=3,
        )


@needs("t1_streaming")
def test_t3_writes_use_the_primary(cluster: Cluster) -> None:
    """Orders are written on the primary, once each"""
    a, b = cluster.whole(), cluster.b
    shop = Shop(cluster)
    shop.in_rotation()
    with Counted(a, b) as counted:
        for role in shop.turns(10):
            shop.place(role, cluster.body())
    if counted.inserts(a) != 10:
        fail(
            "not-one-insert-each",
            "10 orders were placed, 5 through each instance; all were confirmed.",
            expected="10 calls of an INSERT into shop.orders on pg-a",
            observed=f"{counted.inserts(a)} on pg-a, {counted.inserts(b)} on pg-b",
            look=SEE_READS.replace("pg-b", "pg-a"),
            hint=None,
        )


@dataclass
class Frozen:
    """pg-b shows an old world, and these orders are newer."""

    shop: Shop
    old: list[dict[str, object]]
    placed: list[Placed]
    paused_at: float


@needs("t1_streaming")
def test_t3_read_your_writes(cluster: Cluster) -> None:
    """A read with a token sees the write that gave it, through any instance"""
    frozen = _frozen(cluster)
    shop = frozen.shop
    _orders_across_the_boundary(cluster, frozen, read=True)
    # A memory of a few seconds would be over by now.
    time.sleep(max(0.0, frozen.paused_at + 5 - time.monotonic()))
    for number, placed in enumerate(frozen.placed[:5]):
        _sees(shop, placed, number + 1, "Five seconds later, with pg-b as far behind as before,")
    lag = _lag(cluster)
    if lag > LIMIT:
        raise LabFault(f"pg-b fell {lag} bytes behind, more than it may; the check has written too much.")


@needs("t1_streaming")
def test_t3_stale_is_allowed_without_token(cluster: Cluster) -> None:
    """Whoever brings no token is served by the standby, also when it lags a little"""
    a, b = cluster.whole(), cluster.b
    cards = [card for _, card in cluster.insert(a, 10)]
    cluster.caught_up(a, b)
    shop = Shop(cluster)
    shop.in_rotation()
    cluster.pause_replay()
    cluster.fill(a, 300_000)
    shop.place(shop.first, cluster.body())
    shop.until(
        lambda found: int(replica(found, "pg-b").get("lag_bytes") or 0) >= 250_000,
        20,
        code="lag-not-shown",
        story="Replay on pg-b was paused, and pg-a wrote 300,000 bytes of log.",
        expected='pg-b with "lag_bytes" of at least 250000',
        hint=1,
    )
    with Counted(a, b) as counted:
        for number, role in enumerate(shop.turns(20)):
            shop.read(role, cards[number % 10])
    if counted.reads(b) < 18:
        fail(
            "flees-to-primary",
            f"pg-b was 300,000 bytes behind, which MAX_REPLICA_LAG_BYTES ({LIMIT}) allows, and 20 old orders were read "
            "without a token.",
            expected="at least 18 of the reads on pg-b",
            observed=f"{counted.reads(b)} on pg-b, {counted.reads(a)} on pg-a",
            look=SEE_REPLICATION,
            hint=3,
        )


@needs("t3_read_your_writes")
def test_t3_token_returns_to_replica(cluster: Cluster) -> None:
    """Once the standby has caught up, it serves the old tokens"""
    a, b = cluster.whole(), cluster.b
    shop = Shop(cluster)
    placed = [shop.place(role, cluster.body()) for role in shop.turns(10)]
    done, missing = cluster.caught_up(a, b)
    if not done:
        raise LabFault(f"pg-b did not replay what pg-a had written; {missing} bytes are missing.")
    shop.in_rotation()
    with Counted(a, b) as counted:
        for one in placed:
            for role in shop.both:
                shop.read(role, one.card, one.token)
    if counted.reads(b) < 18:
        fail(
            "tokens-stay-on-primary",
            "10 orders were placed, pg-b replayed all of them, and then each was read twice with its token.",
            expected="at least 18 of the 20 reads on pg-b: it has what the tokens ask for",
            observed=f"{counted.reads(b)} on pg-b, {counted.reads(a)} on pg-a",
            look=SEE_READS,
            hint=2,
        )


@needs("t1_streaming")
def test_t3_laggard_leaves_rotation(cluster: Cluster) -> None:
    """A standby that is too far behind gets no reads until it has caught up"""
    a, b = cluster.whole(), cluster.b
    cards = [card for _, card in cluster.insert(a, 10)]
    cluster.caught_up(a, b)
    shop = Shop(cluster)
    shop.in_rotation()
    cluster.pause_replay()
    cluster.fill(a, LIMIT + 500_000)

    def too_far(found: dict[str, object]) -> bool:
        one = replica(found, "pg-b")
        return one.get("in_rotation") is False and int(one.get("lag_bytes") or 0) > LIMIT

    story = f"Replay on pg-b was paused, and pg-a wrote {LIMIT + 500_000} bytes of log. pg-b still receives all of it."
    shop.until(too_far, 20, code="laggard-in-rotation", story=story, hint=1,
               expected=f'pg-b with "in_rotation": false and "lag_bytes" above {LIMIT}')  # fmt: skip
    with Counted(a, b) as counted:
        for number, role in enumerate(shop.turns(20)):
            shop.read(role, cards[number % 10])
    if counted.reads(b):
        fail(
            "laggard-serves",
            f"{story} Then 20 orders were read.",
            expected="all of them on pg-a",
            observed=f"{counted.reads(b)} on pg-b, {counted.reads(a)} on pg-a",
            look=SEE_REPLICATION,
            hint=1,
        )
    cluster.resume_replay()
    shop.in_rotation()


@needs("t1_streaming")
def test_t3_garbage_token(cluster: Cluster) -> None:
    """A token that makes no sense breaks nothing and holds up nobody"""
    a, b = cluster.whole(), cluster.b
    number, card = cluster.insert(a)[0]
    cluster.caught_up(a, b)
    shop = Shop(cluster)
    shop.in_rotation()
    tokens = ("", "x", "0", "0/", "/1", "0/XYZ", "1/2/3", "-1/5", "FFFFFFFFF/0", "0/3000148; drop", "9" * 300)
    for token in (*tokens, cluster.ref()):
        reply = _read_with(shop, number, token)
        if not isinstance(reply, Reply) or reply.status not in (200, 400):
            fail(
                "garbage-breaks-it",
                f"An order was read with the token “{quote(token, 40)}”.",
                expected="400, or 200 and the order; within 10 s",
                observed=shown(reply),
                look="roadmap-labs logs app",
                hint=3,
            )
    reply = _read_with(shop, number, FAR)
    if not isinstance(reply, Reply) or reply.status != 200 or reply.json != card:
        fail(
            "waits-for-the-future",
            f"An order was read with the token {FAR}, a position that no server will reach.",
            expected="200 and the order, from the primary: it has everything that there is",
            observed=shown(reply),
            look="roadmap-labs logs app",
            hint=3,
        )


# -- what several of them use


def _proves_counting(*nodes: Node) -> None:
    for node in nodes:
        node.sql.proves_itself()


def _read_with(shop: Shop, number: int, token: str) -> Reply | LearnerBroke:
    try:
        return shop.first.get(f"/orders/{number}", headers={TOKEN: token}, within=10 * factor())
    except LearnerBroke as broke:
        return broke


def _frozen(cluster: Cluster) -> Frozen:
    """Replay stops shortly before positions get one digit more."""
    a, b = cluster.whole(), cluster.b
    if a.position > BOUNDARY - 2 * BEFORE:
        cluster.spoil()
        a, b = cluster.whole(), cluster.b
    segment = int(a.value("select setting::bigint from pg_settings where name = 'wal_segment_size'"))
    while a.position < BOUNDARY - segment:
        a.rows("select pg_switch_wal()")
        cluster.fill(a, 100)  # a segment in which nothing stands is not left
    a.rows("checkpoint")
    cluster.fill(a, BOUNDARY - BEFORE - a.position)
    done, missing = cluster.caught_up(a, b)
    if not done:
        raise LabFault(f"pg-b did not replay what pg-a had written; {missing} bytes are missing.")
    old = [card for _, card in cluster.insert(a, 5)]
    cluster.caught_up(a, b)
    shop = Shop(cluster)
    shop.in_rotation()
    cluster.pause_replay()
    return Frozen(shop, old, [], time.monotonic())


def _orders_across_the_boundary(cluster: Cluster, frozen: Frozen, *, read: bool) -> None:
    shop, a = frozen.shop, cluster.a
    for number, role in enumerate(shop.turns(ORDERS)):
        if number == ORDERS // 2:
            cluster.fill(a, max(BOUNDARY - a.position + 20_000, 0))
        placed = shop.place(role, cluster.body())
        frozen.placed.append(placed)
        if read:
            _sees(shop, placed, number + 1, "")
    if a.position < BOUNDARY or _number(frozen.placed[0].token) >= BOUNDARY:
        raise LabFault("The orders were to cross the position 0/10000000, and did not.")


def _sees(shop: Shop, placed: Placed, number: int, when: str) -> None:
    """The order is found through the other instance than the one that stored it."""
    writer = shop.both[(number - 1) % 2]
    reader = shop.other(writer)
    reply = reader.get(f"/orders/{placed.id}", headers={TOKEN: placed.token})
    if reply.status != 200 or reply.json != placed.card:
        fail(
            "older-than-the-token",
            f"{when or 'While pg-b lagged behind,'} order {number} of {ORDERS} was read through {reader.name}, with "
            f"the token {placed.token} that {writer.name} had given for it. Where does {reader.name} know from what "
            "its host has not seen?",
            expected="200 and the order",
            observed=shown(reply),
            look=SEE_REPLICATION,
            hint=1,
        )


def _number(position: str) -> int:
    high, low = position.split("/")
    return int(high, 16) << 32 | int(low, 16)


def _lag(cluster: Cluster) -> int:
    return cluster.a.position - cluster.b.position
