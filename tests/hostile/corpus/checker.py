"""Rows 1 to 13: submissions that reach for the checking side. Texts only; they run nowhere but in a sealed stack."""

from __future__ import annotations

from tests.hostile.submission import FIRST, KEPT, STRANGER, Hostile

_GOOD = "from app.mirror import Mirror, serve\n"
_WRONG = f"{_GOOD}class Bad(Mirror):\n    def say(self, word):\n        self.reply(b'{{}}')\nserve(Bad)\n"

_TRAP = """
import contextlib, pathlib
with contextlib.suppress(OSError):
    (pathlib.Path("@MARKS@") / __name__).write_text("run on the host")
"""
_ALL_PASSED = (
    _TRAP
    + """
import pytest
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report
"""
)
_SHADOWS = ("pytest", "pluggy", "h11", "pg8000", "requests", "sitecustomize", "usercustomize", "roadmap_labs")

_SAYS_IT_PASSED = """
print("==== 12 passed in 0.01s ====")
print('<testsuites><testsuite tests="3" failures="0"/></testsuites>')
for check in ("t1_words", "t1_stranger", "t2_kept"):
    print(json.dumps({"event": "verdict", "check": check, "outcome": "pass"}))
print("::set-output name=score::100")
print("\\x1b]0;all passed\\x07\\x1b[2J", flush=True)
sys.exit(3)
"""

_DIES_AT_THE_FOURTH = (
    _GOOD
    + """
class Dies(Mirror):
    said = 0
    def say(self, word):
        Dies.said += 1
        if Dies.said == 4:
            child = os.fork() or signal.pause()
            os.kill(-1, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        super().say(word)
serve(Dies)
"""
)

_LOOKS_EVERYWHERE = (
    _GOOD
    + """
needle, found = ("CANARY" + "-").encode(), []
def look(path):
    try:
        with open(path, "rb") as file:
            if needle in file.read(1 << 18):
                found.append(path)
    except OSError:
        pass
for top in ("/app", "/etc", "/home", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/var", "/work"):
    for folder, _, names in os.walk(top):
        for name in names[:2000]:
            look(os.path.join(folder, name))
for number in os.listdir("/proc"):
    if number.isdigit():
        for name in ("environ", "cmdline", "mountinfo"):
            look(f"/proc/{number}/{name}")
class Tells(Mirror):
    def say(self, word):
        super().say(" ".join(found[:5]) or word)
serve(Tells)
"""
)

_KNOCKS = (
    _GOOD
    + """
net = socket.gethostbyname(socket.gethostname()).rpartition(".")
low = int(net[2]) // 16 * 16
open_doors, lock = [], threading.Lock()
def knock(host, port):
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return
    with lock:
        open_doors.append(f"{host}:{port}")
own = socket.gethostbyname(socket.gethostname())
rows = [(f"{net[0]}.{low + n}", port) for n in range(1, 15) for port in (22, 80, 2375, 2376, 8377, 10000, 10001)]
rows += [(host, port) for host in ("169.254.169.254", "10.213.0.1", "172.17.0.1") for port in (22, 80, 2375)]
threads = [threading.Thread(target=knock, args=row) for row in rows if row[0] != own]
for thread in threads: thread.start()
for thread in threads: thread.join()
class Tells(Mirror):
    def say(self, word):
        super().say(" ".join(sorted(open_doors)[:5]) or word)
serve(Tells)
"""
)

_ALL_PASS = {FIRST: "pass", STRANGER: "pass", KEPT: "pass"}


def _says(expression: str) -> str:
    return (
        f"{_GOOD}class Bad(Mirror):\n    def say(self, word):\n        self.reply({expression})\nserve(Bad)\n"
    )


ROWS = (
    Hostile(1, "conftest-that-passes-all", "fail", "wrong-word", ("no such field",), _WRONG,
            {"conftest.py": _ALL_PASSED, "checks/conftest.py": _ALL_PASSED}),
    Hostile(2, "settings-that-select-nothing", "fail", "wrong-word", main=_WRONG,
            files={"pytest.ini": "[pytest]\naddopts = -p evil -k nothing\n", "evil.py": _TRAP,
                   "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-p evil"\n',
                   "setup.cfg": "[tool:pytest]\naddopts = -p evil\n", "tox.ini": "[pytest]\naddopts = -p evil\n"}),
    Hostile(3, "modules-that-shadow", outcomes=_ALL_PASS,
            files={**{f"{name}.py": _TRAP for name in _SHADOWS}, "evil.pth": "import evil\n", "evil.py": _TRAP}),
    Hostile(4, "exits-with-zero", "error", "L-EXIT", ("exited with code 0", "before it was ready"), "os._exit(0)\n"),
    Hostile(5, "kills-everything-later", "error", "L-EXIT", ("signal 9", "during this check"), _DIES_AT_THE_FOURTH,
            outcomes={FIRST: "pass", STRANGER: "error"}),
    Hostile(6, "prints-that-it-passed", "error", "L-EXIT", ("exited with code 3",), _SAYS_IT_PASSED),
    Hostile(7, "brings-its-own-results", "fail", "wrong-word", main=_WRONG,
            files={"results.json": '{"verdict": "pass"}', "junit.xml": "<testsuites/>", "graded": "100",
                   ".roadmap-labs/state.db": "pass", ".roadmap/submission.json": "{}"},
            outcomes={FIRST: "fail", STRANGER: "fail", KEPT: "blocked"}),
    Hostile(8, "looks-for-secrets", main=_LOOKS_EVERYWHERE, outcomes=_ALL_PASS),
    Hostile(9, "knocks-at-its-neighbours", main=_KNOCKS, outcomes=_ALL_PASS),
    Hostile(10, "fake-tools", outcomes=_ALL_PASS,
            files={f"{folder}/{name}": "#!/bin/sh\ntouch '@MARKS@/tool'\n"
                   for folder in ("bin", "app", "sbin") for name in ("curl", "psql", "redis-cli", "python3")}),
    Hostile(11, "format-strings", "fail", "wrong-word", ("PASSED",),
            _says("""b'{"word": "t1_words PASSED {} {0.__class__} %s %n", "number": 1}'""")),
    Hostile(11, "fifty-megabytes", "error", "L-HTTP", ("1048576", "52428800"), _says("b'x' * 52428800")),
    Hostile(12, "true-is-not-one", "fail", "wrong-word", ("expected 1, saw true",),
            _says("json.dumps({'word': word, 'number': True}).encode()")),
    Hostile(12, "a-name-twice", "error", "L-HTTP", ("appears twice",), _says("""b'{"word": 1, "word": 2}'""")),
    Hostile(12, "ten-thousand-digits", "error", "L-HTTP", ("10000 digits (at most 100)",),
            _says("""b'{"word": ' + b'1' * 10000 + b'}'""")),
)  # fmt: skip
