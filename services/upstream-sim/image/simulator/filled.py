"""Fills `{{…}}` in the texts of an answer from the request that it answers. Knows nothing of connections.

    {{param:route}}  {{query:page}}  {{header:Idempotency-Key}}  {{field:booking_id}} (of a JSON body)
    {{method}}  {{target}}  {{body_digest}}  {{sequence}}  {{connection}}  {{name}}  {{now}} (RFC 3339)
    {{digest:…}}               16 hexadecimal digits that always are the same for the same value of one of these
    {{number:LOW:HIGH:…}}      a number from LOW to HIGH that always is the same for the same value

In `json`, a text that consists of one `{{number:…}}`, `{{sequence}}` or `{{connection}}` becomes a number.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from simulator.ledger import Entry

_MARK = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_NUMERIC = ("number:", "sequence", "connection")


def text(given: str, entry: Entry, name: str) -> str:
    """A text with all its marks filled in."""
    return _MARK.sub(lambda mark: _value(mark[1], entry, name), given)


def value(given: Any, entry: Entry, name: str) -> Any:
    """A JSON value with all marks in its texts filled in."""
    if isinstance(given, dict):
        return {key: value(one, entry, name) for key, one in given.items()}
    if isinstance(given, list):
        return [value(one, entry, name) for one in given]
    if isinstance(given, str):
        whole = _MARK.fullmatch(given)
        filled = text(given, entry, name)
        return int(filled) if whole and whole[1].startswith(_NUMERIC) else filled
    return given


def _value(mark: str, entry: Entry, name: str) -> str:
    kind, _, rest = mark.partition(":")
    request = entry.request
    match kind:
        case "param":
            return unquote(request.params.get(rest, ""))
        case "query":
            return parse_qs(request.query, keep_blank_values=True).get(rest, [""])[0]
        case "header":
            return request.header(rest)
        case "field":
            return _field(request.body, rest)
        case "digest":
            return hashlib.sha256(_value(rest, entry, name).encode()).hexdigest()[:16]
        case "number":
            low, high, of = rest.split(":", 2)
            drawn = int.from_bytes(hashlib.sha256(_value(of, entry, name).encode()).digest()[:6])
            return str(int(low) + drawn % (int(high) - int(low) + 1))
        case "now":
            return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    known = {
        "method": request.method,
        "target": request.target,
        "body_digest": request.digest,
        "sequence": str(entry.sequence),
        "connection": str(entry.connection),
        "name": name,
    }
    return known.get(kind, "")


def _field(body: bytes, name: str) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    one = found.get(name, "") if isinstance(found, dict) else ""
    return one if isinstance(one, str) else json.dumps(one)
