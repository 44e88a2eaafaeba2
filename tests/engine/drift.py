"""A random walk of commands and of hands at the engine; after each step `status` must say what the engine has.

The oracle asks the engine through the SDK alone and shares no code with what it judges.
"""

from __future__ import annotations

import random
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError

from tests.engine.stage import Ended, Stage

LABEL = "io.roadmap-labs."
PARTS = ("redis", "echo-1")

Step = Callable[[], str | None]  # what was done, None where it is not possible now


@dataclass(frozen=True)
class Truth:
    """What the engine has of one folder's playground."""

    containers: dict[str, str]  # part -> id
    status: dict[str, str]  # part -> the engine's word, "disconnected" where it runs without the network
    ports: dict[str, int]
    networks: tuple[str, ...]
    volumes: dict[str, str]  # name -> part ("data", "whole")

    @property
    def whole(self) -> bool:
        return bool(self.networks) and all(self.status.get(part) == "running" for part in PARTS)

    @property
    def data(self) -> list[str]:
        return sorted(name for name, part in self.volumes.items() if part == "data")


class Walk:
    """One playground in a folder of its own, and everything that may happen to it."""

    def __init__(self, stage: Stage, folder: Path, seed: int) -> None:
        self.stage, self.folder = stage, folder
        self.random = random.Random(seed)
        self.client = docker.APIClient(timeout=60)
        self.told: list[str] = [f"seed {seed}"]
        # Twice as often what a learner does most.
        self.steps: tuple[Step, ...] = (
            *(self.start, self.start, self.start, self.stop, self.stop, self.check),
            *(self.remove, self.rename, self.pause, self.unpause, self.end, self.restart),
            *(self.disconnect, self.remove_network, self.remove_volume, self.remove_volume),
        )

    def run(self, steps: int) -> None:
        """So many random steps, each of which is possible now; raises `AssertionError` with the story."""
        assert self.follow(self._chosen(), most=steps) == steps

    def follow(self, chosen: Iterable[Step], most: int = 1000) -> int:
        """Start, these steps, stop, clean, with a look after each; returns how many steps were possible."""
        taken = 0
        try:
            self._said("start", self._command("start", "toy", "play"))
            self.agrees()
            for step in chosen:
                told = step()
                if told is None:
                    continue  # not possible now
                self.told.append(told)
                self.agrees()
                taken += 1
                if taken == most:
                    break
            self.stop()
            self.agrees()
            self._said("clean", self._command("-C", "play", "clean"))
            truth = self.truth()
            assert not truth.containers, truth
            assert not truth.volumes, truth
        except AssertionError as wrong:
            raise AssertionError(f"{'; '.join(self.told)}\n{wrong}") from wrong
        finally:
            self._command("-C", "play", "clean")
            self.client.close()
        return taken

    def _chosen(self) -> Iterator[Step]:
        while True:
            yield self.random.choice(self.steps)

    # -- what must hold ---------------------------------------------------------------------------------------------

    def truth(self) -> Truth:
        """The engine, asked by hand."""
        wanted = {"label": [f"{LABEL}folder={(self.folder / 'play').resolve()}"]}
        found = {
            row["Labels"][LABEL + "service"]: self.client.inspect_container(row["Id"])
            for row in self.client.containers(all=True, filters=wanted)
        }
        networks = tuple(row["Id"] for row in self.client.networks(filters=wanted))
        volumes = self.client.volumes(filters=wanted)["Volumes"] or []
        return Truth(
            {name: seen["Id"] for name, seen in found.items()},
            {name: _word(seen, networks) for name, seen in found.items()},
            {name: port for name, seen in found.items() if (port := _port(seen))},
            networks,
            {volume["Name"]: volume["Labels"][LABEL + "part"] for volume in volumes},
        )

    def agrees(self) -> Truth:
        """`status` says what the engine has, and does not change it but for what is dead."""
        seen = self._command("-C", "play", "status", "--json")
        assert seen.code == 0, seen.err
        truth, document = self.truth(), seen.document
        told = {part["name"]: part for part in document["parts"]}
        assert set(told) == set(PARTS)
        for name, part in told.items():
            assert part["status"] == truth.status.get(name, "missing"), f"{name}: {part} {truth}"
            assert part["port"] == truth.ports.get(name), f"{name}: {part} {truth}"
        assert document["running"] == truth.whole, f"{document} {truth}"
        assert sorted(document["data"]) == truth.data, f"{document['data']} {truth}"
        return truth

    def _command(self, *arguments: str) -> Ended:
        ended = self.stage.run(*arguments, folder=self.folder)
        assert "Traceback" not in ended.err + ended.out, ended.err
        return ended

    def _said(self, what: str, ended: Ended) -> str:
        assert ended.code == 0, f"{what}: exit {ended.code}\n{ended.out}{ended.err}"
        return what

    # -- commands ---------------------------------------------------------------------------------------------------

    def start(self) -> str:
        """Repairs whatever is missing, keeps the data, and changes nothing where nothing is wrong."""
        before = self.truth()
        told = self._said("start", self._command("-C", "play", "start"))
        after = self.truth()
        assert after.whole, after
        assert len(after.data) == 1, after
        if before.data and "whole" in before.volumes.values():
            assert after.data == before.data, f"{before} {after}"
        if before.whole:
            assert after.containers == before.containers, f"{before} {after}"
        with urllib.request.urlopen(f"http://127.0.0.1:{after.ports['echo-1']}/hello", timeout=10) as answer:
            assert answer.status == 200
        return told

    def stop(self) -> str:
        """Leaves the data, and nothing else."""
        before = self.truth()
        told = self._said("stop", self._command("-C", "play", "stop"))
        after = self.truth()
        assert not after.containers, after
        assert not after.networks, after
        assert after.data == before.data, f"{before} {after}"
        return told

    def check(self) -> str:
        """Judges on a stack of its own, whatever state the playground is in, and does not touch it."""
        before = self.truth()
        told = self._said("check", self._command("check", "play"))
        assert self.truth() == before, f"{before} {self.truth()}"
        return told

    # -- hands ------------------------------------------------------------------------------------------------------

    def _some(self, *wanted: str) -> tuple[str, str] | None:
        truth = self.truth()
        fitting = sorted(name for name, word in truth.status.items() if not wanted or word in wanted)
        if not fitting:
            return None
        name = self.random.choice(fitting)
        return name, truth.containers[name]

    def _by_hand(self, what: str, call: Callable[..., Any], *wanted: str, **more: Any) -> str | None:
        chosen = self._some(*wanted)
        if chosen is None:
            return None
        call(chosen[1], **more)
        return f"{what} {chosen[0]}"

    def remove(self) -> str | None:
        return self._by_hand("rm -f", self.client.remove_container, force=True)

    def rename(self) -> str | None:
        name = f"renamed-{self.random.randrange(10**9)}"
        return self._by_hand("rename", self.client.rename, name=name)

    def pause(self) -> str | None:
        return self._by_hand("pause", self.client.pause, "running")

    def unpause(self) -> str | None:
        return self._by_hand("unpause", self.client.unpause, "paused")

    def end(self) -> str | None:
        return self._by_hand("kill", self.client.kill, "running")

    def restart(self) -> str | None:
        return self._by_hand("restart", self.client.restart, "running", "exited", timeout=0)

    def disconnect(self) -> str | None:
        truth, chosen = self.truth(), self._some("running")
        if chosen is None or not truth.networks:
            return None
        self.client.disconnect_container_from_network(chosen[1], truth.networks[0], force=True)
        return f"disconnect {chosen[0]}"

    def remove_network(self) -> str | None:
        truth = self.truth()
        if not truth.networks:
            return None
        for container in truth.containers.values():
            with suppress(APIError):
                self.client.disconnect_container_from_network(container, truth.networks[0], force=True)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.client.remove_network(truth.networks[0])
                return "network rm"
            except APIError:  # endpoints are let go of a moment later
                assert time.monotonic() < deadline
                time.sleep(0.05)  # between two attempts

    def remove_volume(self) -> str | None:
        """Of a stopped playground: the engine does not let go of one that is in use."""
        truth = self.truth()
        if truth.containers or not truth.volumes:
            return None
        name = self.random.choice(sorted(truth.volumes))
        self.client.remove_volume(name)
        return f"volume rm {truth.volumes[name]}"


def _word(seen: dict[str, Any], networks: tuple[str, ...]) -> str:
    word = str(seen["State"]["Status"])
    legs = {leg["NetworkID"] for leg in seen["NetworkSettings"]["Networks"].values()}
    return "disconnected" if word == "running" and not legs & set(networks) else word


def _port(seen: dict[str, Any]) -> int | None:
    bindings = [one for several in (seen["NetworkSettings"]["Ports"] or {}).values() for one in several or []]
    return int(bindings[0]["HostPort"]) if bindings else None
