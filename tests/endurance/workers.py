"""A batch judged by workers that are killed one after another, and then the broker, ends as one that was left alone.

    python -m tests.endurance.workers [--submissions 40] [--worker-kills 4] [--broker-kills 1] [--slots 3] [--seed 1]

The toy lab, a tenth of the submissions hostile or broken. First this machine alone grades them; then two workers do,
behind a real broker, and at random moments a worker is killed with its whole process group and another one begun, and
the broker is killed and started again. Both ledgers must say the same of every submission, and nothing may be left.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.endurance.grading import LAB, TOYS, command, hand_in, left, say
from tests.scale.rabbit import Rabbit, rabbit

_TOOL = [sys.executable, "-I", "-m", "roadmap_labs", "--labs-path", str(TOYS)]


def far(folder: Path, broker: Rabbit, wish: argparse.Namespace) -> int:
    """Grade by workers, with all the kills that fit in; how many did."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "ROADMAP_LABS_BROKER": broker.url}
    coordinating = subprocess.Popen(
        [*_TOOL, "grade", LAB, str(folder / "in"), "--out", str(folder / "far"), "--backend", "celery", "--listen",
         f"127.0.0.1:{port}"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    token = folder / "far" / "worker-token"
    while not token.exists() and coordinating.poll() is None:
        time.sleep(0.05)  # between two looks
    workers: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        words = ["worker", "--coordinator", f"http://127.0.0.1:{port}", "--token-file", str(token), "--slots",
                 str(wish.slots)]  # fmt: skip
        workers.append(
            subprocess.Popen(
                [*_TOOL, *words],
                env=environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    begin()
    begin()
    dice = random.Random(wish.seed)
    kills = ["worker"] * wish.worker_kills + ["broker"] * wish.broker_kills
    hits = 0
    for kill in kills:
        try:
            coordinating.wait(timeout=dice.uniform(5, 15))
            break
        except subprocess.TimeoutExpired:
            hits += 1
            print(f"killed: {kill}", flush=True)
        if kill == "broker":
            broker.kill()
            broker.start()
        else:
            os.killpg(workers.pop(0).pid, signal.SIGKILL)
            begin()
    coordinating.wait(1800)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait(120)
    return hits


def main(arguments: list[str]) -> int:
    """Print the table; 1 where anything differs or is left, or where a kill found nothing to hit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = (
        ("--submissions", 40),
        ("--worker-kills", 4),
        ("--broker-kills", 1),
        ("--slots", 3),
        ("--seed", 1),
    )
    for name, value in numbers:
        parser.add_argument(name, type=int, default=value)
    wish = parser.parse_args(arguments)
    os.environ["ROADMAP_LABS_PATH"] = str(TOYS)
    folder = Path(tempfile.mkdtemp(prefix="roadmap-labs-workers-"))
    (folder / "in").mkdir()
    hand_in(folder / "in", wish.submissions, wish.seed)
    subprocess.run(command(folder / "in", folder / "near", 6), check=False, stdout=subprocess.DEVNULL)
    with rabbit() as broker:
        hits = far(folder, broker, wish)
    # A loss costs an attempt there, so attempts may differ; nothing else may.
    near, killed = (
        {id_: (row[0], *row[2:]) for id_, row in say(folder / out).items()}
        for out in ("near", "far")  # type: ignore[index]
    )
    differing = [id_ for id_ in near if near[id_] != killed.get(id_)]
    rest = left()
    print(
        f"{wish.submissions} submissions, {hits} kills; differing rows: {len(differing)}; left: {len(rest)}"
    )
    for id_ in differing[:10]:
        print(f"  {id_}: {near[id_]}\n        {killed.get(id_)}")
    shutil.rmtree(folder, ignore_errors=True)
    return min(1, len(differing) + len(rest) + (hits < wish.worker_kills + wish.broker_kills))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
