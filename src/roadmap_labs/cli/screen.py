"""The only writer: results to stdout, progress and errors to stderr, colour where it is wanted. Knows no verb."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

_NAME = r"(?<![\w./-])roadmap-labs"
_INSIDE = "shell|hint|logs|status|reset|stop|clean|check(?= --only)|start$"
_CODES = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


def coloured(stream: TextIO) -> bool:
    """Whether a stream takes colour: FORCE_COLOR, NO_COLOR and TERM=dumb are respected, else a terminal does."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint_for(stream: TextIO):  # type: ignore[no-untyped-def]
    """A `Paint` for a stream."""
    if not coloured(stream):
        return lambda text, colour: text
    return lambda text, colour: f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def width() -> int:
    """Columns of the terminal, at least 60."""
    import shutil  # where a page is printed, not where a name is completed

    return max(shutil.get_terminal_size((80, 24)).columns, 60)


_workspace: list[str] = []  # set where a command speaks of a workspace that the user is not in


def speak_of(folder: Path) -> None:
    """Commands in texts from now on are about this workspace: they get `-C` where the user stands elsewhere."""
    here = Path.cwd().resolve()
    if not here.is_relative_to(folder.resolve()):
        _workspace[:] = [from_here(folder)]


def from_here(path: Path) -> str:
    """A path as a person in the current folder would type it."""
    resolved, here = path.resolve(), Path.cwd().resolve()
    return str(resolved.relative_to(here)) if resolved.is_relative_to(here) else str(path)


def as_typed(text: str) -> str:
    """Commands in a text as this user types them: with the path of the wrapper, with the workspace they are about."""
    typed = os.environ.get("ROADMAP_LABS_TYPED") or "roadmap-labs"
    if _workspace:
        text = re.sub(rf"{_NAME}(?= (?:{_INSIDE})\b)", f"roadmap-labs -C {shlex.quote(_workspace[0])}", text)
    return re.sub(rf"{_NAME}(?= [a-zA-Z-])", typed, text)


def out(text: str = "") -> None:
    """A line of the result."""
    print(as_typed(text), flush=True)


def out_json(value: object) -> None:
    """The one document of a `--json` command."""
    print(json.dumps(value, indent=2, ensure_ascii=False), flush=True)


def note(text: str = "") -> None:
    """A line about what goes on, for people."""
    print(as_typed(text), file=sys.stderr, flush=True)


@dataclass
class Progress:
    """What goes on now: one line that replaces itself on a terminal, one line a phase elsewhere."""

    quiet: bool = False
    _phase: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def _live(self) -> bool:
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def phase(self, text: str) -> None:
        """A new phase begins."""
        with self._lock:
            if self.quiet or text == self._phase:
                return
            self._phase = text
            if self._live:
                self._replace(text)
            else:
                note(f"  {text} …")

    def step(self, text: str) -> None:
        """A step inside the phase; only a terminal shows it."""
        with self._lock:
            if not self.quiet and self._live:
                self._replace(f"{self._phase} · {text}")

    def clear(self) -> None:
        """Take the line away again."""
        with self._lock:
            if not self.quiet and self._live and self._phase:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
            self._phase = ""

    def _replace(self, text: str) -> None:
        shown = text if len(text) < width() - 4 else text[: width() - 5] + "…"
        sys.stderr.write(f"\r\x1b[K  {shown}")
        sys.stderr.flush()
