"""Brings the learner's files to the roles: volumes in a check, their own folder in a playground. Runs nothing.

A volume is filled through a container of ours that is never started, so no byte of the learner's is executed or
interpreted on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path

from roadmap_labs.content.submission import Submission
from roadmap_labs.engine.protocol import Engine, FolderMount, VolumeMount
from roadmap_labs.files import File, pack
from roadmap_labs.stack import specs
from roadmap_labs.stack.evidence import RoleBroke
from roadmap_labs.stack.plan import RolePlan, Seat

_TARGET = "/source"


class LearnersFiles:
    """One volume for each part of the learner's folder that some role mounts; in a playground the folder itself."""

    def __init__(
        self, engine: Engine, seat: Seat, image: str, submission: Submission | None, folder: Path | None
    ) -> None:
        self._engine, self._seat, self._image = engine, seat, image
        self._submission, self._folder = submission, folder
        self._volumes: dict[str, Future[str]] = {}  # part of the folder -> volume

    def deliver(self, parts: Iterable[str], pool: Executor) -> None:
        """Begin to fill a volume for each part; nothing happens where the folder itself is mounted."""
        if self._submission is not None:
            for number, part in enumerate(sorted(parts)):
                self._volumes[part] = pool.submit(self._filled, self._submission, part, number)

    def _filled(self, submission: Submission, part: str, number: int) -> str:
        volume = self._seat.name(f"source-{number}" if number else "source")
        self._engine.create_volume(volume, self._seat.labels("source"))
        self._put(volume, submission.part(part).files)
        return volume

    def _put(self, volume: str, files: Iterable[File]) -> None:
        loader = self._engine.create_container(specs.loader_spec(self._seat, self._image, volume, _TARGET))
        try:
            self._engine.put_archive(loader, _TARGET, pack(files))
        finally:
            self._engine.remove("container", loader)

    def mounts(self, plan: RolePlan) -> tuple[tuple[VolumeMount, ...], tuple[FolderMount, ...]]:
        """What a role mounts of the learner's folder, all of it read-only."""
        if self._folder is None:
            volumes = (
                VolumeMount(self._volumes[mount.folder].result(), mount.target, read_only=True)
                for mount in plan.mounts
            )
            return tuple(volumes), ()
        for mount in plan.mounts:
            if not (self._folder / mount.folder).is_dir():
                raise RoleBroke(
                    "L-SUBM",
                    f"{plan.name} can't start: your folder has no {mount.folder}/.",
                    expected=f"the folder {mount.folder}/, as the starter has it",
                )
        return (), tuple(FolderMount(str(self._folder / mount.folder), mount.target) for mount in plan.mounts)

    def rewrite(self, path: str, content: bytes | None, roles: Iterable[RolePlan]) -> None:
        """Replace one file in every volume that holds it; None puts back what was handed in."""
        handed_in = self._submission.file(path) if self._submission else None
        if handed_in is None:
            raise RoleBroke(
                "L-SUBM", f"Your folder has no {path}.", expected=f"the file {path}, as the starter has it"
            )
        for part in {mount.folder for plan in roles for mount in plan.mounts}:
            prefix = "" if part == "." else f"{part}/"
            if path.startswith(prefix):
                file = replace(handed_in, path=path.removeprefix(prefix))
                changed = file if content is None else replace(file, content=content)
                self._put(self._volumes[part].result(), (changed,))
