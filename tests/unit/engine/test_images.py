"""Recipes, hashes and the base image, on a fake engine."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from roadmap_labs.engine import debian, images, labels
from roadmap_labs.engine.fake import FakeEngine
from roadmap_labs.engine.images import BASE, Recipe, recipe_tag
from roadmap_labs.engine.protocol import BuildFailed, Missing
from roadmap_labs.errors import LabBroken, TryAgain, WrongUse
from roadmap_labs.files import read_folder
from roadmap_labs.places import locked

DIGEST = f"127.0.0.1:5000/debian@sha256:{'1' * 64}"


def quiet(line: str) -> None:
    """Nobody looks."""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROADMAP_LABS_HOME", str(tmp_path / "home"))
    for name in (debian.VARIABLE, debian.OFFLINE):
        monkeypatch.delenv(name, raising=False)


def recipe(folder: Path, name: str = "redis", from_tag: str = BASE, **files: str) -> Recipe:
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    for file, text in {"Dockerfile": f"FROM {from_tag}\n", **files}.items():
        (place / file).write_text(text)
    return Recipe(name, place, from_tag)


def test_tag_follows_from_content_alone(tmp_path: Path) -> None:
    one = recipe(tmp_path / "a", entry="x")
    same = recipe(tmp_path / "b", entry="x")
    (same.folder / "entry").touch()
    assert recipe_tag(one) == recipe_tag(same)
    assert recipe_tag(one).startswith("roadmap-labs/redis:")
    assert recipe_tag(one) != recipe_tag(recipe(tmp_path / "c", entry="y"))
    assert recipe_tag(one) != recipe_tag(recipe(tmp_path / "d", entrY="x"))
    assert recipe_tag(one) != recipe_tag(Recipe(one.name, one.folder, "roadmap-labs/other:1"))
    (same.folder / "entry").chmod(0o755)
    assert recipe_tag(one) != recipe_tag(same)


def test_name_and_content_can_not_flow_into_each_other(tmp_path: Path) -> None:
    assert recipe_tag(recipe(tmp_path / "a", ab="c")) != recipe_tag(recipe(tmp_path / "b", a="bc"))


def test_recipe_without_dockerfile_or_with_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabBroken, match="Dockerfile"):
        recipe_tag(Recipe("x", tmp_path))
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(LabBroken, match="link"):
        read_folder(tmp_path)


def test_image_is_built_once(tmp_path: Path) -> None:
    engine, one = FakeEngine(), recipe(tmp_path)
    tag = images.ensure(engine, one, quiet)
    assert images.ensure(engine, one, quiet) == tag
    assert engine.built == [tag]
    found = engine.image(tag)
    assert found is not None
    assert found.labels == {labels.KIND: "image", labels.RECIPE: images.recipe_hash(one)}


def test_image_of_another_content_under_our_tag_is_built_again(tmp_path: Path) -> None:
    one = recipe(tmp_path)
    engine = FakeEngine((BASE, recipe_tag(one)))
    images.ensure(engine, one, quiet)
    assert engine.built == [recipe_tag(one)]


def test_parents_come_first_and_brothers_side_by_side(tmp_path: Path) -> None:
    engine = FakeEngine()
    parent = recipe(tmp_path, "parent")
    children = [recipe(tmp_path, f"child{number}", recipe_tag(parent)) for number in (1, 2)]
    lines: list[str] = []
    refs = images.ensure_many(engine, [*children, parent], lines.append)
    assert refs == {each.name: recipe_tag(each) for each in (*children, parent)}
    assert engine.built[0] == recipe_tag(parent)
    assert len(engine.built) == 3
    assert {line.split(":")[0] for line in lines} == {"parent", "child1", "child2"}
    images.ensure_many(engine, [parent, *children], quiet)
    assert len(engine.built) == 3


def test_missing_parent_is_said_before_the_engine_looks_for_it(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no-such-parent"):
        images.ensure(FakeEngine(), recipe(tmp_path, from_tag="roadmap-labs/no-such-parent:1"), quiet)


def test_failing_build_shows_its_lines(tmp_path: Path) -> None:
    engine, one = FakeEngine(), recipe(tmp_path)
    engine.failing_builds[recipe_tag(one)] = ("gcc: not found",)
    with pytest.raises(BuildFailed) as failure:
        images.ensure(engine, one, quiet)
    assert failure.value.lines == ("gcc: not found",)


def test_seed_is_baked_on_a_service(tmp_path: Path) -> None:
    engine = FakeEngine()
    parent = images.ensure(engine, recipe(tmp_path, "postgres"), quiet)
    seed = tmp_path / "seed"
    seed.mkdir()
    (seed / "010.sql").write_text("select 1;")
    tag = images.bake(engine, parent, seed, "redis-caching", "postgres")
    assert tag == images.baked_tag(parent, seed, "redis-caching", "postgres")
    assert tag.startswith("roadmap-labs/redis-caching-postgres:")
    (seed / "010.sql").write_text("select 2;")
    assert images.bake(engine, parent, seed, "redis-caching", "postgres") != tag


def test_listing_tells_wanted_missing_and_forgotten(tmp_path: Path) -> None:
    engine = FakeEngine()
    old = images.ensure(engine, recipe(tmp_path, "redis", entry="old"), quiet)
    new, other = recipe(tmp_path, "redis", entry="new"), recipe(tmp_path, "postgres")
    images.ensure(engine, new, quiet)
    rows = {
        row.ref: (row.present, row.wanted)
        for row in images.listing(
            engine, {BASE: "debian", recipe_tag(new): "redis", recipe_tag(other): "postgres"}
        )
    }
    assert rows == {
        BASE: (True, True),
        recipe_tag(new): (True, True),
        recipe_tag(other): (False, True),
        old: (True, False),
    }


def test_base_that_is_there_is_left_alone() -> None:
    engine = FakeEngine()
    assert debian.ensure_base(engine, pytest.fail) == BASE
    assert engine.built == []


def test_base_is_pulled_by_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(())
    engine.registry[DIGEST] = "sha256:pulled"
    monkeypatch.setenv(debian.VARIABLE, DIGEST)
    monkeypatch.setattr(debian, "_debootstrap", lambda *arguments: pytest.fail("built"))
    debian.ensure_base(engine, quiet)
    assert engine.built == [BASE]


def test_base_is_built_where_no_registry_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, lines = FakeEngine(()), list[str]()
    monkeypatch.setenv(debian.VARIABLE, DIGEST)
    monkeypatch.setattr(
        debian, "_debootstrap", lambda engine, progress, tag: engine.import_image("", tag, {})
    )
    debian.ensure_base(engine, lines.append)
    assert "no registry answers" in lines[0]
    assert set(engine.images) == {BASE}


def test_base_without_a_digest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(debian.VARIABLE, "debian:trixie-slim")
    with pytest.raises(WrongUse, match="another image tomorrow"):
        debian.ensure_base(FakeEngine(()), quiet)


def test_missing_tool_has_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian.shutil, "which", lambda *arguments, **more: None)
    with pytest.raises(TryAgain) as problem:
        debian.ensure_base(FakeEngine(()), quiet)
    assert "apt-get install mmdebstrap" in problem.value.cure


def test_offline_touches_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(debian.OFFLINE, "1")
    monkeypatch.setenv(debian.VARIABLE, DIGEST)
    with pytest.raises(TryAgain, match=debian.OFFLINE):
        debian.ensure_base(FakeEngine(()), quiet)
    engine = FakeEngine()
    with pytest.raises(TryAgain, match=debian.OFFLINE):
        images.ensure(engine, recipe(tmp_path), quiet)
    assert engine.built == []


def test_two_at_once_build_once(tmp_path: Path) -> None:
    engine, one = FakeEngine(), recipe(tmp_path)
    threads = [threading.Thread(target=images.ensure, args=(engine, one, quiet)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.built == [recipe_tag(one)]


def test_lock_tells_the_second_that_it_waits() -> None:
    order: list[str] = []
    inside, told = threading.Event(), threading.Event()

    def second() -> None:
        with locked("x/y:z", waiting=lambda: (order.append("waits"), told.set())[0]):
            order.append("second")

    with locked("x/y:z"):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(5)
        order.append("first")
        inside.set()
    thread.join(5)
    assert order == ["waits", "first", "second"]
