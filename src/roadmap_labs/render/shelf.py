"""Turns labs into text. Knows nothing of what runs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

from roadmap_labs.content.shelf import Lab
from roadmap_labs.render.report import SIGNS, number


def labs_table(labs: Iterable[tuple[str, str, str, int, str]]) -> str:
    """Slug, title, level, minutes and state of each lab, aligned."""
    rows = [("LAB", "TITLE", "LEVEL", "TIME", ""), *((s, t, lv, f"{m} min", st) for s, t, lv, m, st in labs)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def lab_page(lab: Lab, outcomes: Mapping[str, str]) -> str:
    """What `info` says of a lab."""
    manifest = lab.manifest
    lines = [
        f"{manifest.title} · {lab.slug} {manifest.version} · {manifest.level}, about {manifest.minutes} min",
        "",
        *textwrap.wrap(manifest.summary, 78),
        "",
        f"  topics      {', '.join(manifest.topics)}",
        f"  services    {', '.join(f'{name} ({service.manifest.title})' for name, service in lab.services.items())}",
        f"  scaffolds   {', '.join(manifest.scaffolds)}, or any language with a Dockerfile of your own",
    ]
    if manifest.prerequisites:
        lines.append(f"  know first  {', '.join(manifest.prerequisites)}")
    for task, body in manifest.tasks.items():
        points = sum(body.checks.values())
        lines += ["", f"  {task.upper()} {body.title} · about {body.minutes} min · {number(points)} points"]
        for check in (check for check in lab.checks if check.task == task):
            sign = SIGNS.get(outcomes.get(check.id, ""), " ")  # type: ignore[call-overload]
            lines.append(f"    {sign} {check.title}  ({check.id})")
    lines += ["", f"Begin:  roadmap-labs start {lab.slug}"]
    return "\n".join(lines)
