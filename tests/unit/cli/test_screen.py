"""Commands in messages are those that work where the user stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadmap_labs.cli import screen


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(screen, "_workspace", [])
    monkeypatch.delenv("ROADMAP_LABS_TYPED", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my shop").mkdir()


def test_an_installed_tool_is_named_as_it_is() -> None:
    assert screen.as_typed("Hint:  roadmap-labs hint t1") == "Hint:  roadmap-labs hint t1"


def test_the_wrapper_is_named_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADMAP_LABS_TYPED", "bin/roadmap-labs")
    text = "roadmap-labs check shop, or echo x | roadmap-labs shell redis; image roadmap-labs/debian:trixie"
    assert screen.as_typed(text) == (
        "bin/roadmap-labs check shop, or echo x | bin/roadmap-labs shell redis; image roadmap-labs/debian:trixie"
    )
    assert screen.as_typed("roadmap-labs 1.0 of roadmap-labs") == "roadmap-labs 1.0 of roadmap-labs"


def test_from_outside_commands_name_the_workspace(tmp_path: Path) -> None:
    screen.speak_of(tmp_path / "my shop")
    assert screen.as_typed("roadmap-labs hint t1") == "roadmap-labs -C 'my shop' hint t1"
    assert screen.as_typed("Go on:  roadmap-labs start") == "Go on:  roadmap-labs -C 'my shop' start"
    assert screen.as_typed("roadmap-labs start nginx") == "roadmap-labs start nginx"
    assert screen.as_typed("roadmap-labs list") == "roadmap-labs list"


def test_from_inside_they_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path / "my shop")
    screen.speak_of(tmp_path / "my shop")
    assert screen.as_typed("roadmap-labs hint t1") == "roadmap-labs hint t1"


def test_colour_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert screen.coloured(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not screen.coloured(io.StringIO())
