"""What is shipped: the locks name every dependency and no place, the wheel carries the labs and no litter."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")


def locked(name: str) -> dict[str, str]:
    """Package -> version of a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=~! \[;]", line)[0].lower() for line in requirements}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_hashes_and_names_no_place(name: str) -> None:
    line = re.compile(r"#.*|[a-z0-9-]+==\S+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [text for text in (ROOT / name).read_text().splitlines() if not line.fullmatch(text)] == []
    assert not re.search(r"://|--(?!hash=)|\.(org|com|net|io)\b", (ROOT / name).read_text())


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runs, develops = (locked(name) for name in LOCKS)
    assert names(project["project"]["dependencies"]) <= set(runs)
    assert names(project["dependency-groups"]["dev"]) <= set(develops)
    assert runs.items() <= develops.items()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of this checkout in which people have worked."""
    copy = tmp_path_factory.mktemp("wheel") / "copy"
    copy.mkdir()
    for name in ("src", "labs", "scaffolds", "services"):
        shutil.copytree(ROOT / name, copy / name)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    for litter in (
        "labs/x/.roadmap/state",
        "labs/x/checks/__pycache__/a.pyc",
        "src/roadmap_labs/.mypy_cache/x",
    ):
        (copy / litter).parent.mkdir(parents=True, exist_ok=True)
        (copy / litter).touch()
    (copy / "labs/x/lab.yaml").touch()
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", copy / "dist"], cwd=copy, check=True)
    assert len(list((copy / "dist").glob("*.tar.gz"))) == 1
    return next((copy / "dist").glob("*.whl"))


def test_the_wheel_carries_the_shelf_and_no_litter(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert "roadmap_labs/shelf/labs/x/lab.yaml" in inside
    for folder in ("labs", "scaffolds", "services"):
        for file in (ROOT / folder).rglob("*"):
            if (
                file.is_file()
                and not {"__pycache__", ".roadmap"} & set(file.parts)
                and "_cache" not in str(file)
            ):
                shipped = inside[f"roadmap_labs/shelf/{file.relative_to(ROOT).as_posix()}"]
                assert bool(shipped & 0o100) == bool(file.stat().st_mode & 0o100), file
    assert [name for name in inside if re.search(r"__pycache__|\.pyc|\.roadmap/|_cache/|^tests/", name)] == []


def test_the_wheel_installs_as_a_tool(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "tool", with_pip=True)
    python = tmp_path / "tool/bin/python"
    site = subprocess.check_output([python, "-c", "import site; print(site.getsitepackages()[0])"], text=True)
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (Path(site.strip()) / "their-packages.pth").write_text("\n".join(ours))
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    told = subprocess.run(
        [tmp_path / "tool/bin/roadmap-labs", "--version"], cwd="/", capture_output=True, text=True
    )
    version = re.search(r'__version__ = "(.+)"', (ROOT / "src/roadmap_labs/__init__.py").read_text())
    assert version is not None
    assert version[1] in told.stdout, told.stderr
