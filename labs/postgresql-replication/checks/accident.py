"""The accident: pg-b is cut off, pg-a dies, pg-b is promoted, pg-a comes back. Played once for several checks, which
judge what they saw of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cluster import RETURNED, Cluster, Node
from shop import SHORT, Placed, Shop, answered, is_refusal, placed, shown

from roadmap_labs.harness import CheckFailed, LabFault, LearnerBroke, Reply, Role, fail, quote, together
from roadmap_labs.harness.crowd import gathered
from roadmap_labs.harness.lab import Ended
from roadmap_labs.harness.verdicts import Blocked
from roadmap_labs.harness.waiting import reached

PROMOTE = ("bash", "/lab/ops/promote.sh")
REJOIN = ("bash", "/lab/ops/rejoin.sh")
BACK_SECONDS = 20.0
DECIDE_SECONDS = 8.0
TIMELINE = "select timeline_id from pg_control_checkpoint()"
PRIMARY_TIMELINE = "select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer"


@dataclass
class Story:
    """What was seen of one accident."""

    confirmed: list[Placed] = field(default_factory=list)  # orders answered with 201, all of them
    unconfirmed: int = 0  # orders answered with 503 while pg-b was cut off
    lost: tuple[str, ...] = ()  # client_refs that only pg-a has, written by the checks
    outage_reads: int = 0  # old orders that were asked for before the promotion
    outage_silence: list[str] = field(default_factory=list)  # what went wrong with some of them
    outage_posts: list[Any] = field(default_factory=list)
    timelines: tuple[int, int] = (0, 0)  # before and after the promotion
    missing: list[str] = field(default_factory=list)  # confirmed orders that pg-b does not have
    write_after: float | None = None  # seconds from the promotion to the next 201
    last_answer: str = ""
    app_started: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    promoted_again: Ended | None = None
    primary_still: bool = True


def run_script(cluster: Cluster, node: Node, script: tuple[str, ...], within: float = 55) -> Ended:
    """An operator's script inside a host; one that never ends ends the check."""
    cluster.must_run(node)
    return cluster.lab.inside(node.container, script, within=within)


def story(cluster: Cluster) -> Story:
    """The accident's story; played now, if it was not before. Afterwards pg-b leads, and pg-a is back."""
    memory = cluster.memory
    if memory.broken_story:
        raise Blocked(memory.broken_story)
    if memory.story is None:
        try:
            memory.story = _play(cluster, Story(), whole=True)
        except (CheckFailed, LearnerBroke) as broke:
            memory.broken_story = f"The accident could not be played to its end: {broke.message}"
            raise
    found: Story = memory.story
    return found


def returned(cluster: Cluster) -> Shop:
    """pg-b leads, and pg-a is back from an accident with rows of its own; played now, where it is not so already."""
    if cluster.memory.shape != RETURNED:
        _play(cluster, Story(), whole=False)
    return Shop(cluster, **SHORT)


def _play(cluster: Cluster, seen: Story, *, whole: bool) -> Story:
    a, b = cluster.whole(), cluster.b
    lab = cluster.lab
    shop = Shop(cluster, **SHORT)
    seen.app_started = (_starts(cluster, shop), ())
    for role in shop.both:
        seen.confirmed.append(
            shop.place_patiently(role, cluster.body(), 30, code="order-refused",
                                 story="An order was placed while both hosts are well.")
        )  # fmt: skip
    _sell(cluster, shop, seen, 40 if whole else 4)
    a.rows("checkpoint")
    before = int(a.value(PRIMARY_TIMELINE))
    cluster.spoil()
    b.hang_up()
    lab.disconnect(b.container)
    if whole:
        _sell(cluster, shop, seen, 20)
    seen.lost = tuple(card["client_ref"] for _, card in cluster.insert(a, 3, "lost"))
    cluster.memory.diverged = seen.lost
    a.hang_up()
    lab.kill(a.container)
    lab.reconnect(b.container)
    cluster.answering(b)
    if set(seen.lost) & {
        row[0] for row in b.rows("select client_ref from shop.orders where client_ref like 'lost-%'")
    }:
        raise LabFault("pg-b was off the network, and has rows that were written meanwhile.")
    if whole:
        _outage(cluster, shop, seen)
    _promote(cluster, b, seen, before)
    if whole:
        _after(cluster, shop, seen)
    lab.start(a.container)
    # It may come back as a standby, stay down, or wait for the operator, which is a bootstrap.sh that does not end.
    reached(lambda: cluster.status(a) in ("idle", "running", "gone"), DECIDE_SECONDS, every=0.5)
    cluster.memory.shape = RETURNED
    return seen


