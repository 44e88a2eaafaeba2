"""Counts statements between two looks at pg_stat_statements, and tells work from chatter. Pure; knows no lab."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from roadmap_labs.harness.verdicts import quote

# What drivers and pools say about the session itself.
_SESSION = re.compile(
    r"(BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|SET|RESET|SHOW|DISCARD|DEALLOCATE|CLOSE|"
    r"LISTEN|UNLISTEN|FETCH)\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_PING = re.compile(r"(SELECT|VALUES)[\s(]*(\$\d+|NULL|\d+|'[^']*')?[\s)]*(AS\s+\S+)?", re.IGNORECASE)
_SOURCE = re.compile(r"\b(?:FROM|JOIN)\s+(?:ONLY\s+|LATERAL\s+)?\(?\s*\"?([\w.\"]+)", re.IGNORECASE)
_CALL = re.compile(r"\b([\w.]+)\s*\(")
_CATALOGUE = re.compile(r"\"?(pg_catalog|information_schema)\"?\.|pg_", re.IGNORECASE)
_ABOUT_SESSION = re.compile(
    r"(pg_catalog\.)?(version|current_\w+|session_user|set_config|pg_\w+|now|coalesce|array_agg|unnest|any|in|and|or|not)",
    re.IGNORECASE,
)
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


def is_work(query: str) -> bool:
    """Whether a statement asks for something; pings, transactions, settings and look-ups of types do not."""
    text = _COMMENT.sub(" ", query).strip().rstrip(";").strip()
    if not text or _SESSION.match(text) or _PING.fullmatch(text):
        return False
    if not re.match(r"(SELECT|WITH)\b", text, re.IGNORECASE) or _WRITES.search(text):
        return True
    sources = _SOURCE.findall(text)
    if sources:
        named = {name.strip('"').lower() for name in re.findall(r"([\w\"]+)\s+AS\s*\(", text, re.IGNORECASE)}
        outside = [
            one for one in sources if not _CATALOGUE.match(one) and one.strip('"').lower() not in named
        ]
        return bool(outside)
    calls = _CALL.findall(text)
    plain = re.search(r"\b(current_\w+|session_user|user)\b", text, re.IGNORECASE) is not None
    if not calls:
        return not plain
    return not all(_ABOUT_SESSION.fullmatch(name) for name in calls)


@dataclass(frozen=True)
class Snapshot:
    """Calls by statement at one moment; `restless` are sessions that did not come to rest before it."""

    counts: Mapping[str, tuple[int, str]]
    dropped: int
    restless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ran:
    """Statements that ended between two snapshots, the most frequent first."""

    calls: tuple[tuple[str, int], ...]  # (query text, calls)
    restless: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return sum(count for _, count in self.calls)

    def of(self, pattern: str) -> int:
        """Calls of the statements that match a regular expression, case ignored."""
        return sum(count for query, count in self.calls if re.search(pattern, query, re.IGNORECASE))

    def __str__(self) -> str:
        lines = [f"{_calls(count)} of  {_one_line(query)}" for query, count in self.calls[:3]]
        if len(self.calls) > 3:
            lines.append(f"and {len(self.calls) - 3} more statements")
        if self.restless:
            lines.append(f"a session that is still busy or in a transaction: {_one_line(self.restless[0])}")
        return "\n".join(lines) or "no statement"


def ran_between(before: Snapshot, after: Snapshot, wanted: Callable[[str], bool] = is_work) -> Ran:
    """What was added. An entry that starts again below its old count was forgotten in between: all of it is new."""
    added: dict[str, int] = {}
    for key, (calls, query) in after.counts.items():
        old = before.counts.get(key, (0, ""))[0]
        more = calls - old if calls >= old else calls
        if more and wanted(query):
            added[query] = added.get(query, 0) + more
    ranked = sorted(added.items(), key=lambda pair: (-pair[1], pair[0]))
    return Ran(tuple(ranked), after.restless)


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"


def _one_line(query: str) -> str:
    return quote(" ".join(query.split()), 120)
