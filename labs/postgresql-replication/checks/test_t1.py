"""T1: a streaming standby."""

from __future__ import annotations

import time
from collections.abc import Callable

from cluster import SEE_FOLLOWERS, STREAM_SECONDS, Cluster, Node, followers, see

from roadmap_labs.harness import LabFault, fail, needs, quote, seeded
from roadmap_labs.harness.postgres import login
from roadmap_labs.harness.waiting import reached

ALONE_SECONDS = 5.0
_FOLLOWERS = "select application_name, state from pg_stat_replication"
SEE_RULES = see("pg-a", "select * from pg_hba_file_rules")


def test_t1_streaming(cluster: Cluster) -> None:
    """pg-b streams from pg-a, under its own name"""
    a = cluster.up()
    wanted = [["pg-b", "streaming"]]
    began = time.monotonic()

    def decided() -> bool:
        """They stream; or pg-b has long been a cluster of its own, which never changes by itself."""
        return a.rows(_FOLLOWERS) == wanted or alone.lasts(lambda: _leads(cluster, cluster.b))

    alone = Lasting(ALONE_SECONDS)
    reached(decided, STREAM_SECONDS, every=0.05)
    if a.rows(_FOLLOWERS) != wanted:
        fail(
            "no-standby" if not a.rows(_FOLLOWERS) else "wrong-follower",
            f"Both hosts were started with empty disks. After {time.monotonic() - began:.0f} s pg-a was asked who "
            f"follows it. {cluster.doing(cluster.b)}",
            expected="one row of pg_stat_replication on pg-a: application_name pg-b, state streaming",
            observed=followers(a),
            look=SEE_FOLLOWERS,
            hint=1,
        )


@needs("t1_streaming")
def test_t1_rows_arrive(cluster: Cluster) -> None:
    """A row that is written on pg-a can be read on pg-b"""
    a, b = cluster.up(), cluster.b
    cluster.streams(a, "pg-b")
    number, card = cluster.insert(a)[0]
    target = a.position
    at = "select coalesce(max(replay_lsn) - '0/0'::pg_lsn, 0)::bigint from pg_stat_replication"
    done, _ = reached(lambda: int(a.value(at)) >= target, 20)
    if done:
        cluster.answering(b)
    rows = b.rows("select client_ref, sku, qty from shop.orders where id = :id", id=number) if done else []
    if rows != [[card["client_ref"], card["sku"], card["qty"]]]:
        fail(
            "row-not-there",
            f"The checks wrote order {number} on pg-a and waited 20 s for pg-b to replay it.",
            expected="the row on pg-b",
            observed="pg-b has not replayed the log up to there"
            if not done
            else f"{len(rows)} such rows on pg-b",
            look=SEE_FOLLOWERS,
            hint=2,
        )


@needs("t1_streaming")
def test_t1_standby_refuses_writes(cluster: Cluster) -> None:
    """Nobody can write on pg-b"""
    b = cluster.whole() and cluster.b
    state = b.sql.refusal(
        "insert into shop.orders (client_ref, sku, qty) values (:ref, 'SEAT-1', 1)", ref=cluster.ref()
    )
    recovers = b.value("select pg_is_in_recovery()")
    if state != "25006" or recovers is not True:
        fail(
            "standby-takes-writes",
            "The checks tried to write an order on pg-b.",
            expected="SQLSTATE 25006 (read_only_sql_transaction) from a server in recovery",
            observed=f"{'SQLSTATE ' + state if state else 'the row was written'}; pg_is_in_recovery() is {recovers}",
            look=see("pg-b", "select pg_is_in_recovery()"),
            hint=2,
        )


@needs("t1_streaming")
def test_t1_replication_role(cluster: Cluster) -> None:
    """The role that streams may stream, and nothing else"""
    a = cluster.whole()
    name, streams, rules_all, reads = a.rows(
        "select r.rolname, r.rolreplication, r.rolsuper,"
        " exists (select from pg_class c where c.relkind in ('r', 'p') and c.relnamespace = 'shop'::regnamespace"
        " and has_table_privilege(r.oid, c.oid, 'select'))"
        " from pg_stat_replication s join pg_roles r on r.oid = s.usesysid where s.application_name = 'pg-b'"
    )[0]
    too_much = [
        words for holds, words in ((rules_all, "is a superuser"), (reads, "can read tables")) if holds
    ]
    if not streams or too_much:
        fail(
            "role-may-too-much",
            f"pg-b streams as the role {quote(name, 60)}. Its password lies on both hosts.",
            expected="a role with REPLICATION, no superuser, without any right on the tables of shop",
            observed=f"{quote(name, 60)} {' and '.join(too_much) or 'has no REPLICATION'}",
            look=see("pg-a", "select rolname, rolsuper, rolreplication from pg_roles"),
            hint=3,
        )


@needs("t1_streaming")
def test_t1_hba_is_tight(cluster: Cluster) -> None:
    """Logins need the right password, and the streaming role gets into no database"""
    a, b = cluster.whole(), cluster.b
    for node in (a, b):
        _no_trust(node)
    secret = cluster.lab.secret
    for node in (a, b):
        if _login(node, "shop_app", secret("db_password"), "shop"):
            fail(
                "service-locked-out",
                f"The service's account tried to log in to {node.name} with its password.",
                expected="a login as shop_app into shop, from the network of the hosts",
                observed="it was refused",
                look=SEE_RULES,
                hint=None,
            )
    wrong = seeded.nonce(cluster.random)
    attempts = (
        ("shop_app", wrong, "shop", "shop_app with a wrong password"),
        ("replicator", wrong, "shop", "replicator with a wrong password"),
        (
            "replicator",
            secret("replication_password"),
            "shop",
            "replicator with its password, into the database shop",
        ),
    )
    for user, password, database, words in attempts:
        for node in (a, b):
            refused = _login(node, user, password, database)
            if refused == "?":
                raise LabFault(f"{node.name} answered a login as {user} with nothing that can be read.")
            if not refused:
                fail(
                    "let-in",
                    f"The checks tried to log in to {node.name} as {words}.",
                    expected="a refusal: the streaming role streams, and a password counts",
                    observed="the login succeeded",
                    look=SEE_RULES,
                    hint=2,
                )


class Lasting:
    """Whether something that is dear to ask has been true for a while; it is asked once a second."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._next = time.monotonic() + 2

    def lasts(self, question: Callable[[], bool]) -> bool:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 1
            self._since = (self._since or now) if question() else None
        return self._since is not None and now > self._since + self._seconds


def _leads(cluster: Cluster, node: Node) -> bool:
    ask = ["psql", "-XAtq", "-U", "postgres", "-d", "postgres", "-c", "select not pg_is_in_recovery()"]
    return cluster.lab.inside(node.container, ask).output.strip() == b"t"


def _no_trust(node: Node) -> None:
    rules = node.rows(
        "select line_number, array_to_string(database, ','), array_to_string(user_name, ','), auth_method"
        " from pg_hba_file_rules where type <> 'local' and auth_method = 'trust' order by line_number"
    )
    if rules:
        fail(
            "trusts-strangers",
            f"The access rules that {node.name} has in force were read.",
            expected="no line for host connections with the method trust",
            observed="\n".join(
                f"line {line}: {bases} {users} {method}" for line, bases, users, method in rules[:3]
            ),
            look=SEE_RULES,
            hint=2,
        )


def _login(node: Node, user: str, password: str, database: str) -> str:
    return login(node.role.host, node.role.port, user, password, database)
