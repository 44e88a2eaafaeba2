"""What a host of many has to have outside of containers: each look can say no."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from roadmap_labs.engine.probing import Finding
from roadmap_labs.engine.protocol import EngineFacts
from roadmap_labs.render import doctor
from roadmap_labs.verbs import shared


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineFacts:
    (tmp_path / "core_pattern").write_text("core\n")
    (tmp_path / "group").write_text(f"docker:x:{os.getgid()}:\n")
    socket = tmp_path / "docker.sock"
    socket.touch(mode=0o660)
    socket.chmod(0o660)
    monkeypatch.setattr(shared, "_CORE_PATTERN", tmp_path / "core_pattern")
    monkeypatch.setattr(shared, "_GROUPS", tmp_path / "group")
    fields = dict.fromkeys(EngineFacts.__dataclass_fields__, "")
    return EngineFacts(**fields | {"endpoint": f"unix://{socket}", "data_root": str(tmp_path), "runtimes": (),
                                   "security_options": (), "cpus": 2, "memory_bytes": 1})  # fmt: skip


def _seen(facts: EngineFacts) -> dict[str, bool | None]:
    return {one.name: one.ok for one in shared.outside(facts)}


def test_a_plain_host_has_no_hole(facts: EngineFacts) -> None:
    assert False not in _seen(facts).values()
    assert _seen(facts)["engine socket"] is True


def test_core_dumps_that_start_a_program_are_a_hole(facts: EngineFacts, tmp_path: Path) -> None:
    (tmp_path / "core_pattern").write_text("|/usr/lib/collector %p\n")
    assert _seen(facts)["core dumps"] is False
    (tmp_path / "core_pattern").unlink()
    assert _seen(facts)["core dumps"] is False, "what can't be read is not believed"


def test_a_socket_for_anybody_is_a_hole_and_members_are_named(facts: EngineFacts, tmp_path: Path) -> None:
    (tmp_path / "group").write_text(f"docker:x:{os.getgid()}:alice,bob\n")
    (named,) = [one for one in shared.outside(facts) if one.name == "engine socket"]
    assert (named.ok, "alice,bob" in named.seen) == (None, True)
    (tmp_path / "docker.sock").chmod(0o666)
    assert _seen(facts)["engine socket"] is False


def test_second_walls_are_seen(facts: EngineFacts) -> None:
    walls = replace(facts, security_options=("name=userns",), runtimes=("runc", "runsc"))
    assert _seen(walls)["user namespaces"] is True
    assert _seen(walls)["kernel of its own"] is True


def test_an_engine_elsewhere_is_not_judged_from_here(facts: EngineFacts) -> None:
    assert _seen(replace(facts, endpoint="tcp://10.0.0.9:2376")) == {"host": None}


def test_the_verdict_names_what_is_open() -> None:
    good, open_ = Finding("a", True, ""), Finding("sealed: host", False, "")
    assert doctor.fitness([good]).startswith("✓ Fit")
    assert "sealed: host" in doctor.fitness([good, open_])
