"""A lab that `lab new` began: it reads, it lints to nothing but what is left to be written, and it names its pieces."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadmap_labs.authoring.beginning import Beginning, begin
from roadmap_labs.authoring.lint import examine
from roadmap_labs.content import folders, shelf
from roadmap_labs.errors import CannotWrite, NotFound, WrongUse


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROADMAP_LABS_PATH", "")
    folders.search_first(tmp_path)
    return tmp_path


@pytest.mark.parametrize("services", [(), ("redis",), ("postgres", "redis")])
def test_it_reads_and_says_what_is_left(place: Path, services: tuple[str, ...]) -> None:
    folder = begin(Beginning("greetings", "http-basics", services, "python-http"), place)
    lab = shelf.load_lab("greetings")
    assert (lab.folder, tuple(lab.manifest.services)) == (folder, services)
    assert {flaw.rule for flaw in examine("greetings")} == {"unwritten"}


def test_a_tree_without_an_example_still_begins(place: Path) -> None:
    tree = place / "scaffolds" / "bare"
    tree.mkdir(parents=True)
    (tree / "scaffold.yaml").write_text(
        "format: 1\ntitle: Bare\nlanguage: None\nentry: a\nimage_of: python-http\n"
    )
    begin(Beginning("greetings", "http-basics", (), "bare"), place)
    assert "no-solution" in {flaw.rule for flaw in examine("greetings")}


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (Beginning("Greetings", "http", (), "python-http"), WrongUse),
        (Beginning("greetings", "../http", (), "python-http"), WrongUse),
        (Beginning("greetings", "http", ("redi",), "python-http"), NotFound),
        (Beginning("greetings", "http", (), "cobol-http"), NotFound),
        (Beginning("redis-caching", "http", (), "python-http"), None),
    ],
)
def test_what_can_not_be_begun(place: Path, wanted: Beginning, error: type[Exception] | None) -> None:
    if error is None:
        begin(wanted, place)  # another place may have a lab of that name
        error = CannotWrite
    with pytest.raises(error):
        begin(wanted, place)
