"""Reads one submission as data, or says why it is refused. Knows no ledger and runs nothing."""

from __future__ import annotations

import hashlib

from roadmap_labs.content import shelf
from roadmap_labs.content.archives import take_in_archive
from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.submission import Submission, refused, take_in
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
        files = take_in(entry.source) if entry.source.is_dir() else take_in_archive(entry.source, own)
        if own_parts(lab, files) and not allow_dockerfile:
            raise refused(
                "it brings a Dockerfile, and builds of strangers are not allowed here (--allow-dockerfile)"
            )
    except BadSubmission as refusal:
        return refusal
    except OSError as error:
        return refused(f"it can't be read: {error.strerror}")
    return files


def digest_of(files: Submission | BadSubmission) -> str:
    """What names these files, or this refusal, in the ledger."""
    if isinstance(files, Submission):
        return files.digest
    return "refused:" + hashlib.sha256(files.message.encode()).hexdigest()
