"""T4: a 201 is a promise of two hosts."""

from __future__ import annotations

from functools import partial

from cluster import SEE_FOLLOWERS, Cluster, followers, see
from shop import SHORT, Shop, answered, refs_on

from roadmap_labs.harness import fail, held, needs, quote
from roadmap_labs.harness.crowd import gathered
from roadmap_labs.harness.waiting import factor, reached

READ_SECONDS = 10.0  # the solution needs 1.5 s while a standby is frozen
BACK_SECONDS = 30.0  # for a 201 after the standby runs on; the solution needs 0.1 s
SEE_WAITING = see("pg-a", "select pid, query from pg_stat_activity where wait_event = 'SyncRep'")


@needs("t1_streaming")
def test_t4_no_ack_without_standby(cluster: Cluster) -> None:
    """No order is confirmed while only one host has it"""
    shop = _ready(cluster)
    bodies = [cluster.body() for _ in range(5)]
    with cluster.lab.paused(cluster.b.container):
        shop.refused(
            bodies,
            code="confirmed-by-one-host",
            story="pg-b was frozen, and 5 orders were placed.",
            hint=1,
        )
    shop.place_patiently(
        shop.first,
        cluster.body(),
        BACK_SECONDS,
        code="no-orders-after-freeze",
        story="pg-b was frozen for some seconds and runs again; since then an order is being placed.",
    )


@needs("t1_streaming")
def test_t4_standby_is_synchronous(cluster: Cluster) -> None:
    """pg-a itself waits for pg-b, whoever writes"""
    a = cluster.whole()
    sql = (
        "select count(*) from pg_stat_replication"
        " where application_name = 'pg-b' and sync_state in ('sync', 'quorum')"
    )
    if not reached(lambda: a.value(sql) == 1, 15)[0]:
        fail(
            "standby-not-synchronous",
            "pg-a was asked whose word its commits wait for. What only your service promises, the next program that "
            "writes into this database does not.",
            expected="pg-b with the sync_state sync or quorum",
            observed=followers(a),
            look=SEE_FOLLOWERS,
            hint=2,
        )


@needs("t4_no_ack_without_standby")
def test_t4_repeat_is_no_proof(cluster: Cluster) -> None:
    """Repeating an order while the standby is away proves nothing"""
    shop = _ready(cluster)
    bodies = [cluster.body() for _ in range(5)]
    with cluster.lab.paused(cluster.b.container):
        shop.refused(
            bodies, code="confirmed-by-one-host", story="pg-b was frozen, and 5 orders were placed.", hint=1
        )
        shop.refused(
            bodies,
            code="repeat-confirmed",
            story="pg-b was frozen, 5 orders were answered with 503, and then repeated with the same client_ref.",
            hint=3,
        )


@needs("t4_no_ack_without_standby")
def test_t4_unknown_is_not_a_lie(cluster: Cluster) -> None:
    """After a 503 the same order can be repeated, and exists once"""
    shop = _ready(cluster)
    bodies = [cluster.body() for _ in range(5)]
    with cluster.lab.paused(cluster.b.container):
        shop.refused(
            bodies, code="confirmed-by-one-host", story="pg-b was frozen, and 5 orders were placed.", hint=1
        )
    ids = {}
    for role, body in zip(shop.turns(5), bodies, strict=True):
        found = shop.place_patiently(
            role,
            body,
            BACK_SECONDS,
            code="repeat-refused",
            story="An order was answered with 503 while pg-b was frozen. pg-b runs again, and the order is repeated "
            "with the same client_ref and the same body.",
        )
        ids[str(body["client_ref"])] = found.id
    there = refs_on(cluster.a, ids)
    if there != ids:
        fail(
            "not-once",
            "5 orders were answered with 503, repeated, and then confirmed with 201.",
            expected="one row for each client_ref, with the id of the confirmation",
            observed=f"{len(there)} of 5 rows; {len(set(there.items()) & set(ids.items()))} with that id",
            look=see("pg-a", "select * from shop.orders order by id desc limit 5"),
            hint=3,
        )
    other = {**bodies[0], "qty": int(bodies[0]["qty"]) + 1}
    reply = shop.first.post("/orders", other)
    if reply.status != 409:
        fail(
            "conflict-not-seen",
            "A client_ref that is taken was used for another order.",
            expected='409 {"error": "conflict"}',
            observed=f"status {reply.status}, body {quote(reply.body, 100)}",
            hint=None,
        )


@needs("t4_no_ack_without_standby")
def test_t4_pool_survives(cluster: Cluster) -> None:
    """Writers that wait take nothing away from readers"""
    shop = _ready(cluster)
    cards = [card for _, card in cluster.insert(cluster.a, 10)]
    cluster.caught_up(cluster.a, cluster.b)
    waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
    with cluster.lab.paused(cluster.b.container):
        writers = held([partial(answered, role, cluster.body()) for role in shop.turns(40)])
        reached(lambda: writers.ended == 40 or int(cluster.a.value(waiting)) > 0, 10)
        reads = [
            partial(shop.read, role, cards[number % 10], None, READ_SECONDS * factor())
            for number, role in enumerate(shop.turns(30))
        ]
        replies = gathered(reads, 10)
        failed = [one for one in replies if isinstance(one, Exception)]
        if failed:
            fail(
                "readers-starve",
                f"pg-b was frozen, 40 orders were waiting, and 30 orders were read; {len(failed)} of these reads were "
                "not answered with the order.",
                expected="30 x 200, each within 10 s: pg-a has everything, and reading needs nobody's word",
                observed=quote(getattr(failed[0], "observed", str(failed[0])), 200),
                look=SEE_WAITING,
                hint=3,
            )
        writers.results(20)


def _ready(cluster: Cluster) -> Shop:
    """Everything is well, and an order has just been confirmed."""
    cluster.whole()
    shop = Shop(cluster, **SHORT)
    for role in shop.both:
        shop.place_patiently(role, cluster.body(), 30, code="order-refused",
                             story="An order was placed while both hosts are well.")  # fmt: skip
    return shop
