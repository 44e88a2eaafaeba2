"""What every Engine must keep, asked of the fake and of the real one in the same words."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Iterator

import pytest

from roadmap_labs.engine import labels
from roadmap_labs.engine.fake import FakeEngine, Program
from roadmap_labs.engine.protocol import (
    Attachment,
    BuildFailed,
    Conflict,
    ContainerSpec,
    ContainerState,
    Engine,
    ExecResult,
    Missing,
    NetworkSpec,
    VolumeMount,
)
from roadmap_labs.engine.subnets import address
from roadmap_labs.errors import EngineRefused
from tests.engine.conftest import IMAGE, any_network, marked

SLEEP = ("sleep", "60")


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.engine)])
def engine(request: pytest.FixtureRequest, stack: str) -> Iterator[Engine]:
    if request.param == "real":
        yield request.getfixturevalue("real_engine")
        from roadmap_labs.engine.sweep import remove_all

        remove_all(request.getfixturevalue("real_engine"), {labels.STACK: stack})
        return
    fake = FakeEngine()
    fake.programs = {
        f"{stack}-prints": Program(b"first\nsecond\nthird\n", exit_code=3),
        f"{stack}-hungry": Program(exit_code=137, out_of_memory=True),
        f"{stack}-crowd": Program(processes=6),
    }
    fake.answers = lambda spec, command: ExecResult(4, b"to stdout and stderr\n")
    fake.failing_builds = {f"roadmap-labs/{stack}:broken": ("the last words",)}
    yield fake


def spec(stack: str, name: str, command: tuple[str, ...] = SLEEP, **more: object) -> ContainerSpec:
    return ContainerSpec(f"{stack}-{name}", IMAGE, marked(stack), command=command, **more)  # type: ignore[arg-type]


def until(engine: Engine, container: str, holds: Callable[[ContainerState], bool]) -> ContainerState:
    deadline = time.monotonic() + 20
    while not holds(state := engine.inspect(container)):
        assert time.monotonic() < deadline, state
        time.sleep(0.03)
    return state


def archive(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_engine_tells_its_facts(engine: Engine) -> None:
    facts = engine.facts()
    assert facts.version
    assert facts.endpoint
    assert facts.cpus > 0
    assert facts.memory_bytes > 0


def test_second_network_of_a_name_or_a_range_is_a_conflict(engine: Engine, stack: str) -> None:
    _, subnet = any_network(engine, stack)
    with pytest.raises(Conflict):
        engine.create_network(NetworkSpec(f"{stack}-other", marked(stack), subnet))
    with pytest.raises(Conflict):
        engine.create_network(NetworkSpec(stack, marked(stack), "10.213.255.240/28"))


def test_volume_is_made_once(engine: Engine, stack: str) -> None:
    engine.create_volume(f"{stack}-v", marked(stack))
    engine.create_volume(f"{stack}-v", marked(stack))
    with pytest.raises(Conflict):
        engine.create_volume(f"{stack}-v", marked(stack, PART="data"))


def test_container_goes_through_its_life(engine: Engine, stack: str) -> None:
    network, subnet = any_network(engine, stack)
    leg = Attachment(network, address(subnet, 5), ("first",))
    one = engine.create_container(spec(stack, "one", attachment=leg, publish={8000: None, 8001: None}))
    created = engine.inspect(one)
    assert (created.status, created.started_at, created.name) == ("created", "", f"{stack}-one")
    assert created.labels.items() >= marked(stack).items()
    image = engine.image(IMAGE)
    assert image is not None
    assert created.image == image.id

    engine.start(one)
    running = engine.inspect(one)
    assert running.status == "running"
    assert running.started_at
    assert running.pid > 0
    assert running.addresses == {network: address(subnet, 5)}
    assert set(running.published) == {8000, 8001}
    assert len(set(running.published.values())) == 2

    engine.pause(one)
    assert engine.inspect(one).status == "paused"
    engine.unpause(one)
    assert engine.inspect(one).status == "running"

    engine.kill(one)
    ended = until(engine, one, lambda state: state.status == "exited")
    assert (ended.exit_code, ended.out_of_memory, ended.published) == (137, False, {})
    assert ended.finished_at
    with pytest.raises(EngineRefused) as refusal:
        engine.kill(one)
    assert not isinstance(refusal.value, Missing | Conflict)


def test_stop_lets_the_program_end(engine: Engine, stack: str) -> None:
    one = engine.create_container(spec(stack, "one"))
    engine.start(one)
    engine.stop(one, grace_seconds=5)
    assert engine.inspect(one).exit_code == 143


def test_container_name_is_taken_once(engine: Engine, stack: str) -> None:
    engine.create_container(spec(stack, "one"))
    with pytest.raises(Conflict):
        engine.create_container(spec(stack, "one"))


def test_host_port_is_taken_once(engine: Engine, stack: str) -> None:
    network, _ = any_network(engine, stack)
    first = engine.create_container(spec(stack, "one", attachment=Attachment(network), publish={80: None}))
    engine.start(first)
    port = engine.inspect(first).published[80]
    second = engine.create_container(spec(stack, "two", attachment=Attachment(network), publish={80: port}))
    with pytest.raises(Conflict):
        engine.start(second)


def test_what_is_missing_is_missing(engine: Engine, stack: str) -> None:
    with pytest.raises(Missing):
        engine.create_container(ContainerSpec(f"{stack}-x", "roadmap-labs/no-such-image:1", marked(stack)))
    with pytest.raises(Missing):
        engine.create_container(spec(stack, "x", volumes=(VolumeMount(f"{stack}-nowhere", "/v"),)))
    for call in (engine.start, engine.pause, engine.inspect, engine.kill, engine.logs):
        with pytest.raises(Missing):
            call(f"{stack}-nobody")
    assert engine.image("roadmap-labs/no-such-image:1") is None
    for kind in ("container", "network", "volume", "image"):
        engine.remove(kind, f"{stack}-nothing")


def test_exit_code_and_log_of_a_program_that_ends(engine: Engine, stack: str) -> None:
    one = engine.create_container(
        spec(stack, "prints", ("sh", "-c", "printf 'first\\nsecond\\nthird\\n'; exit 3"))
    )
    engine.start(one)
    assert until(engine, one, lambda state: state.status == "exited").exit_code == 3
    assert engine.logs(one) == b"first\nsecond\nthird\n"
    assert engine.logs(one, tail=1) == b"third\n"
    pieces: list[bytes] = []
    engine.follow_logs(one, pieces.append)
    assert b"".join(pieces) == b"first\nsecond\nthird\n"


def test_program_that_takes_too_much_memory_is_named(engine: Engine, stack: str) -> None:
    # tail keeps all that it may have to print.
    eat = ("sh", "-c", "head -c 400m /dev/zero | tail -c 390m > /dev/null")
    one = engine.create_container(spec(stack, "hungry", eat))
    engine.start(one)
    assert until(engine, one, lambda state: state.status == "exited").out_of_memory


def test_processes_of_a_container_are_counted(engine: Engine, stack: str) -> None:
    crowd = ("sh", "-c", "for n in 1 2 3 4; do sleep 60 & done; wait")
    one = engine.create_container(spec(stack, "crowd", crowd))
    assert engine.processes(one) == 0
    engine.start(one)
    deadline = time.monotonic() + 20
    while engine.processes(one) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.03)
    engine.kill(one)
    until(engine, one, lambda state: state.status == "exited")
    assert engine.processes(one) == 0


def test_command_inside_answers(engine: Engine, stack: str) -> None:
    one = engine.create_container(spec(stack, "one"))
    engine.start(one)
    result = engine.run_inside(one, ("sh", "-c", "printf 'to stdout '; echo 'and stderr' >&2; exit 4"))
    assert result.exit_code == 4
    assert sorted(result.output.split()) == sorted(b"to stdout and stderr".split())
    engine.kill(one)
    until(engine, one, lambda state: state.status == "exited")
    with pytest.raises(EngineRefused):
        engine.run_inside(one, ("true",))


def test_loader_takes_files_and_never_starts(engine: Engine, stack: str) -> None:
    engine.create_volume(f"{stack}-v", marked(stack))
    mount = VolumeMount(f"{stack}-v", "/source")
    loader = engine.create_container(spec(stack, "loader", volumes=(mount,), loader=True))
    engine.put_archive(loader, "/source", archive(hello="hi"))
    with pytest.raises(EngineRefused):
        engine.start(loader)


def test_legs_come_and_go(engine: Engine, stack: str) -> None:
    first, _ = any_network(engine, stack, "-a")
    second, subnet = any_network(engine, stack, "-b")
    one = engine.create_container(spec(stack, "one", attachment=Attachment(first)))
    engine.connect(one, Attachment(second, address(subnet, 9), ("relay",)))
    engine.start(one)
    assert engine.inspect(one).addresses[second] == address(subnet, 9)
    engine.disconnect(one, second)
    assert set(engine.inspect(one).addresses) == {first}
    with pytest.raises(EngineRefused):
        engine.remove("network", first)  # bounded wait, then a refusal: something is still on it


def test_find_asks_for_labels(engine: Engine, stack: str) -> None:
    any_network(engine, stack)
    engine.create_volume(f"{stack}-v", marked(stack, PART="data"))
    one = engine.create_container(spec(stack, "one"))
    (found,) = engine.find("container", {labels.STACK: stack})
    assert (found.id, found.name, found.status) == (one, f"{stack}-one", "created")
    assert [each.name for each in engine.find("network", {labels.STACK: stack})] == [stack]
    assert [each.id for each in engine.find("volume", {labels.STACK: stack, labels.PART: ""})] == [
        f"{stack}-v"
    ]
    assert engine.find("volume", {labels.STACK: stack, labels.PART: "whole"}) == ()
    for kind in ("container", "network", "volume"):
        for each in engine.find(kind, {labels.STACK: stack}):
            engine.remove(kind, each.id)
        assert engine.find(kind, {labels.STACK: stack}) == ()


def test_image_is_built_tagged_and_removed(engine: Engine, stack: str) -> None:
    lines: list[str] = []
    tag, other = f"roadmap-labs/{stack}:built", f"roadmap-labs/{stack}:again"
    try:
        made = engine.build_image(
            archive(Dockerfile=f"FROM {IMAGE}\nCOPY hello /hello\n", hello="hi"),
            tag,
            {labels.KIND: "image", "note": 'with "quotes" and $signs'},
            progress=lines.append,
        )
        found = engine.image(tag)
        assert found is not None
        assert found.id == made
        assert found.labels["note"] == 'with "quotes" and $signs'
        assert lines
        engine.tag_image(tag, other)
        again = engine.image(other)
        assert again is not None
        assert again.id == made
    finally:
        engine.remove("image", tag)
        engine.remove("image", other)
    assert engine.image(tag) is None


def test_failing_build_shows_its_last_lines(engine: Engine, stack: str) -> None:
    text = f"FROM {IMAGE}\nRUN echo the last words && false\n"
    with pytest.raises(BuildFailed) as failure:
        engine.build_image(
            archive(Dockerfile=text), f"roadmap-labs/{stack}:broken", {}, progress=lambda line: None
        )
    assert any("the last words" in line for line in failure.value.lines)


def test_pull_without_registry_is_refused(engine: Engine, stack: str) -> None:
    with pytest.raises(EngineRefused):
        engine.pull_image(f"127.0.0.1:9/{stack}@sha256:{'0' * 64}", progress=lambda line: None)
