"""Measures what a user waits for. Both sides of a comparison run in turn in one go; only ratios are compared.

    python bench/speed.py [--rounds N] [--json FILE] [start] [compose] [check] [faces]

Prints one table and writes the same as JSON. Run it with nothing else on the machine, images built before
(`roadmap-labs images build`). Where there is no compose plug-in, that row says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

LAB = "redis-caching"
_NAME_AND_IMAGE = '{{.Label "io.roadmap-labs.service"}}={{.Image}}'
TOOL = [sys.executable, "-I", str(Path(sys.executable).with_name("roadmap-labs"))]


@dataclass(frozen=True)
class Row:
    """One line of the table: medians in milliseconds, and what must be reached."""

    what: str
    ours_ms: float
    theirs_ms: float | None
    ratio: float | None
    must: str
    reached: bool | None
    runs_ms: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=Path("bench/speed.json"))
    parser.add_argument("what", nargs="*", default=["start", "compose", "check", "faces"])
    chosen = parser.parse_args()
    benches: dict[str, Callable[[int], list[Row]]] = {
        "start": start,
        "compose": compose,
        "check": check,
        "faces": faces,
    }
    rows = [row for name in chosen.what for row in benches[name](chosen.rounds)]
    print(table(rows))
    chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


def table(rows: list[Row]) -> str:
    lines = [f"{'what':<58} {'ours':>9} {'theirs':>9} {'ratio':>6}  must"]
    for row in rows:
        theirs = f"{row.theirs_ms:7.0f}ms" if row.theirs_ms is not None else "-"
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else "-"
        sign = {True: "reached", False: "MISSED", None: "not measured"}[row.reached]
        lines.append(f"{row.what:<58} {row.ours_ms:7.0f}ms {theirs:>9} {ratio:>6}  {row.must}: {sign}")
    return "\n".join(lines)


def timed(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return (time.monotonic() - began) * 1000


def until_said(command: list[str], word: str) -> float:
    """Milliseconds until a line with this word stands on stdout; then the command may end in peace."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    seen = next(((time.monotonic() - began) * 1000 for line in process.stdout if word in line), None)
    process.stdout.read()
    assert process.wait() in (0, 1), command
    assert seen is not None, f"{command} never said {word}"
    return seen


def quiet(command: list[str], cwd: Path | None = None, **environment: str) -> None:
    subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )


def start(rounds: int) -> list[Row]:
    """`start` of the command line against the same containers by bare calls of the engine's own library."""
    bare = [sys.executable, "-I", str(Path(__file__).with_name("bare_start.py"))]
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            shop = Path(folder) / f"shop{number}"
            one = until_said([*TOOL, "start", LAB, str(shop)], "redis-cli")
            images = running_images(shop)
            quiet([*TOOL, "-C", str(shop), "clean", "--yes"])
            other = json.loads(
                subprocess.run([*bare, *images, str(shop)], check=True, capture_output=True).stdout
            )
            if number:  # the first round only warms the page cache
                ours.append(one)
                theirs.append(other["ready_ms"])
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    what = "start, images present, against bare engine calls"
    return [row(what, ours, theirs, ratio, "at most 1.3 times", ratio <= 1.3)]


