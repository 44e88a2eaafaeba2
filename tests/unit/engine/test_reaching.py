"""Which engine is asked, and what is said where none answers."""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path

import pytest

from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.engine.endpoint import DEFAULT_SOCKET, choose_endpoint, known_contexts
from roadmap_labs.engine.protocol import BuildFailed
from roadmap_labs.engine.streams import follow_build, follow_pull, frames, last_bytes
from roadmap_labs.errors import EngineRefused, EngineUnavailable


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Docker configuration folder."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / ".docker"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


def add_context(folder: Path, name: str, url: str, *, current: bool = False) -> None:
    import hashlib

    place = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    place.mkdir(parents=True)
    meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": url, "SkipTLSVerify": False}}}
    (place / "meta.json").write_text(json.dumps(meta))
    if current:
        (folder / "config.json").write_text(json.dumps({"currentContext": name}))


def test_default_socket_where_nothing_is_said() -> None:
    assert (choose_endpoint().url, choose_endpoint().context) == (DEFAULT_SOCKET, "default")


def test_order_of_those_who_may_say(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_context(configuration, "colima", "unix:///colima.sock", current=True)
    add_context(configuration, "other", "unix:///other.sock")
    assert choose_endpoint().url == "unix:///colima.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert choose_endpoint().url == "unix:///other.sock"
    monkeypatch.setenv("DOCKER_HOST", "unix:///host.sock")
    assert (choose_endpoint().url, choose_endpoint().context) == ("unix:///host.sock", "")
    assert choose_endpoint("colima").url == "unix:///colima.sock"


def test_unknown_context_is_an_error_with_the_known_ones(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_context(configuration, "colima", "unix:///colima.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "colmia")
    with pytest.raises(EngineUnavailable, match=r"'colmia' \(known: default, colima\)"):
        choose_endpoint()
    assert known_contexts() == ("default", "colima")


def opening(monkeypatch: pytest.MonkeyPatch, url: str) -> EngineUnavailable:
    monkeypatch.setenv("DOCKER_HOST", url)
    with pytest.raises(EngineUnavailable) as problem:
        open_engine()
    assert url in problem.value.message
    assert problem.value.exit_code == 69
    return problem.value


def test_no_socket_and_nobody_listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = opening(monkeypatch, f"unix://{tmp_path}/none.sock")
    assert "no such socket" in problem.message
    assert "systemctl start docker" in problem.cure
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "dead.sock"))
        assert "refused" in opening(monkeypatch, f"unix://{tmp_path}/dead.sock").message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use any socket")
def test_forbidden_socket_has_a_cure_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "closed.sock"))
        server.listen()
        (tmp_path / "closed.sock").chmod(0)
        assert "usermod -aG docker" in opening(monkeypatch, f"unix://{tmp_path}/closed.sock").cure


def test_permission_is_told_from_absence() -> None:
    from roadmap_labs.engine.failures import unavailable

    inner = PermissionError(13, "Permission denied")
    assert "usermod" in unavailable(choose_endpoint(), ConnectionError("Connection aborted.", inner)).cure


def framed(*pieces: bytes) -> bytes:
    return b"".join(struct.pack(">BxxxL", 1, len(piece)) + piece for piece in pieces)


def test_frames_end_with_the_stream_wherever_it_breaks() -> None:
    import io

    whole = framed(b"one", b"", b"three" * 30000)
    assert b"".join(frames(io.BytesIO(whole).read)) == b"one" + b"three" * 30000
    for cut in range(12):
        assert b"one".startswith(b"".join(frames(io.BytesIO(whole[:cut]).read)))


def test_only_the_end_of_a_long_stream_is_kept() -> None:
    assert last_bytes([b"abc", b"def", b"ghi"], most=4) == b"fghi"
    assert last_bytes([b"x" * 10], most=4) == b"xxxx"
    assert last_bytes([], most=4) == b""


def test_build_that_fails_carries_its_last_lines() -> None:
    lines: list[str] = []
    reports = [{"stream": f"line {number}\n"} for number in range(50)]
    with pytest.raises(BuildFailed, match="returned a non-zero code") as failure:
        follow_build([*reports, {"error": "The command returned a non-zero code: 1"}], "x:1", lines.append)
    assert failure.value.lines[-1] == "line 49"
    assert len(lines) == 50
    assert follow_build([{"aux": {"ID": "sha256:1"}}, {"stream": "done"}], "x:1", lines.append) == "sha256:1"


def test_pull_says_states_and_not_bytes() -> None:
    lines: list[str] = []
    reports = [
        {"status": "Pulling fs layer", "id": "a1", "progressDetail": {}},
        {"status": "Downloading", "id": "a1", "progressDetail": {"current": 1, "total": 9}},
        {"status": "Digest: sha256:1"},
    ]
    follow_pull(reports, "debian", lines.append)
    assert lines == ["a1 Pulling fs layer", "Digest: sha256:1"]
    with pytest.raises(EngineRefused, match="denied"):
        follow_pull([{"error": "denied"}], "debian", lines.append)
