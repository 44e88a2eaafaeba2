"""Rows that need a real lab's server: SQL beyond one's rights, locks, a server's own configuration."""

from __future__ import annotations

from typing import Any

import pytest

from roadmap_labs.content import shelf
from roadmap_labs.content.rendering import solution_files, starter_files, write_files
from tests.face.conftest import Desk, names

pytestmark = pytest.mark.engine

# What the learner's account must not be granted; whatever is, ends the program with 66 and says what it was.
_BEYOND_RIGHTS = """
import os
import psycopg
from app.settings import settings

WANTED = [
    "COPY (SELECT 1) TO PROGRAM 'touch /tmp/was-here'", "COPY (SELECT 1) TO '/tmp/was-here'",
    "CREATE TEMP TABLE t (l text); COPY t FROM PROGRAM 'id'", "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')", "SELECT lo_import('/etc/passwd')", "ALTER SYSTEM SET fsync = on",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS 'return 1'", "CREATE EXTENSION file_fdw",
    "CREATE FUNCTION g() RETURNS int LANGUAGE c AS '/lib/x86_64-linux-gnu/libc.so.6', 'getpid'",
    "SET ROLE postgres", "SET ROLE checker", "ALTER ROLE checker NOLOGIN", "DROP ROLE checker",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'checker'",
    "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user; END $$",
    "SELECT rolpassword FROM pg_authid", "SELECT pg_stat_statements_reset()", "SELECT pg_switch_wal()",
    "SET session_preload_libraries = 'x'", "LOAD 'auto_explain'",
]
for statement in WANTED:
    try:
        with psycopg.connect(settings.database_url, autocommit=True) as line:
            row = line.execute(statement)
            found = row.fetchall() if row.description else "done"
    except psycopg.Error:
        continue
    if found not in ([], [(False,)]):
        print(f"granted: {statement}: {found}", flush=True)
        os._exit(66)
"""

_HOLDS_A_LOCK = """
import psycopg
from app.settings import settings

held = psycopg.connect(settings.database_url)
held.execute("LOCK TABLE shop.product IN ACCESS EXCLUSIVE MODE")
"""

# The server lets nobody fill its disk; a sort that was not stopped ends the program with 66.
_SORTS_TEN_GIGABYTES = """
import os
import psycopg
from app.settings import settings

try:
    with psycopg.connect(settings.database_url, autocommit=True) as line:
        line.execute(
            "SELECT count(*) FROM (SELECT n || repeat('x', 1000) FROM generate_series(1, 10000000) n ORDER BY 1) s"
        )
except psycopg.errors.ConfigurationLimitExceeded as limit:
    print(limit, flush=True)
else:
    os._exit(66)
"""

_ANSWERS_OK = """
pid /run/lab/nginx.pid;
events { worker_connections 64; }
http {
    server {
        listen 8080;
        listen 8443 ssl;
        ssl_certificate /run/lab/kiosk.test.pem;
        ssl_certificate_key /certs/kiosk.test.key;
        return 200 "ok";
    }
}
"""


def _judged(
    desk: Desk, lab: str, only: str, files: dict[str, str], *, solution: bool = False
) -> dict[str, Any]:
    """One check of a real lab on its starter (or solution) with some files replaced or added."""
    one = shelf.load_lab(lab)
    scaffold = shelf.load_scaffold(one.manifest.scaffolds[0])
    folder = desk.folder / "work"
    write_files((solution_files if solution else starter_files)(one, scaffold), folder)
    for path, text in files.items():
        (folder / path).write_text(text)
    ended = desk.run("check", folder, "--lab", lab, "--json", "--only", only)
    assert names(desk.mine()) == []
    (check,) = ended.document["checks"]
    assert isinstance(check, dict)
    return check


def _shop(desk: Desk, evil: str) -> dict[str, Any]:
    main = (
        shelf.load_lab("redis-caching").folder / "starter" / "python-http" / "app" / "main.py"
    ).read_text()
    files = {"app/evil.py": evil, "app/main.py": f"{main}\n\nfrom app import evil\n"}
    return _judged(desk, "redis-caching", "t1_same_answer", files)


def _door(desk: Desk, change: tuple[str, str]) -> dict[str, Any]:
    files = shelf.load_lab("nginx").folder / "solution" / "nginx-conf"
    conf = (files / "nginx.conf").read_text()
    assert conf.count(change[0]) == 1
    return _judged(desk, "nginx", "t1_path_verbatim", {"nginx.conf": conf.replace(*change)}, solution=True)


def test_sql_beyond_ones_rights_is_refused(desk: Desk) -> None:
    check = _shop(desk, _BEYOND_RIGHTS)
    assert (check["outcome"], check["observed"]) == ("pass", "")


def test_a_lock_that_is_held_is_the_learners(desk: Desk) -> None:
    check = _shop(desk, _HOLDS_A_LOCK)
    assert (check["outcome"], check["code"]) == ("error", "L-SVC")
    assert "LOCK TABLE shop.product" in check["observed"]


def test_a_sort_of_ten_gigabytes_ends_at_the_servers_limit(desk: Desk) -> None:
    check = _shop(desk, _SORTS_TEN_GIGABYTES)
    assert check["outcome"] == "pass"


def test_a_front_door_that_only_says_ok_forwards_nothing(desk: Desk) -> None:
    check = _judged(desk, "nginx", "t1_path_verbatim", {"nginx.conf": _ANSWERS_OK}, solution=True)
    assert (check["outcome"], check["code"]) == ("fail", "path-changed")
    assert "the pool sees  nothing of it" in check["observed"]


def test_a_configuration_that_asks_for_too_much_is_refused_in_nginxs_words(desk: Desk) -> None:
    check = _door(
        desk, ("pid /run/lab/nginx.pid;", "user root;\nerror_log /root/x;\npid /run/lab/nginx.pid;")
    )
    assert (check["outcome"], check["code"]) == ("error", "L-EXIT")
    assert "[emerg]" in check["observed"]
    assert "/root/x" in check["observed"]


def test_five_thousand_workers_meet_the_limit(desk: Desk) -> None:
    check = _door(desk, ("worker_processes 2;", "worker_processes 5000;"))
    # nginx goes on with as many workers as there is room for; a check that comes before they are all there may pass.
    assert (check["outcome"], check["code"]) in (("error", "L-PIDS"), ("pass", ""))
    assert check["outcome"] == "pass" or "64 processes" in check["message"]
