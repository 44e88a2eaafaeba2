"""Two workers on two engines against one, on work that waits.

    python -m tests.endurance.two_engines [--submissions 16] [--slots 2] [--seconds 8]

The submissions are the toy lab's starter, which begins to listen after some seconds, so a judgement is mostly waiting.
The batch runs twice behind a real broker: by one worker, then by that one and one on a second engine, which has a
network of its own. Needs root. Ends with 1 where two are not 1.7 times as fast, or where a verdict differs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadmap_labs.content import shelf
from roadmap_labs.content.rendering import starter_files, write_files
from roadmap_labs.content.submission import submission_of
from roadmap_labs.engine.docker_engine import open_engine
from roadmap_labs.stack import assembly
from tests.scale.rabbit import Rabbit, rabbit
from tests.scale.second_engine import Host, second_engine

TOYS = Path(__file__).parent.parent / "toy"
TOOL = [sys.executable, "-I", "-m", "roadmap_labs", "--labs-path", str(TOYS)]
MUST = 1.7


@dataclass(frozen=True)
class Batch:
    """How a batch went: seconds from the first claim to the end, its verdicts, how many each worker judged."""

    seconds: float
    verdicts: Counter[str]
    shares: tuple[int, ...]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--submissions", type=int, default=16)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0)
    wish = parser.parse_args()
    os.environ["ROADMAP_LABS_PATH"] = str(TOYS)
    with rabbit() as broker:
        one, two = measured(broker, wish.submissions, wish.slots, wish.seconds)
    ratio = one.seconds / two.seconds
    print(f"{wish.submissions} submissions that wait {wish.seconds:g} s, {wish.slots} slots a worker")
    print(f"  one worker, one engine     {one.seconds:7.1f} s  {dict(one.verdicts)}, shares {one.shares}")
    print(f"  two workers, two engines   {two.seconds:7.1f} s  {dict(two.verdicts)}, shares {two.shares}")
    print(
        f"  ratio                      {ratio:7.2f}    at least {MUST}: {'reached' if ratio >= MUST else 'MISSED'}"
    )
    return 0 if ratio >= MUST and one.verdicts == two.verdicts == Counter({"pass": wish.submissions}) else 1


def measured(broker: Rabbit, submissions: int, slots: int, seconds: float) -> tuple[Batch, Batch]:
    """The batch by one worker, and by two on two engines; the toys are on the shelf (ROADMAP_LABS_PATH)."""
    with tempfile.TemporaryDirectory() as scratch, second_engine() as host:
        host.load(images())
        hand_in(Path(scratch) / "in", submissions, seconds)
        one = grade(Path(scratch), "one", broker, slots, (None,), host.gateway)
        two = grade(Path(scratch), "two", broker, slots, (None, host), host.gateway)
    return one, two


def images() -> list[str]:
    """All that a sealed stack of the toy lab is made of."""
    engine = open_engine()
    lab = shelf.load_lab("toy")
    gathered = assembly.gather(engine, lab, lab.manifest.scaffolds[0], submission_of(()), lambda *_: None)
    engine.close()
    refs = {gathered.base, gathered.relay, *gathered.services.values(), *gathered.roles.values()}
    return sorted(refs)


def hand_in(folder: Path, count: int, seconds: float) -> None:
    lab = shelf.load_lab("toy")
    files = starter_files(lab, shelf.load_scaffold(lab.manifest.scaffolds[0]))
    for number in range(count):
        one = folder / f"s{number:03}"
        write_files(files, one)
        program = one / "app" / "__main__.py"
        first = "from __future__ import annotations\n"
        waits = f"{first}import time\ntime.sleep({seconds})  # {number}\n"
        program.write_text(program.read_text().replace(first, waits))


def grade(
    scratch: Path, out: str, broker: Rabbit, slots: int, hosts: Sequence[Host | None], gateway: str
) -> Batch:
    """Grade by one worker for each host (None: this one)."""
    with socket.create_server((gateway, 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "ROADMAP_LABS_BROKER": broker.inner_url}
    words = ["grade", "toy", str(scratch / "in"), "--out", str(scratch / out), "--backend", "celery"]
    listen = ["--listen", f"{gateway}:{port}"]
    coordinating = subprocess.Popen(
        [*TOOL, *words, *listen], env=environment, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    token = scratch / out / "worker-token"
    while not token.exists():
        assert coordinating.poll() is None
        time.sleep(0.05)  # between two looks
    workers: list[subprocess.Popen[bytes]] = []
    said = [scratch / f"{out}-{number}.said" for number in range(len(hosts))]
    began = time.monotonic()
    for host, file in zip(hosts, said, strict=True):
        asked = [*TOOL, "worker", "--coordinator", f"http://{gateway}:{port}", "--token-file", str(token),
                 "--slots", str(slots)]  # fmt: skip
        words = asked if host is None else host.command(asked)
        with file.open("wb") as lines:
            worker = subprocess.Popen(
                words, env=environment, start_new_session=True, stdin=subprocess.DEVNULL, stdout=lines
            )
        workers.append(worker)
    try:
        assert coordinating.wait(1800) == 0
        took = time.monotonic() - began
    finally:
        for worker in workers:
            os.killpg(worker.pid, signal.SIGTERM)
            worker.wait(60)
    results = [json.loads(file.read_text()) for file in (scratch / out / "results").iterdir()]
    shares = tuple(file.read_text().count(": pass, ") for file in said)
    return Batch(took, Counter(result["verdict"] for result in results), shares)


if __name__ == "__main__":
    sys.exit(main())
