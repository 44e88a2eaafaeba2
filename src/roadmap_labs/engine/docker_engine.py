"""The Engine protocol over the docker SDK's low-level client. Knows nothing of stacks, labs or checks.

A create call that succeeded and a start call that failed leave a created container: removing it is the
caller's part (the stack's), because only the caller knows whether it wants to look at it first.
"""

from __future__ import annotations

import io
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import docker
from docker.types import IPAMConfig, IPAMPool

from roadmap_labs.engine import reading, seccomp
from roadmap_labs.engine.endpoint import Endpoint, choose_endpoint
from roadmap_labs.engine.failures import translated, unavailable
from roadmap_labs.engine.profile import create_body, network_body
from roadmap_labs.engine.protocol import (
    Attachment,
    Conflict,
    ContainerSpec,
    ContainerState,
    Engine,
    EngineFacts,
    ExecResult,
    Found,
    ImageState,
    Kind,
    Missing,
    NetworkSpec,
    Progress,
)
from roadmap_labs.engine.streams import MOST_OUTPUT, follow_build, follow_pull, frames, last_bytes
from roadmap_labs.errors import EngineRefused

# Seconds that one call may take (for streams: without a byte), by kind of call.
_LOOK, _CHANGE, _ARCHIVE, _PULL, _BUILD = 20, 60, 180, 60, 900
_POLL = 0.03


def open_engine(context: str | None = None) -> Engine:
    """Connect to the engine of `context` or of the environment; `EngineUnavailable` where none answers."""
    return DockerEngine(choose_endpoint(context))


