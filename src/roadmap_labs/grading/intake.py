"""Reads one submission as data, or says why it is refused. Knows no ledger and runs nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from roadmap_labs.content import shelf
from roadmap_labs.content.archives import SUFFIXES, take_in_archive, unwrapped
from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.submission import Submission, refused, submission_of, take_in
from roadmap_labs.errors import BadSubmission
from roadmap_labs.grading.entries import Entry
from roadmap_labs.stack.assembly import own_parts


def read(entry: Entry, lab: Lab, *, allow_dockerfile: bool) -> Submission | BadSubmission:
    """A submission's files, or why they are refused."""
    own = {
        path.name
        for scaffold in lab.manifest.scaffolds
        for path in shelf.load_scaffold(scaffold).tree.iterdir()
    }
    own |= {role.folder.partition("/")[0] for role in lab.manifest.roles.values()}
    try:
        if entry.source.is_symlink():
            raise refused("symbolic link in the place of a submission")
        files = _taken(entry.source, own)
        if own_parts(lab, files) and not allow_dockerfile:
            raise refused(
                "it brings a Dockerfile, and builds of strangers are not allowed here (--allow-dockerfile)"
            )
    except BadSubmission as refusal:
        return refusal
    except OSError as error:
        return refused(f"it can't be read: {error.strerror}")
    return files


def _taken(source: Path, own: Collection[str]) -> Submission:
    if not source.is_dir():
        return take_in_archive(source, own)
    inside = _handed_in(source)
    if inside is not None:
        return take_in_archive(inside, own)
    return submission_of(unwrapped(take_in(source).files, own))


def _handed_in(folder: Path) -> Path | None:
    """The archive that is all there is in a folder: Moodle makes such a folder for each participant."""
    with os.scandir(folder) as entries:
        found = [entry for entry, _ in zip(entries, range(2), strict=False)]
    if (
        len(found) == 1
        and found[0].is_file(follow_symlinks=False)
        and found[0].name.lower().endswith(SUFFIXES)
    ):
        return folder / found[0].name
    return None


def digest_of(files: Submission | BadSubmission) -> str:
    """What names these files, or this refusal, in the ledger."""
    if isinstance(files, Submission):
        return files.digest
    return "refused:" + hashlib.sha256(files.message.encode()).hexdigest()
