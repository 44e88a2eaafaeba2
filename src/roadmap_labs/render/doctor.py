"""Turns findings into text: bad ones last, so that they are what the eye rests on. Knows nothing of engines."""

from __future__ import annotations

from collections.abc import Iterable

from roadmap_labs.verbs.doctor import Finding

_SIGNS = {True: "✓ ok     ", None: "· unknown", False: "✗ bad    "}
_ORDER = {True: 0, None: 1, False: 2}


def page(findings: Iterable[Finding]) -> str:
    """All findings, one a line, cures below what needs one."""
    lines = []
    for finding in sorted(findings, key=lambda one: _ORDER[one.ok]):
        lines.append(f"  {_SIGNS[finding.ok]}  {finding.name:<28} {finding.seen}")
        if finding.ok is not True and finding.cure:
            lines.append(f"  {'':<9}  {'':<28} {finding.cure}")
    return "\n".join(lines)
