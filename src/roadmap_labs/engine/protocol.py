"""What the rest of the house may ask of a container engine: nouns and one Protocol. Knows no wire.

Every call has a deadline of its own. Objects are referred to by id; names are only unique for containers and
volumes. Errors: `EngineUnavailable` where no engine answers, `Missing` where the object does not exist,
`Conflict` where a name or an address is taken, `EngineRefused` (their base) for everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from roadmap_labs.errors import EngineRefused

Kind = Literal["container", "network", "volume", "image"]


class Missing(EngineRefused):
    """The object that the call names does not exist (any more)."""


class Conflict(EngineRefused):
    """A name, an address range or a host port is already taken."""


@dataclass(frozen=True)
class EngineFacts:
    """What `doctor` and the profile need to know about the engine."""

    version: str
    api_version: str
    endpoint: str
    context: str
    operating_system: str
    architecture: str
    cpus: int
    memory_bytes: int
    cgroup_version: str
    data_root: str
    storage_driver: str
    runtimes: tuple[str, ...]
    security_options: tuple[str, ...]
    server_time: str  # ISO 8601, the engine's clock


@dataclass(frozen=True)
class NetworkSpec:
    """One bridge network. `internal` has no way out; `isolated_gateway` closes the way to the host too."""

    name: str
    labels: Mapping[str, str]
    subnet: str  # "10.213.4.16/28"
    internal: bool = False
    isolated_gateway: bool = False
    peers_may_talk: bool = True  # enable_icc
    masquerade: bool = True


@dataclass(frozen=True)
class Attachment:
    """A container's leg on a network: a fixed address (None: the engine's choice), its names among peers."""

    network: str  # id
    address: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class VolumeMount:
    """A named volume in a container."""

    volume: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class FolderMount:
    """A folder of the host, always read-only; only ever used by a playground."""

    folder: str
    target: str


@dataclass(frozen=True)
class Limits:
    """What a container may use. Memory and swap are one limit, so nothing swaps."""

    memory_bytes: int = 256 * 1024 * 1024
    processes: int = 128
    cpus: float = 1.0
    open_files: int = 1024
    file_bytes: int = 64 * 1024 * 1024
    log_bytes: int = 1024 * 1024  # one log file; two are kept
    shm_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True)
class ContainerSpec:
    """One container, whole: nothing outside this object reaches the engine's create call.

    `user` None keeps the image's own user; `command` None the image's own CMD. All capabilities are dropped,
    new privileges refused, the root file system is read-only, restart is off, nothing is privileged: the
    engine adds that to every container, there is no way to ask for less.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    attachment: Attachment | None = None
    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    working_dir: str | None = None
    volumes: tuple[VolumeMount, ...] = ()
    folders: tuple[FolderMount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)  # target -> options, "size=64m,mode=1777"
    # container port -> port on 127.0.0.1, None: the engine picks one
    publish: Mapping[int, int | None] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    outside_names: bool = False  # True: names of the outside resolve (playground); False: only peers' names
    share_network_of: str | None = None  # container id; only for our own look into a container's sockets
    stop_signal: str | None = None
    loader: bool = (
        False  # never started, only there so that put_archive can fill its volumes; start refuses it
    )


@dataclass(frozen=True)
class ContainerState:
    """What the engine says of one container now."""

    id: str
    name: str
    image: str  # image id
    labels: Mapping[str, str]
    status: Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]
    exit_code: int
    out_of_memory: bool
    started_at: str  # ISO 8601, "" where it never ran
    finished_at: str
    pid: int
    addresses: Mapping[str, str]  # network id -> address
    published: Mapping[int, int]  # container port -> port on 127.0.0.1
    error: str  # why the start failed, in the engine's words
    host_config: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Found:
    """An object of ours that a label search found."""

    kind: Kind
    id: str
    name: str
    labels: Mapping[str, str]
    status: str = ""  # containers only


@dataclass(frozen=True)
class ImageState:
    """An image that the engine has."""

    id: str
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    size_bytes: int
    user: str
    command: tuple[str, ...]
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExecResult:
    """What a command inside one of our own service containers printed, and how it ended."""

    exit_code: int
    output: bytes  # at most 1 MiB of stdout and stderr together


Progress = Callable[[str], None]  # one line of a build or a pull, without its line end


class Engine(Protocol):
    """The seam between roadmap-labs and a container engine."""

    def facts(self) -> EngineFacts: ...

    def create_network(self, spec: NetworkSpec) -> str:
        """Create and return the id. `Conflict` where the subnet overlaps with another or the name exists."""

    def connect(self, container: str, attachment: Attachment) -> None: ...

    def disconnect(self, container: str, network: str) -> None: ...

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Create; `Conflict` where one of that name exists with other labels, nothing where it is the same."""

    def create_container(self, spec: ContainerSpec) -> str:
        """Create, not start, and return the id. `Conflict`: the name is taken; `Missing`: no image or volume."""

    def start(self, container: str) -> None: ...

    def stop(self, container: str, *, grace_seconds: float) -> None: ...

    def kill(self, container: str, signal: str = "SIGKILL") -> None: ...

    def pause(self, container: str) -> None: ...

    def unpause(self, container: str) -> None: ...

    def inspect(self, container: str) -> ContainerState: ...

    def processes(self, container: str) -> int:
        """How many processes and threads it runs now; 0 where it does not run."""

    def put_archive(self, container: str, path: str, archive: bytes) -> None:
        """Unpack an uncompressed tar into a container that never ran."""

    def logs(self, container: str, *, tail: int = 200, since: str | None = None) -> bytes:
        """The last `tail` lines of stdout and stderr, at most 1 MiB."""

    def follow_logs(self, container: str, sink: Callable[[bytes], None], *, tail: int = 200) -> None:
        """Hand the log to `sink` piece by piece until the container ends or the sink raises."""

    def run_inside(self, container: str, command: tuple[str, ...], *, seconds: float = 10) -> ExecResult:
        """Run a command in a container of an image of ours; a learner's script runs there with the same limits."""

    def find(self, kind: Kind, labels: Mapping[str, str]) -> tuple[Found, ...]:
        """All objects that carry these labels (an empty value asks for the key alone)."""

    def remove(self, kind: Kind, ref: str, *, patient: bool = True) -> None:
        """Remove by id, by force; nothing happens where it is gone already.

        A patient call waits some seconds for what still uses the object to let go of it.
        """

    def image(self, ref: str) -> ImageState | None: ...

    def build_image(
        self,
        archive: bytes,
        tag: str,
        labels: Mapping[str, str],
        *,
        progress: Progress,
        memory_bytes: int = 0,
    ) -> str:
        """Build from an uncompressed tar with a Dockerfile, tag it, return the image id.

        A failing step raises `BuildFailed` with the last lines that it printed.
        """

    def import_image(self, archive_path: str, tag: str, labels: Mapping[str, str]) -> str:
        """Make an image of one layer from a root file system's tar."""

    def pull_image(self, reference: str, *, progress: Progress) -> str:
        """Pull `name@sha256:…` or `name:tag`, return the image id; `EngineRefused` where no registry answers."""

    def tag_image(self, image: str, tag: str) -> None: ...

    def close(self) -> None: ...


class BuildFailed(EngineRefused):
    """A step of a Dockerfile failed; `lines` are the last lines that it printed."""

    def __init__(self, message: str, *, lines: tuple[str, ...] = (), cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.lines = lines
