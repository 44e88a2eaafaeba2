"""Turns a gradebook's overview and the progress of a batch into text. Knows no ledger and no engine."""

from __future__ import annotations

from collections.abc import Mapping

from roadmap_labs.grading.book import Book, Overview
from roadmap_labs.grading.exports.escaping import printable
from roadmap_labs.render.report import Paint, number, plain

_SIGNS = {"pass": "✓", "fail": "✗", "error": "!", "ungraded": "?", "infra": "?", "waiting": "·"}
_COLOURS = {"pass": "green", "fail": "red", "error": "red"}
_WIDTH = 40
SECOND = {True: "the same verdict", False: "another verdict", None: "no second verdict"}


def line(id_: str, result: Mapping[str, object], state: str, paint: Paint = plain) -> str:
    """One submission that has a verdict, or waits for another try."""
    verdict = str(result["verdict"]) if state == "graded" else state
    sign = paint(f"{_SIGNS.get(verdict, '?')} {verdict:<8}", _COLOURS.get(verdict, "yellow"))
    points = f"{number(float(str(result['score'])))} of {number(float(str(result['max_score'])))}"
    told = points if state == "graded" else "roadmap-labs or the machine failed"
    return f"  {sign}  {_shown(id_):<40}  {told:<14}  {float(str(result['seconds'])):6.1f} s"


def second(id_: str, same: bool | None, paint: Paint = plain) -> str:
    """One submission that was judged once more; None: no second verdict came."""
    mark = "?" if same is None else "=" if same else "≠"
    sign = paint(f"{mark} {'again':<8}", "green" if same else "yellow")
    return f"  {sign}  {_shown(id_):<40}  {SECOND[same]}"


def _shown(id_: str) -> str:
    return printable(id_).replace("\n", " ")[:40]


def progress(
    done: int, running: int, waiting: int, counts: Mapping[str, int], left_seconds: float | None
) -> str:
    """The line that stands below while it goes on."""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    left = "" if left_seconds is None else f" · about {_span(left_seconds)} left"
    return (
        f"{done} done, {running} running, {waiting} waiting" + (f" · {verdicts}" if verdicts else "") + left
    )


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def overview(book: Book, found: Overview, rechecks: Mapping[str, bool], paint: Paint = plain) -> str:
    """The page that a teacher reads first."""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.verdicts.items()))
    lines = [f"{book.title} · {book.lab} · {len(book.rows)} submissions: {verdicts}", ""]
    highest = max((count for _, count in found.distribution), default=0)
    for label, count in found.distribution:
        bar = "█" * round(count / highest * _WIDTH) if highest else ""
        lines.append(f"  {label:>12}  {count:4}  {bar}".rstrip())
    if found.refused:
        lines += ["", "Refused unjudged:"]
        lines += [f"  {count:4} x  {printable(message)}" for message, count in found.refused]
    if found.troubles:
        lines += ["", "What failed most:"]
    for trouble in found.troubles[:5]:
        lines.append(f"  {trouble.count:4} x  {trouble.title}  ({trouble.check})")
        for code, count, message in trouble.codes:
            shown = printable(message).replace("\n", " ")
            lines.append(f"          {count:4} x {code}: {shown[:90] + '…' if len(shown) > 90 else shown}")
    if found.twins:
        lines += ["", "The same files were handed in more than once:"]
        lines += ["  " + ", ".join(printable(id_) for id_ in ids) for ids in found.twins]
    differing = [id_ for id_, same in rechecks.items() if not same]
    if rechecks:
        lines += ["", f"Judged twice: {len(rechecks)}, with another verdict: {len(differing)}"]
        lines += [
            paint(f"  {printable(id_)}: its grade is not to be trusted, see the ledger", "red")
            for id_ in differing
        ]
    return "\n".join(lines)
