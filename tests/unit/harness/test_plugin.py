"""A real pytest process with our plug-in, talking to an orchestrator of the tests: silence is never a pass."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import roadmap_labs.harness
from roadmap_labs.harness.channel import Channel
from roadmap_labs.harness.judging import judge
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke

BYTECODE = tempfile.TemporaryDirectory(prefix="harness-")  # compiled once for all runs of this module
INI = Path(roadmap_labs.harness.__file__).with_name("pytest.ini")
HEAD = "import os, time, pytest\nfrom roadmap_labs.harness import *\n"
Serve = Callable[[str, dict[str, Any]], dict[str, Any]]


@dataclass
class Story:
    """What the process told, and how it ended."""

    events: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int = -1

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def verdicts(self) -> dict[str, tuple[str, str]]:
        return {one["check"]: (one["outcome"], one["code"]) for one in self.of("verdict")}

    def verdict(self, check: str) -> dict[str, Any]:
        return next(one for one in self.of("verdict") if one["check"] == check)

    @property
    def problems(self) -> str:
        return "\n".join(one["message"] + one.get("trace", "") for one in self.of("problem"))


def replies(ids: Iterable[str] = (), factor: float = 1.0, **verbs: Any) -> Serve:
    hello = {"seed": 7, "time_factor": factor, "lab": "a-lab", "ids": list(ids), "needs": {}}

    def serve(verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = {"hello": hello, "services": {}, **verbs}[verb]
        return (
            {"ok": answer(**arguments) if callable(answer) else answer} if not _is_error(answer) else answer
        )

    return serve


def _is_error(answer: Any) -> bool:
    return isinstance(answer, dict) and "error" in answer


def played(folder: Path, serve: Serve) -> Story:
    """Run the checks of a folder to the end."""
    ours, theirs = socket.socketpair()
    empty = folder.parent / "empty"
    empty.mkdir(exist_ok=True)
    command = [
        sys.executable, "-I", "-X", f"pycache_prefix={BYTECODE.name}", "-m", "pytest",
        "-p", "roadmap_labs.harness.plugin", "-p", "pytest_timeout", "-c", str(INI), "--rootdir", str(folder),
        "--confcutdir", str(folder), "--import-mode=importlib", "-p", "no:cacheprovider", "--strict-markers", "-q",
        str(folder),
    ]  # fmt: skip
    clean = {"PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    clean["ROADMAP_LABS_CHANNEL_FD"] = str(theirs.fileno())
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, pass_fds=[theirs.fileno()], env=clean, cwd=empty, stdout=quiet, stderr=quiet
    )
    theirs.close()
    story = Story()
    turn = threading.Lock()

    def answer(message: dict[str, Any]) -> None:
        reply = {"reply": message["ask"], **serve(message["verb"], message["arguments"])}
        with turn, contextlib.suppress(OSError):  # a run that ended early waits for no answer
            ours.sendall(json.dumps(reply).encode() + b"\n")

    with ours, ours.makefile("rb") as lines:
        for line in lines:
            message = json.loads(line)
            if "ask" in message:
                threading.Thread(target=answer, args=(message,), daemon=True).start()
            else:
                story.events.append(message)
        story.exit_code = process.wait(timeout=20)
    return story


@pytest.fixture
def checks(tmp_path: Path) -> Callable[..., Path]:
    folder = tmp_path / "checks"
    folder.mkdir()

    def write(text: str = "", **files: str) -> Path:
        if text:
            (folder / "test_t1.py").write_text(HEAD + text)
        for name, content in files.items():
            (folder / f"{name}.py").write_text(content)
        return folder

    return write


MIXTURE = '''
def test_good(lab):
    """Good"""
    assert lab.seed == 7

def test_bad(lab):
    """Bad, as it says"""
    fail("too-bad", "Did a thing.", expected="1", observed="2 \\x1b[31m", look="there", hint=3)

@needs("good", "bad")
def test_waits(lab):
    """Waits"""

@needs("waits")
def test_waits_longer(lab):
    """Waits longer"""

def test_broken(lab):
    """Broken"""
    lab.run("catalog")

def test_refused(lab):
    """Refused"""
    lab.state("x")

def test_assert():
    """Assert"""
    assert 1 == 2

def test_bug():
    """Bug"""
    {}["x"]

def test_skip():
    """Skip"""
    pytest.skip("not today")

@pytest.mark.xfail
def test_xfail():
    """Xfail"""
    assert False

def test_pytest_fail():
    """Fails by pytest"""
    pytest.fail("no code")

@pytest.mark.timeout(0.2)
def test_slow():
    """Slow"""
    time.sleep(20)

@pytest.mark.timeout(0.2)
def test_never_answered(lab):
    """Never answered"""
    lab.logs("x")

@pytest.fixture
def faulty():
    raise LabFault("the gate does not work")

def test_setup(faulty):
    """Set-up"""

@pytest.fixture
def messy():
    yield
    raise RuntimeError("clean-up")

def test_teardown(messy):
    """Clean-up"""

def test_failed_and_messy(messy):
    """Both"""
    fail("first", "m", expected="", observed="")

def test_unknown_fixture(nothing):
    """No such fixture"""

def test_last():
    """Last"""
'''


def test_every_ending_has_its_verdict(checks: Callable[..., Path]) -> None:
    exit_ = {
        "error": {"code": "L-EXIT", "message": "catalog ended.", "expected": "running", "observed": "exit 3"}
    }
    engine = {"error": {"code": "I-ENGINE", "message": "no engine"}}
    never = threading.Event()
    story = played(checks(MIXTURE), replies(run=exit_, state=engine, logs=lambda **_: never.wait(5) and {}))
    assert story.verdicts == {
        "good": ("pass", ""),
        "bad": ("fail", "too-bad"),
        "waits": ("blocked", ""),
        "waits_longer": ("blocked", ""),
        "broken": ("error", "L-EXIT"),
        "refused": ("infra", "I-ENGINE"),
        "assert": ("infra", "I-CHECKER"),
        "bug": ("infra", "I-CHECKER"),
        "skip": ("infra", "I-CHECKER"),
        "xfail": ("infra", "I-CHECKER"),
        "pytest_fail": ("infra", "I-CHECKER"),
        "slow": ("error", "L-TIME"),
        "never_answered": ("infra", "I-STATE"),
        "setup": ("infra", "I-CHECKER"),
        "teardown": ("infra", "I-CHECKER"),
        "failed_and_messy": ("fail", "first"),
        "unknown_fixture": ("infra", "I-CHECKER"),
        "last": ("pass", ""),
    }
    assert (
        [one["check"] for one in story.of("started")]
        == list(story.verdicts)
        == story.of("collected")[0]["checks"]
    )
    bad = story.verdict("bad")
    assert (bad["expected"], bad["observed"], bad["look"], bad["hint"]) == ("1", "2 \\x1b[31m", "there", 3)
    assert story.verdict("waits")["message"] == "Waits for “Bad, as it says” (bad), which did not pass."
    broken = story.verdict("broken")
    assert (broken["message"], broken["expected"], broken["observed"]) == (
        "catalog ended.",
        "running",
        "exit 3",
    )
    assert "logs" in story.verdict("never_answered")["message"]
    assert "KeyError: 'x'" in story.problems
    assert "/_pytest/" not in story.problems
    assert story.events[-1] == {"event": "finished"}


SELECTED = """
import json, words
def test_sibling():
    "Reads a module beside it, and the real json"
    assert json.dumps([words.VALUE]) == "[5]"

