"""A gradebook in the forms that other programs read; by name. Each is a pure function from a book to bytes."""

from __future__ import annotations

from collections.abc import Callable

from roadmap_labs.grading.book import Book
from roadmap_labs.grading.exports import pages, services, tables

FORMATS: dict[str, Callable[[Book], bytes]] = {
    "json": services.json_lines,
    "csv": tables.gradebook,
    "junit": services.junit,
    "gradescope": services.gradescope,
    "ctrf": services.ctrf,
    "github": pages.github,
    "markdown": pages.markdown,
    "canvas": tables.canvas,
    "moodle": tables.moodle,
}
