"""Takes apart what the engine sends in pieces: output, reports of builds and pulls. Makes no calls."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from roadmap_labs.engine.protocol import BuildFailed, Progress
from roadmap_labs.errors import EngineRefused

MOST_OUTPUT = 1024 * 1024
_KEPT_LINES = 30


def frames(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Payloads of stdout and stderr in their order; ends where the stream ends, also inside a frame."""
    while len(header := read(8)) == 8:
        (length,) = struct.unpack(">4xL", header)
        while length > 0:
            piece = read(min(length, 65536))
            if not piece:
                return
            length -= len(piece)
            yield piece


def last_bytes(pieces: Iterable[bytes], most: int = MOST_OUTPUT) -> bytes:
    """The end of a stream, never holding much more than `most` bytes of it."""
    kept: deque[bytes] = deque()
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        while kept and size - len(kept[0]) >= most:
            size -= len(kept.popleft())
    return b"".join(kept)[-most:]


def follow_build(reports: Iterable[dict[str, Any]], tag: str, progress: Progress) -> str:
    """Hand each line on; return the id of the image, or raise `BuildFailed` with the last lines."""
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    image = ""
    for report in reports:
        if "error" in report:
            raise BuildFailed(
                f"Image {tag} could not be built: {report['error'].strip()}",
                lines=tuple(lines),
                cure="See the lines above; run the same command again when the cause is gone.",
            )
        for line in str(report.get("stream") or report.get("status") or "").splitlines():
            if line.strip():
                lines.append(line.rstrip())
                progress(line.rstrip())
        image = (report.get("aux") or {}).get("ID", image)
    return image


def follow_pull(reports: Iterable[dict[str, Any]], reference: str, progress: Progress) -> None:
    """Hand on one line for each change of a layer's state, not for each of its bytes."""
    for report in reports:
        if "error" in report:
            raise EngineRefused(
                f"Image {reference} could not be pulled: {report['error'].strip()}",
                cure="Check the connection and run the same command again.",
            )
        if report.get("status") and not report.get("progressDetail"):
            progress(" ".join(str(part) for part in (report.get("id"), report["status"]) if part))
