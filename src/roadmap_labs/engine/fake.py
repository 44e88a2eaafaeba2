"""An Engine in a few dicts, for tests: same names, states, conflicts and errors as a real one, nothing runs.

Knows nothing of programs: a test says what a container prints and how it ends (`programs`), and what a
command inside one answers (`answers`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Mapping

from roadmap_labs.engine.fake_parts import (
    FACTS,
    MOMENT,
    FakeContainer,
    Program,
    carries,
    choose_addresses,
    choose_ports,
    fresh_state,
    image_state,
    refuse_overlap,
)
from roadmap_labs.engine.profile import create_body
from roadmap_labs.engine.protocol import (
    Attachment,
    BuildFailed,
    Conflict,
    ContainerSpec,
    ContainerState,
    EngineFacts,
    ExecResult,
    Found,
    ImageState,
    Kind,
    Missing,
    NetworkSpec,
    Progress,
)
from roadmap_labs.engine.reading import split_tag
from roadmap_labs.errors import EngineRefused


class FakeEngine:
    """Deterministic: ids count up, the engine's own ports begin at 40001."""

    def __init__(self, images: tuple[str, ...] = ("roadmap-labs/debian:trixie",)) -> None:
        self.networks: dict[str, NetworkSpec] = {}
        self.volumes: dict[str, dict[str, str]] = {}
        self.containers: dict[str, FakeContainer] = {}
        self.images: dict[str, ImageState] = {}
        self.programs: dict[str, Program] = {}  # by container name
        self.answers: Callable[[ContainerSpec, tuple[str, ...]], ExecResult] = lambda spec, command: (
            ExecResult(0, b"")
        )
        self.failing_builds: dict[str, tuple[str, ...]] = {}  # tag -> last lines
        self.registry: dict[str, str] = {}  # reference that can be pulled -> image id
        self.built: list[str] = []
        self._count = 0
        self._lock = threading.RLock()
        for tag in images:
            self._add_image(tag, {})

    def facts(self) -> EngineFacts:
        return FACTS

    def create_network(self, spec: NetworkSpec) -> str:
        with self._lock:
            refuse_overlap(spec, self.networks.values())
            made = self._next_id()
            self.networks[made] = spec
            return made

    def connect(self, container: str, attachment: Attachment) -> None:
        with self._lock:
            one = self._container(container)
            self._attach(one, attachment)

    def disconnect(self, container: str, network: str) -> None:
        with self._lock:
            one = self._container(container)
            if one.legs.pop(network, None) is None:
                raise EngineRefused(f"container {container} is not connected to network {network}")
            self._set_addresses(one)

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        with self._lock:
            if self.volumes.setdefault(name, dict(labels)) != dict(labels):
                raise Conflict(f"Volume {name} exists already and is not the one asked for.")

    def create_container(self, spec: ContainerSpec) -> str:
        body = create_body(spec, "{}")  # the same allow-list as in front of a real engine
        with self._lock:
            if (image := self.image(spec.image)) is None:
                raise Missing(f"No such image: {spec.image}")
            for mount in spec.volumes:
                if mount.volume not in self.volumes:
                    raise Missing(f"No such volume: {mount.volume}")
            if any(other.spec.name == spec.name for other in self.containers.values()):
                raise Conflict(f"The container name {spec.name} is already in use")
            one = FakeContainer(spec, fresh_state(spec, self._next_id(), image, body["HostConfig"]))
            if spec.attachment is not None:
                self._attach(one, spec.attachment)
            self.containers[one.state.id] = one
            return one.state.id

    def start(self, container: str) -> None:
        with self._lock:
            one = self._container(container)
            if one.spec.loader:
                raise EngineRefused(f"container {container} is a loader and never starts")
            if one.state.status == "running":
                return
            program = self.programs.get(one.spec.name, Program())
            one.log += program.output
            published = self._publish(one)
            self._change(
                one, status="running", started_at=MOMENT, pid=self._count + 1000, published=published
            )
            if program.exit_code is not None:
                self._end(one, program.exit_code, out_of_memory=program.out_of_memory)

    def stop(self, container: str, *, grace_seconds: float) -> None:
        with self._lock:
            one = self._container(container)
            if one.state.status in ("running", "paused"):
                self._end(one, 143)

    def kill(self, container: str, signal: str = "SIGKILL") -> None:
        with self._lock:
            one = self._container(container)
            if one.state.status not in ("running", "paused"):
                raise EngineRefused(f"Container {container} is not running")
            if signal in ("SIGKILL", "SIGTERM", "SIGINT"):
                self._end(one, {"SIGKILL": 137, "SIGTERM": 143, "SIGINT": 130}[signal])

    def pause(self, container: str) -> None:
        self._switch(container, "running", "paused")

    def unpause(self, container: str) -> None:
        self._switch(container, "paused", "running")

    def inspect(self, container: str) -> ContainerState:
        with self._lock:
            return self._container(container).state

    def processes(self, container: str) -> int:
        with self._lock:
            one = self._container(container)
            runs = one.state.status in ("running", "paused")
            return self.programs.get(one.spec.name, Program()).processes if runs else 0

    def put_archive(self, container: str, path: str, archive: bytes) -> None:
        with self._lock:
            self._container(container).archives.append((path, archive))

    def logs(self, container: str, *, tail: int = 200, since: str | None = None) -> bytes:
        with self._lock:
            return b"".join(self._container(container).log.splitlines(keepends=True)[-tail:])

    def follow_logs(self, container: str, sink: Callable[[bytes], None], *, tail: int = 200) -> None:
        for line in self.logs(container, tail=tail).splitlines(keepends=True):
            sink(line)

    def run_inside(self, container: str, command: tuple[str, ...], *, seconds: float = 10) -> ExecResult:
        with self._lock:
            one = self._container(container)
            if one.state.status != "running":
                raise EngineRefused(f"Container {container} is not running")
            return self.answers(one.spec, command)

    def find(self, kind: Kind, labels: Mapping[str, str]) -> tuple[Found, ...]:
        with self._lock:
            rows = {
                "container": [
                    Found("container", key, one.spec.name, dict(one.spec.labels), one.state.status)
                    for key, one in self.containers.items()
                ],
                "network": [
                    Found("network", key, one.name, dict(one.labels)) for key, one in self.networks.items()
                ],
                "volume": [Found("volume", name, name, labels) for name, labels in self.volumes.items()],
                "image": [Found("image", one.id, tag, one.labels) for tag, one in self.images.items()],
            }[kind]
        return tuple(row for row in rows if carries(row, labels))

    def remove(self, kind: Kind, ref: str, *, patient: bool = True) -> None:
        del patient  # nothing here ever has to be waited for
        with self._lock:
            if kind == "container":
                self.containers.pop(ref, None)
            elif kind == "network":
                if any(ref in one.legs and one.state.status == "running" for one in self.containers.values()):
                    raise EngineRefused(f"network {ref} has active endpoints")
                self.networks.pop(ref, None)
            elif kind == "volume":
                users = [
                    one for one in self.containers.values() if ref in {m.volume for m in one.spec.volumes}
                ]
                if users:
                    raise EngineRefused(f"volume {ref} is in use by {users[0].spec.name}")
                self.volumes.pop(ref, None)
            else:
                self.images = {tag: one for tag, one in self.images.items() if ref not in (tag, one.id)}

    def image(self, ref: str) -> ImageState | None:
        with self._lock:
            return self.images.get(ref) or self._by_id(ref)

    def build_image(
        self,
        archive: bytes,
        tag: str,
        labels: Mapping[str, str],
        *,
        progress: Progress,
        memory_bytes: int = 0,
    ) -> str:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            dockerfile = tar.extractfile("Dockerfile")
            text = dockerfile.read().decode() if dockerfile else ""
        with self._lock:
            parent = next(
                (line.split()[1] for line in text.splitlines() if line.startswith("FROM ")), "scratch"
            )
            if parent != "scratch" and self.image(parent) is None:
                raise EngineRefused(f"Image {tag} could not be built: pull access denied for {parent}")
            progress(f"Step 1 : FROM {parent}")
            if tag in self.failing_builds:
                raise BuildFailed(f"Image {tag} could not be built", lines=self.failing_builds[tag])
            self.built.append(tag)
            return self._add_image(tag, labels, archive)

    def import_image(self, archive_path: str, tag: str, labels: Mapping[str, str]) -> str:
        with self._lock:
            return self._add_image(tag, labels)

    def pull_image(self, reference: str, *, progress: Progress) -> str:
        with self._lock:
            if reference not in self.registry:
                raise EngineRefused(f"Image {reference} could not be pulled: no registry answers")
            progress(f"Pulling {reference}")
            self.images[reference] = dataclasses.replace(
                image_state(reference, {}), id=self.registry[reference]
            )
            return self.registry[reference]

    def tag_image(self, image: str, tag: str) -> None:
        with self._lock:
            found = self.image(image)
            if found is None:
                raise Missing(f"No such image: {image}")
            self.images[":".join(split_tag(tag))] = dataclasses.replace(found, tags=(*found.tags, tag))

    def close(self) -> None: ...

    def _next_id(self) -> str:
        self._count += 1
        return hashlib.sha256(str(self._count).encode()).hexdigest()

    def _container(self, ref: str) -> FakeContainer:
        for key, one in self.containers.items():
            if ref in (key, one.spec.name):
                return one
        raise Missing(f"No such container: {ref}")

    def _change(self, one: FakeContainer, **new: object) -> None:
        one.state = dataclasses.replace(one.state, **new)  # type: ignore[arg-type]

    def _end(self, one: FakeContainer, code: int, *, out_of_memory: bool = False) -> None:
        end = {"status": "exited", "exit_code": code, "out_of_memory": out_of_memory, "finished_at": MOMENT}
        self._change(one, pid=0, published={}, **end)

    def _switch(self, container: str, before: str, after: str) -> None:
        with self._lock:
            one = self._container(container)
            if one.state.status != before:
                raise EngineRefused(f"Container {container} is not {before}")
            self._change(one, status=after)

    def _attach(self, one: FakeContainer, leg: Attachment) -> None:
        if leg.network not in self.networks:
            raise Missing(f"No such network: {leg.network}")
        if leg.network in one.legs:
            raise EngineRefused(f"container is already connected to network {leg.network}")
        one.legs[leg.network] = leg
        self._set_addresses(one)

    def _set_addresses(self, one: FakeContainer) -> None:
        others = [other.state.addresses for other in self.containers.values() if other is not one]
        taken = {address for addresses in others for address in addresses.values()}
        self._change(one, addresses=choose_addresses(one.legs, self.networks, taken))

    def _publish(self, one: FakeContainer) -> dict[int, int]:
        used = {port for other in self.containers.values() for port in other.state.published.values()}
        return choose_ports(one.spec.publish, used)

    def _by_id(self, ref: str) -> ImageState | None:
        return next((one for one in self.images.values() if one.id == ref), None)

    def _add_image(self, tag: str, labels: Mapping[str, str], content: bytes = b"") -> str:
        self.images[tag] = image_state(tag, labels, content)
        return self.images[tag].id
