"""The GitHub action as a runner would start it: outputs, summary, annotations, and when the step fails."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.endurance.grading import hand_in
from tests.face.conftest import Desk, Ended

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parent.parent.parent
TOYS = ROOT / "tests" / "toy"


@pytest.fixture
def work(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROADMAP_LABS_PATH", str(TOYS))
    hand_in(desk.folder, 1, seed=3)
    return (desk.folder / "s0000").rename(desk.folder / "work")


def _step(desk: Desk, work: str, **inputs: str) -> tuple[Ended, dict[str, str], str]:
    runner = {
        name: str(desk.folder / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "RUNNER_TEMP")
    }
    Path(runner["RUNNER_TEMP"]).mkdir(exist_ok=True)
    given = {"LAB": "toy", "WORK": work, "FAIL_UNDER": "100", "REPORTS": "", "LABS_PATH": str(TOYS), **inputs}
    ended = subprocess.run(
        [ROOT / "action" / "judge"], cwd=desk.folder, env={**desk.environment, **runner, **given},
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    files = {name: Path(runner[name]) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    texts = {name: file.read_text() if file.exists() else "" for name, file in files.items()}
    outputs = dict(line.split("=", 1) for line in texts["GITHUB_OUTPUT"].splitlines())
    return Ended(ended.returncode, ended.stdout, ended.stderr), outputs, texts["GITHUB_STEP_SUMMARY"]


def test_good_work_passes_the_step(desk: Desk, work: Path) -> None:
    ended, outputs, summary = _step(desk, "work", REPORTS="junit=report.xml\n")
    assert ended.code == 0, ended.err
    assert {key: outputs[key] for key in ("score", "max_score", "percent", "passed")} == {
        "score": "1", "max_score": "1", "percent": "100.0", "passed": "true"
    }  # fmt: skip
    assert "| ✓ pass | Answers a request |" in summary
    assert (desk.folder / "report.xml").read_text().startswith("<?xml")
    assert Path(outputs["report"]).is_file()


def test_bad_work_fails_it_with_an_annotation(desk: Desk, work: Path) -> None:
    (work / "app" / "__main__.py").write_text("print('::add-mask::x'); raise SystemExit(0)\n")
    ended, outputs, summary = _step(desk, "work")
    assert ended.code == 1
    assert outputs["passed"] == "false"
    assert "::error title=" in ended.out
    assert "| ! error | Answers a request |" in summary
    token = re.search(r"::stop-commands::(\w+)\n", ended.out)
    assert token is not None
    inside, after = ended.out.split(f"::{token[1]}::")
    assert "\n::add-mask::" not in after, "what the work printed is no command"
    assert inside.count("\n") == 1
    code, outputs, _ = _step(desk, "work", FAIL_UNDER="0")
    assert (code.code, outputs["passed"]) == (0, "true")


def test_nothing_judged_is_said(desk: Desk) -> None:
    ended, outputs, _ = _step(desk, "nowhere")
    assert ended.code == 5
    assert "nothing was judged" in ended.out
    assert outputs == {}


def test_every_input_reaches_the_script_as_a_variable() -> None:
    action = yaml.safe_load((ROOT / "action" / "action.yml").read_text())
    (step,) = action["runs"]["steps"]
    assert set(re.findall(r"inputs\.([\w-]+)", str(step["env"]))) == set(action["inputs"])
    assert "${{" not in step["run"], "pasted into a script, an input could be a command"
    script = (ROOT / "action" / "judge").read_text()
    outputs = set(re.findall(r"steps\.judge\.outputs\.(\w+)", str(action["outputs"])))
    assert outputs == set(action["outputs"]) == set(re.findall(r"f\"(\w+)=", script))
    assert shutil.which("bash")
