"""Rows 44 to 51, and 61: submissions that attack by their files and names. Made as data, never unpacked here."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.hostile.submission import FIRST, KEPT, STRANGER, Hostile, write_reference

_ALL_PASS = {FIRST: "pass", STRANGER: "pass", KEPT: "pass"}
_GOOD = "from app.mirror import Mirror, serve\n"
_MIB = 1024 * 1024


def _link(path: str, target: str) -> Callable[[Path], Path]:
    def build(place: Path) -> Path:
        write_reference(place)
        (place / path).unlink(missing_ok=True)
        (place / path).symlink_to(target)
        return place

    return build


def _linked_itself(place: Path) -> Path:
    place.symlink_to("/etc")
    return place


def _zip(*entries: tuple[str, bytes]) -> Callable[[Path], Path]:
    def build(place: Path) -> Path:
        file = place.with_name(place.name + ".zip")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries:
                archive.writestr(name, content)
        return file

    return build


def _half(place: Path) -> Path:
    file = _zip(("app/__main__.py", os.urandom(4096)))(place)
    file.write_bytes(file.read_bytes()[:2048])
    return file


def _tar(*names: str) -> Callable[[Path], Path]:
    def build(place: Path) -> Path:
        file = place.with_name(place.name + ".tar")
        with tarfile.open(file, "w") as archive:
            for name in names:
                entry = tarfile.TarInfo(name)
                entry.size = 1
                archive.addfile(entry, io.BytesIO(b"x"))
        return file

    return build


def _nested_bomb(place: Path) -> Path:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(64 * _MIB))
    return _zip(("a.zip", inner.getvalue()), ("b", bytes(40 * _MIB)))(place)


def _sparse(place: Path) -> Path:
    write_reference(place)
    with (place / "huge").open("wb") as file:
        file.truncate(1 << 40)
    return place


def _named(name: bytes | str) -> Callable[[Path], Path]:
    def build(place: Path) -> Path:
        write_reference(place)
        raw = name if isinstance(name, bytes) else name.encode()
        Path(os.fsdecode(os.fsencode(place) + b"/" + raw)).write_text("x")
        return place

    return build


def _empty(place: Path) -> Path:
    place.mkdir()
    return place


def _refused(row: int, name: str, build: Callable[[Path], Path], *says: str) -> Hostile:
    return Hostile(row, name, "error", "L-SUBM", says, build=build,
                   outcomes={FIRST: "error", STRANGER: "error", KEPT: "error"})  # fmt: skip


_PRIVILEGED = "services:\n  mirror:\n    privileged: true\n    volumes: ['/:/host']\n    image: evil\n"
_INSTALLS = "import pathlib\npathlib.Path('@MARKS@/setup').write_text('run on the host')\n"
# What a table, a page, a terminal and a pipeline would each take for a command.
INJECTION = '=HYPERLINK("x") <script>alert(1)<!-- ]]> ::add-mask::a %0A \x1b[2J'

ROWS = (
    _refused(44, "link-to-a-secret", _link("NOTES", "/etc/passwd"), "symbolic link", "NOTES"),
    _refused(44, "link-to-the-folder-above", _link("up", ".."), "symbolic link", "up"),
    _refused(44, "the-program-is-a-link", _link("app/__main__.py", "../../neighbour-0/app/__main__.py"),
             "symbolic link", "app/__main__.py"),
    _refused(44, "is-itself-a-link", _linked_itself, "symbolic link"),
    _refused(45, "zip-slip", _zip(("../../slipped", b"x")), "leads out"),
    _refused(45, "an-absolute-path", _zip(("/slipped", b"x")), "leads out"),
    _refused(45, "a-drive-letter", _zip(("C:/slipped", b"x")), "leads out"),
    _refused(45, "tar-slip", _tar("../../slipped"), "leads out"),
    _refused(46, "zip-bomb", _nested_bomb, "over 20 MiB"),
    _refused(46, "a-sparse-terabyte", _sparse, "over 20 MiB", "huge"),
    _refused(46, "thousands-of-entries", _zip(*((f"f{number}", b"") for number in range(2500))),
             "more than 2000 files"),
    _refused(47, "a-name-of-two-lines", _named("a\nb"), "can't be printed", "a\\nb"),
    _refused(47, "a-name-that-turns-around", _named("a\u202egpj.py"), "can't be printed", "\\u202e"),
    _refused(47, "a-name-that-is-no-text", _named(b"a\xff\xfe"), "not UTF-8"),
    _refused(47, "a-long-name", _named("n" * 220), "longer than 200 bytes"),
    _refused(47, "twins", _zip(("app/Main.py", b"x"), ("app/main.py", b"x")), "differ in case only"),
    Hostile(47, "a-name-like-an-option", files={"-rf": "", "--help": "", "$(touch @MARKS@)": ""}, outcomes=_ALL_PASS),
    Hostile(48, "its-own-lab-and-compose-file", outcomes=_ALL_PASS,
            files={"lab.yaml": "format: 1\nstarter_passes: []\n", "docker-compose.override.yml": _PRIVILEGED,
                   ".env": "DOCKER_HOST=tcp://10.0.0.1:2375\nROADMAP_LABS_HOME=@MARKS@\n"}),
    _refused(48, "its-own-image", _zip(("Dockerfile", b"FROM scratch\n"), ("app/__main__.py", b"")), "Dockerfile"),
    Hostile(49, "things-to-be-installed", outcomes=_ALL_PASS,
            files={"requirements.txt": "--index-url http://10.0.0.1/\n-e git+http://10.0.0.1/x\n./local\n",
                   "setup.py": _INSTALLS, "backend.py": _INSTALLS,
                   "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\n'}),
    _refused(50, "an-empty-folder", _empty, "empty"),
    _refused(50, "half-an-upload", _half, "half an upload"),
    Hostile(50, "a-syntax-error", "error", "L-EXIT", ("before it was ready", "__main__.py", "line 3"),
            "\ndef broken(:\n"),
    Hostile(50, "marks-and-line-ends-of-another-system", outcomes=_ALL_PASS,
            files={"app/__main__.py": b"\xef\xbb\xbffrom app.mirror import serve\r\n\r\nserve()\r\n"}),
    Hostile(61, "says-commands", "fail", "wrong-word", ("HYPERLINK",),
            f"{_GOOD}class Says(Mirror):\n    def say(self, word):\n        super().say({INJECTION!r})\nserve(Says)\n"),
    Hostile(61, "is-called-a-command", entry=INJECTION.replace("\x1b", ""), outcomes=_ALL_PASS),
    Hostile(61, "begins-a-line-with-a-command", entry="::add-mask::x", outcomes=_ALL_PASS),
)  # fmt: skip
