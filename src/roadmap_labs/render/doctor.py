"""Turns findings into text: bad ones last, so that they are what the eye rests on. Knows nothing of engines."""

from __future__ import annotations

from collections.abc import Iterable

from roadmap_labs.verbs.doctor import Finding

_SIGNS = {True: "✓ ok     ", None: "· note   ", False: "✗ bad    "}
_ORDER = {True: 0, None: 1, False: 2}


def page(findings: Iterable[Finding]) -> str:
    """All findings, one a line, cures below what needs one."""
    lines = []
    for finding in sorted(findings, key=lambda one: _ORDER[one.ok]):
        lines.append(f"  {_SIGNS[finding.ok]}  {finding.name:<28} {finding.seen}")
        if finding.ok is not True and finding.cure:
            lines.append(f"  {'':<9}  {'':<28} {finding.cure}")
    return "\n".join(lines)


def fitness(findings: Iterable[Finding]) -> str:
    """The one sentence that a teacher wants of `doctor --shared`."""
    bad = [finding.name for finding in findings if finding.ok is False]
    if bad:
        return f"✗ Not fit to grade strangers' code: {', '.join(bad)}"
    return "✓ Fit to grade strangers' code, as far as can be measured from here."
