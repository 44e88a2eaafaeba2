"""The shapes of lab.yaml, mutant.yaml, service.yaml and scaffold.yaml.

Knows nothing of containers, pytest or a learner's folder.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from roadmap_labs.content.strict_yaml import Document, read
from roadmap_labs.errors import InvalidManifest

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
CheckId = Annotated[str, StringConstraints(pattern=r"^t[0-9]+_[a-z0-9_]+$", max_length=60)]
TaskId = Annotated[str, StringConstraints(pattern=r"^t[0-9]+$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
UserId = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*:[1-9][0-9]*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
PortName = Annotated[str, StringConstraints(pattern=r"^[a-z]+$", max_length=20)]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z]+(_[a-z]+)*$", max_length=40)]
FolderName = Annotated[str, StringConstraints(pattern=r"^(\.|[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)$")]
Target = Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._-]+)+$")]
Size = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[km]$")]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class ServiceUse(_Shape):
    """A service as one lab uses it: which recipe, which seed is baked in, which settings differ."""

    recipe: Slug
    seed: str | None = None
    settings: dict[str, str] = {}
    show: str = Field(
        default="", description="The line for the terminal where the recipe's own would say the wrong thing."
    )


class Role(_Shape):
    """A part of the learner's system that runs in containers of its own."""

    port: Port = 8000
    ports: dict[PortName, Port] = Field(default={}, description="Further ports that checks and people reach.")
    replicas: int = Field(default=1, ge=1, le=6, description="The most that a check may ask for.")
    ready: Annotated[str, StringConstraints(pattern=r"^(/.*|tcp|postgres|started)$")] = "/readyz"
    show: str = Field(
        default="/",
        description="A path, or a whole line for the terminal with {{ host }}, {{ port }}, {{ ports.x }}.",
    )
    prestart: bool = Field(
        default=True, description="A check's stack raises the first one before it is asked for."
    )
    folder: FolderName = Field(default=".", description="The part of the learner's folder that this role is.")
    runs_in: Slug | None = Field(
        default=None,
        description="A service's recipe: the learner's files run in that image, not in the scaffold's.",
    )
    mounts: dict[FolderName, Target] = Field(
        default={},
        description="With runs_in: folders of the learner's folder, and where they lie, read-only.",
    )
    shares: dict[Slug, Target] = Field(
        default={}, description="Services whose shared folder lies here, read-only."
    )
    environment: dict[str, str] = {}
    check_environment: dict[str, str] = Field(
        default={},
        description="Differs in a check: limits so generous that a loaded machine changes no verdict.",
    )


def role_of(replica: str) -> str:
    """The role of a replica: `catalog` of `catalog-2`."""
    return replica.rpartition("-")[0]


class Task(_Shape):
    """A task: its checks with their points, and three hints from a question to the shape of the solution."""

    title: Text
    minutes: int = Field(ge=1)
    checks: dict[CheckId, float | int]
    hints: tuple[Text, Text, Text] = Field(strict=False)


class LabManifest(_Shape):
    """lab.yaml."""

    format: Literal[1]
    version: Text
    title: Text
    summary: Text
    topics: tuple[Slug, ...] = Field(strict=False, min_length=1)
    level: Literal["beginner", "intermediate", "advanced"]
    minutes: int = Field(ge=1)
    prerequisites: tuple[Slug, ...] = Field(default=(), strict=False)
    scaffolds: tuple[Slug, ...] = Field(strict=False, min_length=1)
    services: dict[Slug, ServiceUse] = {}
    secrets: tuple[SecretName, ...] = Field(
        default=(),
        strict=False,
        description="Passwords, drawn anew for each check; {{ secrets.x }} in environments.",
    )
    roles: dict[Slug, Role]
    starter_passes: tuple[CheckId, ...] = Field(default=(), strict=False)
    tasks: dict[TaskId, Task] = Field(min_length=1)


class Edit(_Shape):
    """Some lines of one file of the solution, and what stands there instead; indentation comes from the file."""

    file: Text
    old: str = Field(min_length=1)
    new: str


class MutantManifest(_Shape):
    """mutant.yaml: one wrong idea, and the check that must find it."""

    format: Literal[1]
    belief: Text = Field(description="What the colleague believed, in one sentence.")
    scaffold: Slug | None = Field(default=None, description="The lab's first, where none is named.")
    caught_by: CheckId
    code: Text = Field(description="The feedback code that the check must give.")
    says: Text = Field(description="A few words that the learner's message must contain.")
    edits: tuple[Edit, ...] = Field(default=(), strict=False)


class ServiceManifest(_Shape):
    """service.yaml: one real server."""

    format: Literal[1]
    title: Text
    port: Port = 1
    ports: dict[PortName, Port] = Field(default={}, description="Further ports that checks and people reach.")
    user: UserId
    data: str | None = Field(
        default=None, description="Kept in a volume by a playground, in memory by a check."
    )
    keep_data: bool = Field(
        default=False, description="Also a check keeps the data over a restart, in a volume."
    )
    shared: Target | None = Field(
        default=None, description="A folder that it fills and that roles may have (`shares`)."
    )
    data_size: Size = "64m"
    scratch: dict[str, Size] = {}
    memory: int = Field(ge=16, description="MiB")
    processes: int = Field(default=256, ge=1)
    ready: Annotated[str, StringConstraints(pattern=r"^(postgres|redis|amqp|tcp|http(:[a-z]+)?:/.*)$")] = (
        "tcp"
    )
    settings: dict[str, str] = {}
    environment: dict[str, str] = {}
    url: str = ""
    talk: str = ""
    shell: tuple[str, ...] = Field(default=("sh",), strict=False)


class ScaffoldManifest(_Shape):
    """scaffold.yaml: a project tree and the image that runs it; without `run`, a tree alone."""

    format: Literal[1]
    title: Text
    language: Text
    entry: Text
    image_of: Slug | None = Field(default=None, description="Another scaffold, whose image runs this tree.")
    source: Target = "/app"
    user: UserId = "10001:10001"
    run: tuple[str, ...] = Field(default=(), strict=False)
    live: tuple[str, ...] = Field(
        default=(), strict=False, description="In a playground; `run` where it is empty."
    )
    memory: int = Field(default=256, ge=16, description="MiB")
    processes: int = Field(default=128, ge=1)


_M = TypeVar("_M", bound=_Shape)


def load(shape: type[_M], file: Path) -> _M:
    """Read and check one manifest; every problem of it is named at once, with line, column and a near miss."""
    document = read(file)
    try:
        return shape.model_validate(document.value)
    except ValidationError as error:
        lines = [_sentence(document, problem, shape) for problem in error.errors()]
        raise InvalidManifest(
            "\n".join(lines), cure=f"Mend {file.name}, then run the command again."
        ) from error


def _sentence(document: Document, problem: Any, shape: type[BaseModel]) -> str:
    path = tuple(part for part in problem["loc"] if part != "[key]")
    place = document.place(path)
    where = f"{document.file}:{place.line}:{place.column}"
    name = ".".join(str(part) for part in path) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key '{name}'{_near(str(path[-1]), shape)}."
    if problem["type"] == "missing":
        return f"{where}: '{name}' is missing."
    return f"{where}: '{name}': {problem['msg'][0].lower()}{problem['msg'][1:]}; saw {problem['input']!r}."


def _near(key: str, shape: type[BaseModel]) -> str:
    known = {field for model in (shape, ServiceUse, Role, Task, Edit) for field in model.model_fields}
    close = difflib.get_close_matches(key, sorted(known), n=1)
    return f"; did you mean '{close[0]}'" if close else ""