def _sell(cluster: Cluster, shop: Shop, seen: Story, count: int) -> None:
    bodies = [cluster.body() for _ in range(count)]
    calls = [partial(answered, role, body) for role, body in zip(shop.turns(count), bodies, strict=True)]
    for body, reply in zip(bodies, gathered(calls, min(count, 20)), strict=True):
        if isinstance(reply, Reply) and reply.status == 201:
            seen.confirmed.append(placed(reply, body))
        elif is_refusal(reply):
            seen.unconfirmed += 1


def _outage(cluster: Cluster, shop: Shop, seen: Story) -> None:
    """pg-a is dead, pg-b is there and nobody has promoted it."""

    def served(count: int = 2) -> bool:
        reads = [partial(_read, role, one) for role in shop.both for one in seen.confirmed[:count]]
        seen.outage_reads = len(reads)
        seen.outage_silence = [problem for problem in together(reads) if problem]
        return not seen.outage_silence

    # A few, until the service has noticed who is gone and who is back; where it never does, nobody need ask for more,
    # because a refusal may take its time, and the story has to be told within that of one check.
    if reached(served, 12, every=0.2)[0]:
        served(10)
    calls = [partial(answered, role, cluster.body()) for role in shop.turns(3)]
    seen.outage_posts = gathered(calls)
    for reply in seen.outage_posts:
        if isinstance(reply, Reply) and reply.status == 201:
            seen.missing.append("an order that was confirmed while there was no primary")


def _read(role: Role, one: Placed) -> str:
    """What is wrong with the answer; nothing where it is the order."""
    try:
        reply = role.get(f"/orders/{one.id}", within=10)
    except LearnerBroke as broke:
        return broke.observed
    return "" if reply.status == 200 and reply.json == one.card else shown(reply)


def _promote(cluster: Cluster, b: Node, seen: Story, before: int) -> None:
    ended = run_script(cluster, b, PROMOTE)
    if ended.exit_code:
        fail(
            "promote-failed",
            "pg-a was killed, and ops/promote.sh was run on pg-b.",
            expected="exit code 0",
            observed=f"exit code {ended.exit_code}: {quote(ended.output[-300:], 300)}",
            look="roadmap-labs logs pg-b",
            hint=3,
        )
    done, _ = reached(lambda: b.glimpse("select pg_is_in_recovery()") is False, BACK_SECONDS)
    if not done:
        fail(
            "not-promoted",
            f"pg-a was killed, and ops/promote.sh ended with 0 on pg-b {BACK_SECONDS:g} s ago.",
            expected="pg-b is a primary",
            observed="pg-b is still in recovery",
            look="roadmap-labs logs pg-b",
            hint=3,
        )
    seen.timelines = (before, int(b.value(PRIMARY_TIMELINE)))


def _after(cluster: Cluster, shop: Shop, seen: Story) -> None:
    b, began = cluster.b, time.monotonic()
    for role in shop.both:
        body = cluster.body()

        def taken(role: Any = role, body: dict[str, Any] = body) -> bool:
            reply = answered(role, body)
            seen.last_answer = shown(reply)
            if isinstance(reply, Reply) and reply.status == 201:
                seen.confirmed.append(placed(reply, body))
                return True
            return False

        left = BACK_SECONDS - (time.monotonic() - began)
        if left <= 0 or not reached(taken, left, every=0.2)[0]:
            break
    else:
        seen.write_after = time.monotonic() - began
    rows = {str(ref): (int(number), str(sku), int(qty)) for ref, number, sku, qty in
            b.rows("select client_ref, id, sku, qty from shop.orders")}  # fmt: skip
    seen.missing += [
        one.body["client_ref"]
        for one in seen.confirmed
        if rows.get(one.body["client_ref"]) != (one.id, one.body["sku"], one.body["qty"])
    ]
    seen.promoted_again = run_script(cluster, b, PROMOTE)
    seen.primary_still = b.glimpse("select pg_is_in_recovery()") is False
    seen.app_started = (seen.app_started[0], _starts(cluster, shop))


def _starts(cluster: Cluster, shop: Shop) -> tuple[str, ...]:
    return tuple(str(cluster.lab.state(role.name)["started_at"]) for role in shop.both)
