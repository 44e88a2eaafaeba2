"""Makes strings of strangers inert for one kind of reader each. Knows no gradebook."""

from __future__ import annotations

import re

# What XML 1.0 may hold at all (section 2.2); everything else has no escape there.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LONGEST = 2_000


def for_cell(text: str) -> str:
    """A spreadsheet shows it and never computes it: what begins like a formula gets an apostrophe."""
    flat = printable(text).replace("\n", " ")
    return "'" + flat if flat.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else flat


def for_xml(text: str) -> str:
    """Only characters that XML can hold; the writer of the document does the rest."""
    return _NOT_XML.sub("\ufffd", text)[:_LONGEST]


def for_markdown(text: str) -> str:
    """One line without a mark, a tag, a mention or a link."""
    flat = printable(text).replace("\n", " ")
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+\-!|~@:])", r"\\\1", flat)


def for_workflow(text: str, *, is_property: bool = False) -> str:
    """A value of a workflow command: no second command can begin in it."""
    escaped = printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace(":", "%3A").replace(",", "%2C") if is_property else escaped


def printable(text: str) -> str:
    """Printable characters and line ends only, cut."""
    kept = "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)
    return kept if len(kept) <= _LONGEST else kept[:_LONGEST] + "…"
