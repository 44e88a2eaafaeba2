"""T6: the way back of the old primary."""

from __future__ import annotations

from accident import PROMOTE, REJOIN, returned, run_script
from cluster import REJOINED, Cluster, Node, followers, see
from shop import SEE_REPLICATION, SHORT, Shop, refs_on, replica

from roadmap_labs.harness import LabFault, LearnerBroke, fail, needs, quote
from roadmap_labs.harness.waiting import reached

BACK_SECONDS = 25.0
SEE_B = see("pg-b", "select application_name, state, sync_state from pg_stat_replication")
_STREAMS = (
    "select count(*) from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid"
    " where r.application_name = 'pg-a' and r.state = 'streaming' and s.slot_type = 'physical'"
)
_DIGEST = "select md5(coalesce(string_agg(o::text, '|' order by o.id), '')) from shop.orders o"


@needs("t1_streaming")
def test_t6_rejoin(cluster: Cluster) -> None:
    """After rejoin.sh pg-a follows pg-b, and has nothing that pg-b has not"""
    _rejoined(cluster)


@needs("t6_rejoin")
def test_t6_sync_again(cluster: Cluster) -> None:
    """In the new direction, too, a 201 is a promise"""
    shop = _rejoined(cluster)
    b = cluster.b
    sql = (
        "select count(*) from pg_stat_replication"
        " where application_name = 'pg-a' and sync_state in ('sync', 'quorum')"
    )
    if not reached(lambda: b.value(sql) == 1, 15)[0]:
        fail(
            "alone-for-ever",
            "pg-a was made a standby of pg-b by ops/rejoin.sh.",
            expected="pg-b waits for pg-a: sync_state sync or quorum",
            observed=followers(b),
            look=SEE_B,
            hint=3,
        )
    with cluster.lab.paused(cluster.a.container):
        shop.refused(
            [cluster.body() for _ in range(3)],
            code="confirmed-by-one-host",
            story="pg-a follows pg-b since ops/rejoin.sh; it was frozen, and 3 orders were placed.",
            hint=3,
        )
    _takes_orders(cluster, shop, "pg-a was frozen for some seconds and runs again.")


@needs("t6_rejoin")
def test_t6_new_direction(cluster: Cluster) -> None:
    """Orders and reads go the new way, and /replication says so"""
    shop = _rejoined(cluster)
    shop.until(
        lambda found: (
            found.get("primary") == "pg-b"
            and int(found.get("timeline") or 0) > 1
            and [one.get("node") for one in found["replicas"]] == ["pg-a"]
            and replica(found, "pg-a").get("state") == "streaming"
            and replica(found, "pg-a").get("in_rotation") is True
        ),
        20,
        code="old-direction",
        story="pg-b was promoted, and pg-a follows it since ops/rejoin.sh.",
        expected="primary pg-b, a timeline above 1, and one replica: pg-a, streaming, in rotation",
        hint=None,
    )
    for role in shop.both:
        one = shop.place_patiently(role, cluster.body(), 20, code="no-orders-after-rejoin",
                                   story="pg-a follows pg-b since ops/rejoin.sh, and an order was placed.")  # fmt: skip
        shop.read(shop.other(role), one.card, one.token)
        if refs_on(cluster.b, [one.body["client_ref"]]) != {one.body["client_ref"]: one.id}:
            fail("order-elsewhere", "pg-b leads, and an order was confirmed.", expected="the order on pg-b",
                 observed="no such row there", look=SEE_REPLICATION, hint=None)  # fmt: skip


@needs("t6_rejoin")
def test_t6_lost_standby_is_dropped(cluster: Cluster) -> None:
    """promote.sh on a primary that lost its standby lets orders in again"""
    shop = _rejoined(cluster)
    cluster.spoil()
    cluster.a.hang_up()
    cluster.lab.kill(cluster.a.container)
    shop.refused(
        [cluster.body() for _ in range(2)],
        code="confirmed-by-one-host",
        story="pg-b leads, its standby pg-a was killed, and nobody has decided anything yet.",
        hint=2,
    )
    ended = run_script(cluster, cluster.b, PROMOTE)
    if ended.exit_code:
        fail(
            "promote-failed",
            "pg-b leads and has lost its standby. The operator ran ops/promote.sh on pg-b.",
            expected="exit code 0: the operator's word that this host is the whole cluster",
            observed=f"exit code {ended.exit_code}: {quote(ended.output[-200:], 200)}",
            look="roadmap-labs logs pg-b",
            hint=2,
        )
    _takes_orders(cluster, shop, "pg-b leads, has lost its standby, and ops/promote.sh was run on it.")


def _rejoined(cluster: Cluster) -> Shop:
    """pg-a follows pg-b; by ops/rejoin.sh, run and judged now where it is not so already."""
    if cluster.memory.shape == REJOINED:
        return Shop(cluster, **SHORT)
    shop = returned(cluster)
    a, b = cluster.a, cluster.b
    cluster.spoil()
    ended = run_script(cluster, a, REJOIN)
    told = (
        "pg-a was killed with rows that pg-b had never seen, pg-b was promoted, pg-a started again, and ops/rejoin.sh "
        "run on pg-a."
    )
    if ended.exit_code:
        fail("rejoin-failed", told, expected="exit code 0",
             observed=f"exit code {ended.exit_code}: {quote(ended.output[-300:], 300)}",
             look="roadmap-labs logs pg-a", hint=3)  # fmt: skip
    _one_history(cluster, a, b, told)
    cluster.memory.shape = REJOINED
    return shop


def _one_history(cluster: Cluster, a: Node, b: Node, told: str) -> None:
    """pg-a streams from pg-b and has its orders. A host that can't follow may stream for a moment, again and again."""
    if not cluster.memory.diverged:
        raise LabFault("The accident left no row that only pg-a has.")

    def follows() -> bool:
        return b.value(_STREAMS) == 1 and a.glimpse("select pg_is_in_recovery()") is True

    def same() -> bool:
        return follows() and a.glimpse(_DIGEST) == b.value(_DIGEST) and not _left(cluster, a)

    if reached(same, BACK_SECONDS, every=0.2)[0]:
        return
    left = _left(cluster, a)
    if left:
        fail(
            "histories-differ",
            told,
            expected="the same orders on both hosts, without those that only pg-a had",
            observed=f"{left} of {len(cluster.memory.diverged)} such rows are still on pg-a; {_complaint(cluster, a)}",
            look="roadmap-labs logs pg-a",
            hint=1,
        )
    fail(
        "not-following",
        told,
        expected=f"pg-a in recovery, streaming from pg-b through a slot, with its orders, within {BACK_SECONDS:g} s",
        observed=f"{followers(b)}; {_complaint(cluster, a)}",
        look="roadmap-labs logs pg-a",
        hint=3,
    )


def _left(cluster: Cluster, node: Node) -> int:
    """How many of the rows that only the old primary had a host still has; none, where it does not answer."""
    try:
        return len(refs_on(node, cluster.memory.diverged))
    except LearnerBroke:
        return 0


def _takes_orders(cluster: Cluster, shop: Shop, told: str) -> None:
    for role in shop.both:
        shop.place_patiently(role, cluster.body(), BACK_SECONDS, code="no-orders-again",
                             story=f"{told} Since then an order is being placed.")  # fmt: skip


def _complaint(cluster: Cluster, node: Node) -> str:
    lines = [
        line
        for line in cluster.lab.logs(node.container, 60).splitlines()
        if "FATAL" in line or "ERROR" in line
    ]
    return quote(lines[-1] if lines else "its log complains of nothing", 240)
