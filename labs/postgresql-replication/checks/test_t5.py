"""T5: the primary is lost."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import Any

import pg8000.exceptions
import pg8000.native
from accident import BACK_SECONDS, PROMOTE, returned, run_script, story
from cluster import Cluster, Node, see
from shop import SEE_REPLICATION, Shop, answered, is_refusal, placed, refs_on, replica, shown

from roadmap_labs.harness import LearnerBroke, Reply, fail, needs, quote
from roadmap_labs.harness.crowd import gathered
from roadmap_labs.harness.waiting import factor, reached

NOTICE_SECONDS = 15.0
FENCE_SECONDS = 20.0


@needs("t1_streaming")
def test_t5_promote_is_idempotent(cluster: Cluster) -> None:
    """promote.sh refuses while the primary is well, and may be run twice after it died"""
    if cluster.memory.story is None:
        a, b = cluster.whole(), cluster.b
        ended = run_script(cluster, b, PROMOTE)
        standby = reached(lambda: b.value("select pg_is_in_recovery()") is True, 2)[0]
        if not standby:
            cluster.spoil()
        if not standby or not ended.exit_code or a.value("select pg_is_in_recovery()"):
            fail(
                "promoted-beside-a-primary",
                "ops/promote.sh was run on pg-b while pg-a was a healthy primary.",
                expected="an exit code other than 0, and nothing changed: two primaries are worse than none",
                observed=f"exit code {ended.exit_code}; pg-b is {'still a standby' if standby else 'a primary now'}",
                look="roadmap-labs logs pg-b",
                hint=3,
            )
    seen = story(cluster)
    again = seen.promoted_again
    if again is None or again.exit_code or not seen.primary_still:
        fail(
            "second-promotion-fails",
            "pg-a was killed, pg-b promoted, and ops/promote.sh run on pg-b once more.",
            expected="exit code 0, and pg-b is still the primary",
            observed=f"exit code {again.exit_code if again else '?'}: {quote(again.output if again else '', 200)}; "
            f"pg-b is {'a primary' if seen.primary_still else 'no primary'}",
            look="roadmap-labs logs pg-b",
            hint=3,
        )


@needs("t1_streaming")
def test_t5_every_201_survives(cluster: Cluster) -> None:
    """Every order that was confirmed is on the promoted host"""
    seen = story(cluster)
    told = (
        f"{len(seen.confirmed) + seen.unconfirmed} orders were placed; for some of them pg-b was off the network. Then "
        "pg-a was killed and pg-b promoted."
    )
    if len(seen.confirmed) < 30:
        fail(
            "hardly-any-orders",
            told,
            expected="at least 30 orders confirmed, most of them before the accident",
            observed=f"{len(seen.confirmed)} confirmed, {seen.unconfirmed} answered with 503",
            look="roadmap-labs logs app",
            hint=None,
        )
    if seen.missing:
        fail(
            "confirmed-and-lost",
            told,
            expected=f"all {len(seen.confirmed)} orders that were answered with 201 on pg-b",
            observed=f"{len(seen.missing)} are missing or differ, first {quote(seen.missing[0], 60)}",
            look=see("pg-b", "select count(*) from shop.orders"),
            hint=1,
        )
    before, after = seen.timelines
    if after <= before:
        fail(
            "same-timeline",
            "pg-a was killed and pg-b promoted. A promotion begins a new timeline; it is all by which a server can "
            "tell later who has the right history.",
            expected=f"a timeline above {before} on pg-b",
            observed=f"timeline {after}",
            look=see("pg-b", "select pg_walfile_name(pg_current_wal_lsn())"),
            hint=2,
        )


@needs("t1_streaming")
def test_t5_reads_during_outage(cluster: Cluster) -> None:
    """Between the accident and the promotion orders can be read, and none is confirmed"""
    seen = story(cluster)
    if seen.outage_silence:
        fail(
            "outage-stops-reads",
            f"pg-a was dead, pg-b answered and was not promoted yet. Old orders were read through both instances; "
            f"{len(seen.outage_silence)} of {seen.outage_reads} were not answered.",
            expected="200 and the order, each time",
            observed=quote(seen.outage_silence[0], 200),
            look="roadmap-labs logs app",
            hint=None,
        )
    wrong = [reply for reply in seen.outage_posts if not is_refusal(reply)]
    if wrong:
        fail(
            "no-clear-refusal",
            f"pg-a was dead, pg-b not promoted yet, and 3 orders were placed; {len(wrong)} were answered otherwise.",
            expected='503 {"error": "not_acknowledged"} within 15 s',
            observed=shown(wrong[0]),
            look="roadmap-labs logs app",
            hint=None,
        )


@needs("t1_streaming")
def test_t5_writes_return_without_restart(cluster: Cluster) -> None:
    """After the promotion orders are taken again, by the same processes"""
    seen = story(cluster)
    if seen.write_after is None:
        fail(
            "no-orders-after-promotion",
            f"pg-a was killed, ops/promote.sh on pg-b ended with 0, and for {BACK_SECONDS * factor():g} s orders were "
            "placed through both instances.",
            expected="201 from both: after promote.sh the survivor counts as the whole cluster",
            observed=f"last: {seen.last_answer}",
            look=see("pg-b", "show synchronous_standby_names"),
            hint=2,
        )
    before, after = seen.app_started
    if before != after:
        fail(
            "service-restarted",
            "Orders are taken again after the promotion.",
            expected="by the processes that ran before the accident",
            observed="an instance was started anew in between",
            look="roadmap-labs logs app",
            hint=None,
        )


@needs("t1_streaming")
def test_t5_zombie_gets_nothing(cluster: Cluster) -> None:
    """The old primary comes back with its old disk, and nobody writes there"""
    shop = returned(cluster)
    a, b = cluster.a, cluster.b
    if cluster.status(a) == "running":
        _noticed(shop)
    bodies = [cluster.body("late") for _ in range(30)]
    calls = [partial(answered, role, body) for role, body in zip(shop.turns(30), bodies, strict=True)]
    replies = gathered(calls, 10)
    confirmed = [
        placed(reply, body) for body, reply in zip(bodies, replies, strict=True)
        if isinstance(reply, Reply) and reply.status == 201
    ]  # fmt: skip
    told = "pg-b was promoted, pg-a was started again with its old disk, and 30 orders were placed."
    stray = _written_on(a, [str(body["client_ref"]) for body in bodies])
    if stray:
        fail("zombie-gets-orders", told, expected="no order on pg-a: its history has ended",
             observed=f"{stray} of them are on pg-a, which is no standby", look=SEE_REPLICATION, hint=1)  # fmt: skip
    there = refs_on(b, [str(one.body["client_ref"]) for one in confirmed])
    if len(confirmed) < 20 or len(there) < len(confirmed):
        refusals = [reply for reply in replies if not (isinstance(reply, Reply) and reply.status == 201)]
        fail(
            "orders-go-nowhere",
            told,
            expected="at least 20 of them confirmed with 201, and each of those on pg-b",
            observed=f"{len(confirmed)} confirmed, {len(there)} of them on pg-b"
            + (f"; the first of the others: {shown(refusals[0])}" if refusals else ""),
            look=SEE_REPLICATION,
            hint=3,
        )
    last = [""]

    def fenced() -> bool:
        last[:] = [_write_as_service(cluster, a)]
        return last[0] == ""

    if not reached(fenced, FENCE_SECONDS, every=0.5)[0]:
        fail(
            "second-primary",
            "pg-b was promoted, and pg-a started again with its old disk. The checks tried to write an order on pg-a "
            "as any program with the service's login could.",
            expected="pg-a refuses it, or has no server that could take it",
            observed=last[0],
            look="roadmap-labs logs pg-a",
            hint=3,
        )


def _noticed(shop: Shop) -> None:
    """Both instances speak of pg-a again, or had time enough to."""
    deadline = time.monotonic() + NOTICE_SECONDS * factor()
    for role in shop.both:

        def speaks(role: Any = role) -> bool:
            found = shop.replication(role)
            return found.get("primary") == "pg-a" or replica(found, "pg-a").get("state") not in (
                None,
                "unreachable",
            )

        reached(speaks, max(0.0, deadline - time.monotonic()) / factor(), every=0.2)


def _written_on(node: Node, refs: list[str]) -> int:
    """How many of these orders a host has that is no standby."""
    try:
        return 0 if node.value("select pg_is_in_recovery()") else len(refs_on(node, refs))
    except LearnerBroke:
        return 0  # nobody is there to have them


def _write_as_service(cluster: Cluster, node: Node) -> str:
    """What happened to an order that any client could send to this host; nothing where it was refused."""
    try:
        line = pg8000.native.Connection(
            "shop_app", host=node.role.host, port=node.role.port, database="shop",
            password=cluster.lab.secret("db_password"), timeout=5,
        )  # fmt: skip
    except (OSError, KeyError, pg8000.exceptions.Error):
        return ""
    try:
        line.run(
            "insert into shop.orders (client_ref, sku, qty) values (:ref, 'SEAT-1', 1)",
            ref=cluster.ref("zombie"),
        )
    except pg8000.exceptions.DatabaseError:
        return ""
    except (OSError, pg8000.exceptions.Error):
        return "pg-a took the order and waits for somebody to confirm it"
    finally:
        with contextlib.suppress(OSError, pg8000.exceptions.Error):
            line.close()
    return "the order was written"
