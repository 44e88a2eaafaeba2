"""Turns a playground into text: what `start` and `status` print. Knows nothing of engines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from roadmap_labs.content.manifest import role_of
from roadmap_labs.content.shelf import load_scaffold
from roadmap_labs.playground import Part
from roadmap_labs.verbs.play import Playing

_WORTH_A_LINE = 3.0  # seconds; looking at images that are there takes a tenth of one


def started(playing: Playing, folder: str) -> str:
    """The page that a learner reads after `start`; `folder` as it would be typed here."""
    manifest = playing.lab.manifest
    lines = [f"{manifest.title} · {playing.lab.slug} · {manifest.level}, about {manifest.minutes} min", ""]
    rows = []
    if playing.images_seconds > _WORTH_A_LINE:
        names = ", ".join(service.manifest.title for service in playing.lab.services.values())
        rows.append(("images", names, f"built in {_minutes(playing.images_seconds)} (once)"))
    origin = f"new, from {playing.workspace.scaffold}" if playing.made else "as you left it"
    state = f"ready in {playing.seconds:.1f} s" if playing.raised else "already running, nothing was changed"
    rows += [("workspace", folder, origin), ("playground", f"{len(playing.view.parts)} containers", state)]
    lines += [f"  {name:<11} {what:<36} {remark}" for name, what, remark in rows]
    lines += ["", *_addresses(playing)]
    if playing.trouble:
        lines += ["", "  ! Your service did not come up; the servers did:", *_indented(playing.trouble)]
    entry = load_scaffold(playing.workspace.scaffold).manifest.entry
    prefix = "" if folder == "." else f"{folder}/"
    check = "roadmap-labs check" if folder == "." else f"roadmap-labs check {folder}"
    lines += [
        "",
        f"Read  {prefix}README.md, then open  {prefix}{entry}  at the first TODO.",
        f"Next  {check}",
    ]
    return "\n".join(lines)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _addresses(playing: Playing) -> list[str]:
    roles: list[tuple[str, str, str]] = []
    servers: list[tuple[str, str, str]] = []
    for part in playing.view.parts:
        if part.door is None:
            continue
        line = playing.talk.get(part.name, f"{part.door.host}:{part.door.port}")
        if part.kind == "role":
            name = role_of(part.name)
            # A server of ours reads the learner's files when it is told to; the lab's README says how.
            remark = "a saved file is in it at once" if name in playing.lab.hosts else "a saved file is live"
            roles.append((f"your {name}", line, remark))
        else:
            servers.append((part.name, line, ""))
    rows = [*roles, *servers]
    width = max((len(row[1]) for row in rows), default=0)
    return [f"  {name:<14} {line:<{width}}   {remark}".rstrip() for name, line, remark in rows]


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]


def status(playing: Playing) -> str:
    """What runs for a workspace."""
    lines = [f"{playing.lab.slug} in {playing.workspace.folder}", ""]
    if not playing.view.exists:
        kept = f"; the data of {len(playing.view.data)} services is kept" if playing.view.data else ""
        lines += [
            f"  Nothing runs{kept}.",
            "",
            f"Start it:  roadmap-labs start {playing.lab.slug} {playing.workspace.folder}",
        ]
        return "\n".join(lines)
    lines += [_row(part) for part in playing.view.parts]
    lines += ["", *_addresses(playing)]
    if not playing.view.whole:
        lines += [
            "",
            f"Not all of it runs. Repair it:  roadmap-labs start {playing.lab.slug} {playing.workspace.folder}",
        ]
    return "\n".join(lines)


def _row(part: Part) -> str:
    state = part.state
    remark = ""
    if state is not None and part.running:
        remark = f"since {state.started_at[:19].replace('T', ' ')}"
    elif state is not None and part.status in ("exited", "dead"):
        remark = f"exit code {state.exit_code}"
    sign = "✓" if part.running else "✗"
    return f"  {sign} {part.name:<14} {part.status:<12} {remark}".rstrip()


def stacks(rows: Iterable[Mapping[str, object]]) -> str:
    """All stacks of ours on an engine."""
    listed = [
        f"  {row['kind']:<11} {row['lab']:<20} {row['containers']} containers   {row['folder']}"
        for row in rows
    ]
    return "\n".join(listed) if listed else "Nothing of ours runs on this engine."
