"""Disturbances are undone whatever a check does: the real pytest process, on a stack and an engine made of paper."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from roadmap_labs.content.shelf import Lab
from roadmap_labs.engine.protocol import Attachment
from roadmap_labs.errors import EngineRefused, LabBroken
from roadmap_labs.model import CheckResult
from roadmap_labs.stack.disturbing import Disturbances
from roadmap_labs.stack.evidence import RoleBroke
from tests.unit.checking.test_judge import PaperStack, _codes, _judge, _outcomes, lab

__all__ = ["lab"]  # the fixture


class PaperEngine:
    """Remembers what each container is; `fails` names calls that are refused, once for each time it is there."""

    def __init__(self) -> None:
        self.status = {"r": "running", "t": "running"}
        self.code = {"r": 0, "t": 0}
        self.networks = {"r": {"n": "1"}, "t": {"n": "2"}}
        self.calls: list[str] = []
        self.fails: list[str] = []

    def _note(self, call: str, container: str) -> None:
        self.calls.append(f"{call} {container}")
        if call in self.fails:
            self.fails.remove(call)
            raise EngineRefused(f"unable to freeze, or whatever {call} may say")

    def pause(self, container: str) -> None:
        self._note("pause", container)
        self.status[container] = "paused"

    def unpause(self, container: str) -> None:
        self._note("unpause", container)
        self.status[container] = "running"

    def stop(self, container: str, *, grace_seconds: float) -> None:
        self._note("stop", container)
        self.status[container] = "exited"

    def kill(self, container: str, signal: str = "SIGKILL") -> None:
        self._note("kill", container)
        if signal == "SIGKILL":
            self.status[container], self.code[container] = "exited", 137

    def start(self, container: str) -> None:
        self._note("start", container)
        self.status[container] = "running"

    def disconnect(self, container: str, network: str) -> None:
        self._note("disconnect", container)
        del self.networks[container][network]

    def connect(self, container: str, attachment: Attachment) -> None:
        self._note("connect", container)
        self.networks[container][attachment.network] = "again"

    def inspect(self, container: str) -> SimpleNamespace:
        return SimpleNamespace(
            status=self.status[container],
            exit_code=self.code[container],
            out_of_memory=False,
            started_at="",
            addresses=self.networks[container],
        )


class Stage(PaperStack):
    """A service `redis` (container r) and a replica `toy-1` (container t)."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = PaperEngine()
        self.containers = {"redis": "r", "toy-1": "t"}
        self.replicas = {"toy-1": "t"}

    def start_again(self, name: str) -> None:
        self.engine.start(self.containers[name])

    def cut(self, name: str) -> None:
        self.engine.disconnect(self.containers[name], "n")

    def mend(self, name: str) -> None:
        self.engine.connect(self.containers[name], Attachment("n"))

    def drop(self, name: str) -> None:
        self.replicas.pop(name)
        self.engine.calls.append(f"remove {self.containers.pop(name)}")

    def crowded_roles(self) -> dict[str, RoleBroke]:
        return {}

    def ended_roles(self) -> dict[str, RoleBroke]:
        gone = [name for name in self.replicas if self.engine.status[self.containers[name]] == "exited"]
        return {name: RoleBroke("L-EXIT", f"{name} exited.") for name in gone}


def _checks(first: str) -> str:
    return f'''
        import os
        from roadmap_labs.harness import LabFault, fail

        def act(lab, how, name, **more):
            return lab.stage.channel.ask("disturb", how=how, name=name, **more)

        def test_t1_a(lab):
            """A"""
            {first}
            fail("x", "It failed.", expected="1", observed="0")

        def test_t1_b(lab):
            """B"""
            assert lab.state("redis")["status"] == "running"
            assert lab.state("redis")["networks"] == 1
            assert not lab.state("redis")["disturbed"]

        def test_t1_c(lab):
            """C"""
        '''


@pytest.mark.parametrize("how", ["pause", "stop"])
def test_a_check_that_fails_leaves_nothing_disturbed(lab: Callable[[str], Lab], how: str) -> None:
    stage = Stage()
    report, _, _ = _judge(lab(_checks(f'act(lab, "{how}", "redis")')), stage)
    assert _outcomes(report) == ["fail", "pass", "pass"]
    assert stage.engine.calls[-1] == {"pause": "unpause r", "stop": "start r"}[how]


