"""The three ways a check ends badly, and the one place where foreign text is escaped and cut.

Knows nothing of pytest, of the channel, or of what a check looks at.
"""

from __future__ import annotations

from typing import NoReturn

LONGEST = 2000  # characters of one field of a verdict


def quote(value: str | bytes | object, limit: int = 200) -> str:
    """Text that the learner's side made, fit for a terminal: control characters escaped, at most `limit` long."""
    if isinstance(value, bytes):
        cut = value[: limit * 4 + 4]
        text = cut.decode("utf-8", "backslashreplace")
        total = len(value) if len(value) > len(cut) else len(text)
    else:
        text = value if isinstance(value, str) else str(value)
        total = len(text)
        text = text[: limit + 1]
    return _cut("".join(map(_visible, text)), limit, total)


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if named:
        return named
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _cut(text: str, limit: int, total: int) -> str:
    if len(text) <= limit and total <= limit:
        return text
    return f"{text[:limit]}… ({total} in all)"


def _field(text: str) -> str:
    """A field of a verdict: lines stay lines, everything else that moves a cursor is escaped."""
    shown = "\n".join("".join(map(_visible, line)) for line in text[: LONGEST + 1].split("\n"))
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"


class Verdict(Exception):
    """What ends a check before its last line. Every field is escaped and cut here, whoever wrote it."""

    outcome = "infra"

    def __init__(
        self,
        code: str,
        message: str,
        expected: str = "",
        observed: str = "",
        look: str = "",
        hint: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {_field(message)}")
        self.code = code
        self.message = _field(message)
        self.expected = _field(expected)
        self.observed = _field(observed)
        self.look = _field(look)
        self.hint = hint


class CheckFailed(Verdict):
    """The check ran and what it saw is not what the contract promises."""

    outcome = "fail"


class LearnerBroke(Verdict):
    """The learner's side broke in a way that is no answer at all: code L-…"""

    outcome = "error"


class LabFault(Verdict):
    """Our side broke: the tool did not prove itself, a server is missing. Never the learner's fault."""

    outcome = "infra"

    def __init__(
        self, message: str, *, code: str = "I-CHECKER", expected: str = "", observed: str = ""
    ) -> None:
        super().__init__(code, message, expected, observed)


class Blocked(Verdict):
    """A check that this one needs did not pass, so its result would say nothing new."""

    outcome = "blocked"

    def __init__(self, message: str) -> None:
        super().__init__("", message)


def fail(
    code: str, message: str, *, expected: str, observed: str, look: str = "", hint: int | None = 1
) -> NoReturn:
    """End the check: what was done, what the contract promises, what was seen with numbers, where to look."""
    raise CheckFailed(code, message, expected, observed, look, hint)
