"""The page of words is the harness's own docstrings, and not older than they are."""

from __future__ import annotations

from pathlib import Path

from roadmap_labs.authoring.vocabulary import page, renewed

DOCUMENT = Path(__file__).parents[3] / "docs" / "authoring.md"


def test_the_document_has_the_words_as_they_are() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert renewed(text) == text, "renew it:  python -m roadmap_labs.authoring.vocabulary docs/authoring.md"


def test_what_a_check_says_stands_there() -> None:
    words = page()
    for word in (
        "`Lab.run(",
        "`Lab.paused(",
        "`Role.get(",
        "`fail(",
        "`eventually(",
        "`needs(",
        "`Reply.json`",
    ):
        assert word in words, word
    assert "Disturber" not in words