def test_everything_at_once_is_undone(lab: Callable[[str], Lab]) -> None:
    stage = Stage()
    all_three = 'act(lab, "pause", "redis"); act(lab, "disconnect", "redis"); act(lab, "kill", "redis")'
    report, _, _ = _judge(lab(_checks(all_three)), stage)
    assert _outcomes(report) == ["fail", "pass", "pass"]


def test_a_checking_process_that_dies_leaves_nothing_disturbed(lab: Callable[[str], Lab]) -> None:
    stage = Stage()
    report, _, _ = _judge(lab(_checks('act(lab, "pause", "redis"); os._exit(3)')), stage)
    assert _codes(report.results) == ["I-CHECKER"] * 3
    assert stage.engine.status["r"] == "running"


def test_a_replica_that_a_check_ended_explains_no_failure_and_is_forgotten(lab: Callable[[str], Lab]) -> None:
    stage = Stage()
    report, _, _ = _judge(lab(_checks('act(lab, "kill", "toy-1")')), stage)
    assert report.results[0].code == "x"
    assert not stage.replicas


def test_a_replica_that_got_a_signal_is_forgotten_even_if_it_runs_on(lab: Callable[[str], Lab]) -> None:
    stage = Stage()
    report, _, _ = _judge(lab(_checks('act(lab, "signal", "toy-1", signal="SIGTERM")')), stage)
    assert report.results[0].code == "x"
    assert stage.engine.calls == ["kill t", "remove t"]


def test_a_replica_that_ended_by_itself_while_redis_was_away_still_explains_the_failure(
    lab: Callable[[str], Lab],
) -> None:
    stage = Stage()
    stage.engine.status["t"] = "exited"
    report, _, _ = _judge(lab(_checks('act(lab, "pause", "redis")')), stage)
    assert report.results[0].code == "L-EXIT"


def test_what_can_not_be_put_right_stops_all_that_follows(lab: Callable[[str], Lab]) -> None:
    class Stuck(Stage):
        def start_again(self, name: str) -> None:
            raise LabBroken("Service redis was not ready within 60 s.")

    report, _, _ = _judge(lab(_checks('act(lab, "stop", "redis")')), Stuck())
    assert _outcomes(report) == ["fail", "infra", "pass"]
    after: CheckResult = report.results[1]
    assert after.code == "I-STATE"
    assert "t1_a had disturbed" in after.message


def test_the_engines_bad_moment_is_tried_again_and_other_refusals_are_not() -> None:
    stage = Stage()
    stage.engine.fails = ["pause"]
    Disturbances(stage).pause("redis")  # type: ignore[arg-type]
    assert stage.engine.calls == ["pause r", "pause r"]
    stage.engine.fails = ["stop"]
    with pytest.raises(EngineRefused):
        Disturbances(stage).stop("redis")  # type: ignore[arg-type]


def test_a_disturbance_that_failed_half_way_is_undone_too() -> None:
    stage = Stage()
    harm = Disturbances(stage)  # type: ignore[arg-type]

    def halfway(container: str, *, grace_seconds: float) -> None:
        stage.engine.status[container] = "exited"
        raise EngineRefused("no answer in time")

    stage.engine.stop = halfway  # type: ignore[method-assign]
    with pytest.raises(EngineRefused):
        harm.stop("redis")
    harm.put_right()
    assert stage.engine.status["r"] == "running"


def test_one_that_stays_broken_does_not_keep_the_others_broken() -> None:
    stage = Stage()
    harm = Disturbances(stage)  # type: ignore[arg-type]
    harm.pause("redis")
    harm.pause("toy-1")
    stage.engine.fails = ["unpause"]
    with pytest.raises(EngineRefused):
        harm.put_right()
    assert sorted(stage.engine.status.values()) == ["paused", "running"]
    harm.put_right()
    assert set(stage.engine.status.values()) == {"running"}


def test_a_replica_that_was_raised_anew_is_not_touched_any_more() -> None:
    stage = Stage()
    harm = Disturbances(stage)  # type: ignore[arg-type]
    harm.kill("toy-1")
    assert harm.touched("toy-1")
    stage.containers["toy-1"] = "r"
    assert not harm.touched("toy-1")
    harm.put_right()
    assert stage.replicas == {"toy-1": "t"}


def test_only_signals_that_make_sense() -> None:
    with pytest.raises(ValueError, match="SIGSTOP"):
        Disturbances(Stage()).signal("redis", "SIGSTOP")  # type: ignore[arg-type]
