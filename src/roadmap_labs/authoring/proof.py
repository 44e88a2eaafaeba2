"""The proof beside a lab: what was proven, when, and the digests of all that it stands on. Judges nothing.

A proof is out of date as soon as one of these digests changes: the lab's folder, its scaffolds, its services, the
relay that its checks go through, and the harness modules that its checks speak with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from roadmap_labs.content import folders, proofs, shelf
from roadmap_labs.content.footing import digests
from roadmap_labs.content.shelf import Lab
from roadmap_labs.content.workspace import write_text_whole
from roadmap_labs.errors import CannotWrite, Problem

State = Literal["proven", "stale", "never", "broken"]


@dataclass(frozen=True)
class Standing:
    """Whether a lab is proven, and why not."""

    slug: str
    state: State
    date: str = ""
    solution_runs: int = 0
    mutants: int = 0
    why: str = ""


def write(lab: Lab, proof: Mapping[str, object]) -> Path:
    """Put the proof beside its lab."""
    file = lab.folder / proofs.NAME
    try:
        write_text_whole(file, (json.dumps(proof, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise CannotWrite(
            f"{file} can't be written: {error.strerror or error}.",
            cure="Prove a lab in a folder that can be written.",
        ) from error
    return file


def changed(proven: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """The parts whose digests differ, in a fixed order."""
    return tuple(sorted(part for part in {*proven, *now} if proven.get(part) != now.get(part)))


def standing(slug: str) -> Standing:
    """Whether a lab is proven as it lies there now."""
    try:
        lab = shelf.load_lab(slug)
    except Problem as problem:
        return Standing(slug, "broken", why=problem.message.splitlines()[0])
    proof = proofs.read(lab.folder)
    if proof is None:
        return Standing(slug, "never", why="no proof was written yet")
    differing = changed(proof.get("digests", {}), digests(lab))
    return Standing(
        slug,
        "stale" if differing else "proven",
        str(proof.get("date", "")),
        int(proof.get("solution", {}).get("runs", 0)),
        len(proof.get("mutants", {})),
        f"changed since: {', '.join(differing)}" if differing else "",
    )


def standings() -> tuple[Standing, ...]:
    """Every lab on the shelf."""
    return tuple(standing(slug) for slug in folders.slugs())