def test_failing():
    "Fails"
    fail("x", "m", expected="", observed="")

@needs("failing")
def test_free():
    "Needs one that was not selected"

@pytest.mark.timeout(0.1)
def test_patient():
    "Has ten times its limit"
    time.sleep(0.3)
"""


def test_only_what_was_selected_runs(checks: Callable[..., Path]) -> None:
    folder = checks(SELECTED, words="VALUE = 5", json="raise SystemExit")
    story = played(folder, replies(ids=["patient", "free", "sibling", "missing"], factor=10))
    assert story.verdicts == {"sibling": ("pass", ""), "free": ("pass", ""), "patient": ("pass", "")}
    assert "missing" in story.problems


def test_time_that_is_up_is_told_as_the_limit_however_late_the_signal_came() -> None:
    with pytest.raises(pytest.fail.Exception) as up:
        pytest.fail("Timeout (>12.0s) from pytest-timeout.")
    judged = judge(up.value, "call", 12.74)
    assert (judged.code, judged.expected) == ("L-TIME", "an answer before the 12 s are up")
    assert "when its 12 s were up" in judged.message
    assert judged.observed == "still waiting after 12.7 s"


def test_the_process_dies(checks: Callable[..., Path]) -> None:
    story = played(
        checks('def test_a():\n    """A"""\n\ndef test_b():\n    """B"""\n    os._exit(0)\n'), replies()
    )
    assert story.verdicts == {"a": ("pass", "")}
    assert story.of("finished") == []


def test_a_check_that_ends_the_run_has_not_passed(checks: Callable[..., Path]) -> None:
    story = played(checks('def test_a():\n    """A"""\n    pytest.exit("bye", returncode=0)\n'), replies())
    assert story.verdicts == {"a": ("infra", "I-CHECKER")}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"conftest": "import nothing_like_this"}, ["conftest.py can't be loaded", "nothing_like_this"]),
        (
            {"test_x": "import nothing_like_this", "test_y": "def test_a(:"},
            ["nothing_like_this", "SyntaxError"],
        ),
        (
            {
                "test_x": "def test_a():\n    pass",
                "test_y": "def test_a():\n    'A'",
                "test_z": "import pytest\n@pytest.mark.parametrize('n', [1])\ndef test_b(n):\n    'B'",
                "test_z2": "from roadmap_labs.harness import needs\n@needs('z')\ndef test_c():\n    'C'",
            },
            [
                "a has no docstring",
                "a exists more than once",
                "b exists more than once",
                "c needs z, which must exist",
            ],
        ),
    ],
    ids=["conftest", "imports", "rules"],
)
def test_a_lab_that_breaks_the_rules_says_so(
    checks: Callable[..., Path], files: dict[str, str], says: list[str]
) -> None:
    story = played(checks(**files), replies())
    assert [text for text in says if text not in story.problems] == []
    assert story.of("finished")


def test_a_program_that_died_is_named(checks: Callable[..., Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    def run(role: str, **_: Any) -> dict[str, Any]:
        return {"replicas": [{"name": role, "host": "127.0.0.1", "port": port, "address": "", "image": ""}]}

    def state(name: str) -> dict[str, Any]:
        return {
            "status": "running" if name == "alive" else "exited",
            "exit_code": 137,
            "out_of_memory": name == "fat",
        }

    text = "".join(
        f"def test_{n}(lab):\n    'X'\n    lab.run('{n}').get('/')\n" for n in ("alive", "dead", "fat")
    )
    story = played(checks(text), replies(run=run, state=state))
    assert story.verdicts == {
        "alive": ("error", "L-PORT"),
        "dead": ("error", "L-EXIT"),
        "fat": ("error", "L-OOM"),
    }


def test_answers_find_their_askers() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(theirs)
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        found[number] = channel.ask("double", number=number)

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
    for asker in askers:
        asker.start()
    lines = ours.makefile("rb")
    asked = [json.loads(lines.readline()) for _ in askers]
    for one in reversed(asked):
        reply = {"reply": one["ask"], "ok": {"value": 2 * one["arguments"]["number"]}}
        ours.sendall(json.dumps(reply).encode() + b"\n")
    for asker in askers:
        asker.join(5)
    assert found == {number: {"value": 2 * number} for number in range(10)}


@pytest.mark.parametrize(("code", "kind"), [("L-OOM", LearnerBroke), ("I-IMAGE", LabFault), ("", LabFault)])
def test_an_error_says_whose_fault_it_is(code: str, kind: type[Exception]) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(theirs)
    ours.sendall(json.dumps({"reply": 1, "error": {"code": code, "message": "m"}}).encode() + b"\n")
    with pytest.raises(kind):
        channel.ask("run")


def test_an_orchestrator_that_is_gone_keeps_nobody_waiting() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(theirs)
    threading.Timer(0.02, ours.shutdown, [socket.SHUT_RDWR]).start()
    with pytest.raises(LabFault, match="I-STATE"):
        channel.ask("run")
    channel.tell("finished")
