"""Work or chatter, and counting between two looks."""

from __future__ import annotations

import pytest

from roadmap_labs.harness.statements import Snapshot, is_work, ran_between

CHATTER = [
    "BEGIN", "begin isolation level read committed", "START TRANSACTION", "COMMIT", "ROLLBACK", "END", "SAVEPOINT $1",
    "SET client_encoding TO $1", "set application_name = $1", "SHOW server_version", "DISCARD ALL", "DEALLOCATE ALL",
    "RESET ALL", "SELECT $1", "select $1;", "SELECT $1 AS one", "select 1", "SELECT NULL", "VALUES ($1)", "",
    "/* ping */ SELECT $1", "-- x\nSELECT $1", ";", "SELECT version()", "select pg_catalog.version()",
    "SELECT current_schema()", "select current_schema(), version()", "SELECT current_database()", "SELECT CURRENT_USER",
    "SELECT set_config($1, $2, $3)", "SELECT pg_backend_pid()", "SELECT pg_advisory_unlock_all()",
    "SELECT t.oid, typarray FROM pg_type t WHERE t.typname = $1",
    "SELECT typname FROM pg_catalog.pg_type JOIN pg_catalog.pg_namespace n ON true",
    "select table_name from information_schema.tables", "LISTEN cards", "UNLISTEN *",
    "WITH x AS (SELECT oid FROM pg_catalog.pg_type) SELECT * FROM x",
]  # fmt: skip
WORK = [
    "SELECT lab.product_card($1, $2)", "select lab.product_card($1,$2)::text", 'SELECT "lab"."product_card"($1, $2)',
    "SELECT * FROM lab.product_card($1, $2)", "SELECT version FROM shop.product WHERE id = $1",
    "select name from product",
    "INSERT INTO shop.product VALUES ($1)", "UPDATE shop.product SET stock = $1 RETURNING version",
    "DELETE FROM shop.product WHERE id = $1", "WITH x AS (DELETE FROM shop.product RETURNING id) SELECT $1",
    "PREPARE p AS SELECT lab.product_card($1, $2)", "DECLARE c CURSOR FOR SELECT $1", "COPY shop.product TO STDOUT",
    "SELECT p.id FROM pg_type t JOIN shop.product p ON true", "SELECT product_card($1, $2)", "CALL x()",
    "SELECT coalesce(lab.product_card($1, $2), $3)", "/* BEGIN */ SELECT lab.product_card($1, $2)",
    "TABLE shop.product",
    "SELECT (SELECT max(version) FROM shop.product)",
]  # fmt: skip


@pytest.mark.parametrize("query", CHATTER)
def test_chatter(query: str) -> None:
    assert not is_work(query)


@pytest.mark.parametrize("query", WORK)
def test_work(query: str) -> None:
    assert is_work(query)


CARD = "SELECT lab.product_card($1, $2)"


def test_only_what_was_added_counts() -> None:
    before = Snapshot({"1": (5, CARD), "2": (9, "BEGIN")}, 0)
    after = Snapshot(
        {"1": (8, CARD), "2": (99, "BEGIN"), "3": (1, "SELECT name FROM shop.product")},
        0,
        ("idle in transaction: X",),
    )
    ran = ran_between(before, after)
    assert ran.total == 4
    assert ran.of(r"\bproduct_card\b") == 3
    assert str(ran).splitlines() == [
        f"3 calls of  {CARD}",
        "1 call of  SELECT name FROM shop.product",
        "a session that is still busy or in a transaction: idle in transaction: X",
    ]


def test_entries_that_were_forgotten_break_nothing() -> None:
    before = Snapshot({"1": (500, CARD), "2": (7, "SELECT name FROM shop.product")}, 0)
    after = Snapshot({"1": (2, CARD)}, 1)
    assert ran_between(before, after).total == 2


def test_nothing_is_said_as_such() -> None:
    assert str(ran_between(Snapshot({}, 0), Snapshot({}, 0))) == "no statement"