class DockerEngine:
    """One engine. Safe to use from many threads: each gets a client of its own."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._local = threading.local()
        self._clients: weakref.WeakSet[docker.APIClient] = weakref.WeakSet()
        self._api_version = "auto"
        self._api_version = self._connect().api_version

    def _connect(self) -> docker.APIClient:
        options: dict[str, Any] = dict(self._endpoint.options)
        try:
            client = docker.APIClient(version=self._api_version, timeout=_LOOK, **options)
        except Exception as error:  # the SDK wraps whatever went wrong in a DockerException, or does not
            raise unavailable(self._endpoint, error) from error
        if self._endpoint.is_local:
            client.trust_env = False  # no look-up of proxies and .netrc for a socket
        self._local.client = client
        self._clients.add(client)
        return client

    @contextmanager
    def _call(
        self, doing: str, seconds: float = _CHANGE, *, may_conflict: bool = False
    ) -> Iterator[docker.APIClient]:
        client: docker.APIClient = getattr(self._local, "client", None) or self._connect()
        client.timeout = math.ceil(seconds)
        with translated(self._endpoint, doing, may_conflict=may_conflict):
            yield client

    def _url(self, client: docker.APIClient, path: str) -> str:
        return f"{client.base_url}/v{self._api_version}{path}"

    def facts(self) -> EngineFacts:
        with self._call("describe itself", _LOOK) as client:
            return reading.facts(client.info(), client.version(), self._endpoint, self._api_version)

    def create_network(self, spec: NetworkSpec) -> str:
        pool = IPAMConfig(driver="default", pool_configs=[IPAMPool(subnet=spec.subnet)])
        # Engine 28 (API 1.48) was the first to know isolated gateways; older ones swallow the option.
        body = network_body(spec, isolated_mode=self._api_at_least(1, 48))
        with self._call(f"create network {spec.name}", may_conflict=True) as client:
            return str(client.create_network(ipam=pool, **body)["Id"])

    def connect(self, container: str, attachment: Attachment) -> None:
        with self._call(f"connect container {container[:12]}", may_conflict=True) as client:
            client.connect_container_to_network(
                container,
                attachment.network,
                ipv4_address=attachment.address,
                aliases=list(attachment.aliases),
            )

    def disconnect(self, container: str, network: str) -> None:
        with self._call(f"disconnect container {container[:12]}") as client:
            client.disconnect_container_from_network(container, network)

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        with self._call(f"create volume {name}", may_conflict=True) as client:
            # The engine hands back an existing volume of that name as if it had just made it.
            made = client.create_volume(name, driver="local", labels=dict(labels))
        if dict(made.get("Labels") or {}) != dict(labels):
            raise Conflict(f"Volume {name} exists already and is not the one asked for.")

    def create_container(self, spec: ContainerSpec) -> str:
        body = create_body(spec, seccomp.profile_text(), private_cgroups=self._api_at_least(1, 41))
        with self._call(f"create container {spec.name}", may_conflict=True) as client:
            for mount in spec.volumes:
                client.inspect_volume(mount.volume)  # a missing one would be made, without any label
            made: dict[str, Any] = client.create_container_from_config(body, spec.name)  # type: ignore[no-untyped-call]
            return str(made["Id"])

    def start(self, container: str) -> None:
        with self._call(f"start container {container[:12]}", may_conflict=True) as client:
            client.start(container)

    def stop(self, container: str, *, grace_seconds: float) -> None:
        with self._call(f"stop container {container[:12]}") as client:
            client.stop(container, timeout=math.ceil(grace_seconds))

    def kill(self, container: str, signal: str = "SIGKILL") -> None:
        with self._call(f"send {signal} to container {container[:12]}") as client:
            client.kill(container, signal)

    def pause(self, container: str) -> None:
        with self._call(f"pause container {container[:12]}") as client:
            client.pause(container)

    def unpause(self, container: str) -> None:
        with self._call(f"unpause container {container[:12]}") as client:
            client.unpause(container)

    def inspect(self, container: str) -> ContainerState:
        with self._call(f"inspect container {container[:12]}", _LOOK) as client:
            return reading.container(client.inspect_container(container))

    def processes(self, container: str) -> int:
        with self._call(f"count the processes of container {container[:12]}", _LOOK) as client:
            # Without one-shot the engine waits a second, to compare two looks at the CPU.
            counted = client.stats(container, stream=False, one_shot=self._api_at_least(1, 41) or None)
        return int((counted.get("pids_stats") or {}).get("current") or 0)

    def put_archive(self, container: str, path: str, archive: bytes) -> None:
        with self._call(f"copy files to container {container[:12]}", _ARCHIVE) as client:
            client.put_archive(container, path, archive)

    def logs(self, container: str, *, tail: int = 200, since: str | None = None) -> bytes:
        return last_bytes(self._log_pieces(container, {"tail": tail, "since": since}, _LOOK))

    def follow_logs(self, container: str, sink: Callable[[bytes], None], *, tail: int = 200) -> None:
        for piece in self._log_pieces(container, {"tail": tail, "follow": "1"}, None):
            sink(piece)

    def _log_pieces(
        self, container: str, wish: Mapping[str, object], seconds: float | None
    ) -> Iterator[bytes]:
        # Not the SDK's own logs(): it inspects the container first and switches read timeouts off.
        query = {key: str(value) for key, value in wish.items() if value is not None}
        query |= {"stdout": "1", "stderr": "1"}
        with self._call(f"read the log of container {container[:12]}") as client:
            url = self._url(client, f"/containers/{container}/logs")
            with client.get(url, params=query, stream=True, timeout=(_LOOK, seconds)) as answer:
                reading.check(answer)
                yield from frames(answer.raw.read)

    def run_inside(self, container: str, command: tuple[str, ...], *, seconds: float = 10) -> ExecResult:
        deadline = time.monotonic() + seconds
        kept, size = [], 0
        with self._call(f"run {command[0]} in container {container[:12]} (limit {seconds:g} s)") as client:
            made = client.exec_create(container, list(command), stdin=False, tty=False)
            url = self._url(client, f"/exec/{made['Id']}/start")
            # Not the SDK's exec_start(): it can lose the first bytes and waits for ever.
            wish = {"Detach": False, "Tty": False}
            with client.post(url, json=wish, stream=True, timeout=(_LOOK, seconds)) as answer:
                reading.check(answer)
                for piece in frames(answer.raw.read):
                    if size < MOST_OUTPUT:
                        kept.append(piece)
                        size += len(piece)
                    if time.monotonic() > deadline:
                        raise TimeoutError  # `translated` words it
            ended = client.exec_inspect(made["Id"])
        return ExecResult(int(ended.get("ExitCode") or 0), b"".join(kept)[:MOST_OUTPUT])

    def find(self, kind: Kind, labels: Mapping[str, str]) -> tuple[Found, ...]:
        wanted = {"label": [f"{key}={value}" if value else key for key, value in labels.items()]}
        with self._call(f"list {kind}s", _LOOK) as client:
            if kind == "container":
                return tuple(map(reading.found_container, client.containers(all=True, filters=wanted)))
            if kind == "network":
                return tuple(map(reading.found_network, client.networks(filters=wanted)))
            if kind == "volume":
                return tuple(map(reading.found_volume, client.volumes(filters=wanted).get("Volumes") or []))
            return tuple(map(reading.found_image, client.images(filters=wanted)))

    def remove(self, kind: Kind, ref: str, *, patient: bool = True) -> None:
        deadline = time.monotonic() + (_LET_GO[kind] if patient else 0)
        while not self._removed(kind, ref, give_up=time.monotonic() > deadline):
            time.sleep(_POLL)

    def _removed(self, kind: Kind, ref: str, *, give_up: bool) -> bool:
        """Ask for the removal once; False where it must be asked again: something still lets go of it."""
        try:
            with self._call(f"remove {kind} {ref[:40]}") as client:
                if kind == "container":
                    client.remove_container(ref, force=True, v=True)
                elif kind == "network":
                    client.remove_network(ref)
                elif kind == "volume":
                    client.remove_volume(ref, force=True)
                else:
                    client.remove_image(ref, force=True)
        except Missing:
            return True
        except EngineRefused as error:
            if give_up or not any(phrase in error.message for phrase in _LETTING_GO.get(kind, ())):
                raise
            return False
        return True

    def image(self, ref: str) -> ImageState | None:
        with suppress(Missing), self._call(f"inspect image {ref}", _LOOK) as client:
            return reading.image(client.inspect_image(ref))  # type: ignore[no-untyped-call]
        return None

    def build_image(
        self,
        archive: bytes,
        tag: str,
        labels: Mapping[str, str],
        *,
        progress: Progress,
        memory_bytes: int = 0,
    ) -> str:
        limits: Any = {"memory": memory_bytes, "memswap": memory_bytes} if memory_bytes else None
        with self._call(f"build image {tag}") as client:
            reports = client.build(
                fileobj=io.BytesIO(archive),
                custom_context=True,
                tag=tag,
                labels=dict(labels),
                rm=True,
                forcerm=True,
                decode=True,
                timeout=_BUILD,
                container_limits=limits,
                use_config_proxy=False,
            )
            return follow_build(reports, tag, progress) or self._image_id(tag)

    def import_image(self, archive_path: str, tag: str, labels: Mapping[str, str]) -> str:
        repository, _, version = tag.rpartition(":")
        changes = [f"LABEL {key}={reading.quoted(value)}" for key, value in labels.items()]
        with self._call(f"import image {tag}", _BUILD) as client:
            client.import_image_from_file(archive_path, repository=repository, tag=version, changes=changes)
        return self._image_id(tag)

    def pull_image(self, reference: str, *, progress: Progress) -> str:
        repository, tag = (reference, None) if "@" in reference else reading.split_tag(reference)
        with self._call(f"pull image {reference}", _PULL) as client:
            follow_pull(client.pull(repository, tag=tag, stream=True, decode=True), reference, progress)
        return self._image_id(reference)

    def tag_image(self, image: str, tag: str) -> None:
        repository, version = reading.split_tag(tag)
        with self._call(f"tag image {tag}") as client:
            client.tag(image, repository, version)

    def _image_id(self, ref: str) -> str:
        found = self.image(ref)
        if found is None:
            raise Missing(f"Image {ref} is not there, although the engine has just made it.")
        return found.id

    def _api_at_least(self, major: int, minor: int) -> bool:
        return tuple(int(part) for part in self._api_version.split(".")[:2]) >= (major, minor)

    def close(self) -> None:
        for client in list(self._clients):
            client.close()


# An engine may count endpoints of a network that nobody has any more, until it is started anew: no command waits long
# for such a one. Whoever must have it gone asks three times (engine/sweep.py).
_LET_GO: Mapping[Kind, float] = {"container": 60, "network": 5, "volume": 5, "image": 0}
_LETTING_GO: Mapping[Kind, tuple[str, ...]] = {
    # The last is what a container says whose many processes take longer than ten seconds to die.
    "container": ("already in progress", "device or resource busy", "did not receive an exit event"),
    "network": ("active endpoints",),
    "volume": ("in use",),
}