def running_images(shop: Path) -> list[str]:
    """Name=image pairs of a playground, for the other side."""
    seen = subprocess.run([*TOOL, "-C", str(shop), "status", "--json"], check=True, capture_output=True)
    workspace = json.loads(seen.stdout)["workspace"]
    listed = subprocess.run(
        [
            "docker",
            "ps",
            "--filter",
            f"label=io.roadmap-labs.folder={workspace}",
            "--format",
            _NAME_AND_IMAGE,
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return listed.stdout.split()


def compose(rounds: int) -> list[Row]:
    """`start` against `docker compose up --wait` with health checks each second."""
    what = "start, against docker compose up --wait"
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
        return [Row(what, 0, None, None, "at most 0.25 (no compose plug-in here)", None, [])]
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            shop = Path(folder) / f"shop{number}"
            one = until_said([*TOOL, "start", LAB, str(shop)], "redis-cli")
            images = dict(pair.split("=") for pair in running_images(shop))
            quiet([*TOOL, "-C", str(shop), "clean", "--yes"])
            file = shop / "compose.json"
            file.write_text(json.dumps(compose_file(images, shop)), encoding="utf-8")
            up = ["docker", "compose", "-p", f"bench{number}", "-f", str(file)]
            other = timed(lambda up=up: quiet([*up, "up", "--wait", "-d"]))
            quiet([*up, "down", "-v", "-t", "1"])
            if number:
                ours.append(one)
                theirs.append(other)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return [row(what, ours, theirs, ratio, "at most 0.25", ratio <= 0.25)]


def compose_file(images: dict[str, str], shop: Path) -> dict[str, object]:
    """The same three containers as a person would write them down for compose."""
    every = {"interval": "1s", "timeout": "1s", "retries": 60}
    url = "postgresql://catalog:catalog@postgres:5432/shop"
    probe = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=1)"
    ready = {"condition": "service_healthy"}
    return {
        "services": {
            "postgres": {
                "image": images["postgres"],
                "environment": {"LAB_USER": "catalog", "LAB_PASSWORD": "catalog"},
                "healthcheck": {
                    "test": ["CMD", "psql", "-h", "127.0.0.1", url.replace("@postgres", "@127.0.0.1")],
                    **every,
                },
                "ports": ["127.0.0.1::5432"],
            },
            "redis": {
                "image": images["redis"],
                "healthcheck": {"test": ["CMD", "redis-cli", "ping"], **every},
                "ports": ["127.0.0.1::6379"],
            },
            "catalog": {
                "image": images["catalog-1"],
                "environment": {"DATABASE_URL": url, "REDIS_URL": "redis://redis:6379/0", "PORT": "8000"},
                "volumes": [f"{shop}:/app:ro"],
                "depends_on": {"postgres": ready, "redis": ready},
                "healthcheck": {"test": ["CMD", "python3", "-c", probe], **every},
                "ports": ["127.0.0.1::8000"],
            },
        }
    }


def check(rounds: int) -> list[Row]:
    """From the command to the first verdict on the screen, and a whole check."""
    first, whole = [], []
    command = [*TOOL, "check", "--lab", LAB, "--solution", "--task", "t1"]
    for _ in range(rounds):
        whole.append(timed(lambda: first.append(until_said(command, "✓ pass"))))
    median = statistics.median(first)
    return [
        row(
            "check --task t1: command to first verdict", first, None, None, "at most 2500 ms", median <= 2500
        ),
        row("check --task t1: whole, with removal", whole, None, None, "(told, no figure asked)", True),
    ]


def faces(rounds: int) -> list[Row]:
    """What answers without an engine: help, completion, list, and what the wrapper adds."""
    found = []
    wrapper = Path(__file__).parent.parent / "bin" / "roadmap-labs"
    completion = {
        "_ROADMAP_LABS_COMPLETE": "complete_bash",
        "COMP_WORDS": "roadmap-labs start r",
        "COMP_CWORD": "2",
    }
    for what, command, environment, must in (
        ("--help", [*TOOL, "--help"], {}, 150),
        ("completion of a lab's name", TOOL, completion, 150),
        ("list", [*TOOL, "list"], {}, 200),
    ):
        runs = [timed(lambda c=command, e=environment: quiet(c, **e)) for _ in range(rounds * 2 + 1)][1:]
        found.append(row(what, runs, None, None, f"at most {must} ms", statistics.median(runs) <= must))
    if shutil.which("sh") and (wrapper.parent.parent / ".venv").is_dir():
        direct = [
            str(wrapper.parent.parent / ".venv" / "bin" / "python"),
            "-I",
            str(wrapper.parent.parent / ".venv/bin/roadmap-labs"),
        ]
        pairs = [
            (timed(lambda: quiet([str(wrapper), "--version"])), timed(lambda: quiet([*direct, "--version"])))
            for _ in range(rounds * 2 + 1)
        ][1:]
        added = [one - other for one, other in pairs]
        found.append(
            row(
                "what bin/roadmap-labs adds",
                added,
                None,
                None,
                "under 100 ms",
                statistics.median(added) < 100,
            )
        )
    return found


def row(
    what: str, ours: list[float], theirs: list[float] | None, ratio: float | None, must: str, reached: bool
) -> Row:
    other = statistics.median(theirs) if theirs else None
    return Row(what, statistics.median(ours), other, ratio, must, reached, [round(value) for value in ours])


if __name__ == "__main__":
    main()
