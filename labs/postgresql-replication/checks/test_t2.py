"""T2: a long absence of the standby."""

from __future__ import annotations

from functools import partial

from cluster import Cluster, Node, see
from shop import SEE_REPLICATION, Shop

from roadmap_labs.harness import LabFault, fail, needs, quote, seeded
from roadmap_labs.harness.crowd import gathered
from roadmap_labs.harness.waiting import reached

ROUNDS = 8  # each a segment of 16 MB: without somebody who asks for them, four are kept
CATCH_UP_SECONDS = 30.0
LEAST_MB = 256
SEE_SLOTS = see("pg-a", "select slot_name, active, restart_lsn, wal_status from pg_replication_slots")


@needs("t1_streaming")
def test_t2_catches_up_after_absence(cluster: Cluster) -> None:
    """pg-b goes on where it stopped, however long it was away"""
    a, b = cluster.whole(), cluster.b
    lab = cluster.lab
    marker = f"lab-was-here-{seeded.nonce(cluster.random)}"
    _leave_marker(cluster, b, marker)
    _say_in_log(a, marker)
    b.hang_up()
    lab.stop(b.container)
    cluster.insert(a, 5)
    for _ in range(ROUNDS):
        cluster.fill(a, 1_000_000)
        a.rows("select pg_switch_wal()")
        a.rows("checkpoint")
    cluster.insert(a, 5)
    rows = a.value("select count(*) from shop.orders")
    lab.start(b.container)
    story = (
        f"pg-b was stopped, pg-a wrote {ROUNDS} segments of log ({ROUNDS * 16} MB) with a checkpoint after each, and "
        f"pg-b was started again."
    )
    done, missing = cluster.caught_up(a, b, CATCH_UP_SECONDS)
    there = b.glimpse("select count(*) from shop.orders")
    if not done or there != rows:
        behind = f"{missing} bytes are missing" if missing else f"{there} of {rows} orders"
        fail(
            "never-catches-up",
            f"{story} {cluster.doing(b)}",
            expected=f"pg-b where pg-a is, within {CATCH_UP_SECONDS:g} s",
            observed=f"{behind}; the log of pg-b: {_complaint(cluster, b)}",
            look="roadmap-labs logs pg-b",
            hint=1,
        )
    kept = lab.inside(b.container, ["test", "-e", f"/var/lib/postgresql/data/{marker}"]).exit_code == 0
    copied = _since(lab.logs(a.container, 500), marker).count("BASE_BACKUP")
    if not kept or copied:
        fail(
            "copied-anew",
            f"{story} pg-b has everything, but how did it get it?",
            expected="the data directory that it had, and only the log that it had missed",
            observed=f"{'the directory was emptied' if not kept else 'its directory is the old one'}; "
            f"pg-a logged {copied} new base backup{'s' if copied != 1 else ''}",
            look="roadmap-labs logs pg-a",
            hint=3,
        )


@needs("t1_streaming")
def test_t2_slot_in_use(cluster: Cluster) -> None:
    """A replication slot on pg-a is held by the standby"""
    a = cluster.whole()
    sql = (
        "select count(*) from pg_replication_slots s join pg_stat_replication r on r.pid = s.active_pid"
        " where s.slot_type = 'physical' and s.active and r.application_name = 'pg-b'"
    )
    if not reached(lambda: a.value(sql) == 1, 15)[0]:
        slots = a.rows("select slot_name, slot_type, active from pg_replication_slots")
        fail(
            "slot-not-used",
            "pg-b streams. The replication slots on pg-a were listed.",
            expected="one physical slot that is active, held by the connection of pg-b",
            observed="\n".join(
                f"{quote(str(name), 40)}, {kind}, {'active' if active else 'not active'}"
                for name, kind, active in slots
            )
            or "no slot at all",
            look=SEE_SLOTS,
            hint=3,
        )


@needs("t1_streaming")
def test_t2_slot_is_bounded(cluster: Cluster) -> None:
    """A forgotten slot can't fill the disk of the primary"""
    a = cluster.whole()
    megabytes = int(a.value("select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size'"))
    if megabytes < LEAST_MB:
        fail(
            "slot-without-end" if megabytes < 0 else "slot-too-small",
            "The limit of what a slot may keep on pg-a was read.",
            expected=f"max_slot_wal_keep_size of at least {LEAST_MB} MB, and not without an end",
            observed="-1: as much as the disk holds" if megabytes < 0 else f"{megabytes} MB",
            look=see("pg-a", "show max_slot_wal_keep_size"),
            hint=2,
        )


@needs("t1_streaming")
def test_t2_absence_is_visible(cluster: Cluster) -> None:
    """While pg-b is away it is not in rotation, and every read is answered"""
    a, b = cluster.whole(), cluster.b
    cards = [card for _, card in cluster.insert(a, 5)]
    shop = Shop(cluster)
    shop.in_rotation()
    b.hang_up()
    with cluster.lab.stopped(b.container):
        shop.until(
            lambda found: not any(one.get("in_rotation") for one in found["replicas"]),
            20,
            code="still-in-rotation",
            story="pg-b was stopped.",
            expected="no replica in rotation",
            hint=3,
        )
        reads = [
            partial(shop.read, role, cards[number % 5], within=10)
            for number, role in enumerate(shop.turns(20))
        ]
        failed = [one for one in gathered(reads, 5) if isinstance(one, Exception)]
        if failed:
            fail(
                "reads-lost",
                f"pg-b was stopped, and 20 orders were read; {len(failed)} reads were not answered with the order.",
                expected="20 x 200: pg-a has everything",
                observed=quote(getattr(failed[0], "observed", str(failed[0])), 200),
                look=SEE_REPLICATION,
                hint=3,
            )
    cluster.answering(b)


def _leave_marker(cluster: Cluster, node: Node, marker: str) -> None:
    ended = cluster.lab.inside(node.container, ["touch", f"/var/lib/postgresql/data/{marker}"])
    if ended.exit_code:
        raise LabFault(f"No file could be put into the data directory of {node.name}: {quote(ended.output)}")


def _say_in_log(node: Node, words: str) -> None:
    node.rows(f"do $$ begin raise log 'mark {words}'; end $$")


def _since(log: str, words: str) -> str:
    _, found, after = log.rpartition(f"mark {words}")
    if not found:
        raise LabFault("The checks' mark is missing in the log of pg-a.")
    return after


def _complaint(cluster: Cluster, node: Node) -> str:
    lines = [
        line
        for line in cluster.lab.logs(node.container, 60).splitlines()
        if "FATAL" in line or "ERROR" in line
    ]
    return quote(lines[-1] if lines else "nothing", 240)
