"""Turns a stack that was left up into text: what it is, how to look into it, how to end it. Knows no engine."""

from __future__ import annotations

from roadmap_labs.verbs.judge import Kept


def kept(found: Kept) -> str:
    """The page below a verdict whose stack was kept."""
    width = max((len(name) for name, _ in found.addresses), default=0)
    wide = max((len(container) for _, container, _ in found.containers), default=0)
    lines = ["The system was left as it was when the check failed:", ""]
    lines += [f"  {name:<{width}}   {line}" for name, line in found.addresses]
    lines += ["", "What each of them wrote, and what its container is now:", ""]
    lines += [f"  docker logs {container:<{wide}}   {status}" for _, container, status in found.containers]
    lines += [
        "",
        "Connections that the check itself had open are closed. It is removed after two hours, or now:",
        f"  roadmap-labs clean --stack {found.stack}",
    ]
    return "\n".join(lines)
