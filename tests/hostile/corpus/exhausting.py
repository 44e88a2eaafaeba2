"""Rows 32 to 43, and 79: submissions that use up what they share. Texts only, bounded by their sealed stack."""

from __future__ import annotations

from tests.hostile.submission import FIRST, KEPT, STRANGER, Hostile

_GOOD = "from app.mirror import Mirror, redis, serve\n"
_ALL_PASS = {FIRST: "pass", STRANGER: "pass", KEPT: "pass"}

_FORKS_AND_FAILS = "while True:\n    if os.fork() == 0:\n        os.setsid()\n        signal.pause()\n"
_FORKS_AND_WAITS = """
try:
    while os.fork():
        pass
    os.setsid()
except OSError:
    pass
while True:
    signal.pause()
"""
_FORKS_LATER = (
    _GOOD
    + """
class Forks(Mirror):
    def say(self, word):
        while True:
            try:
                if os.fork() == 0:
                    os.setsid()
            except OSError:
                pass
serve(Forks)
"""
)

_FLOODS = (
    _GOOD
    + """
if os.fork() == 0:
    piece = (@PIECE@) * 4096
    while True:
        os.write(1, piece)
serve()
"""
)

_FILLS_AND_FAILS = """
with open("/tmp/full", "wb", buffering=0) as file, open("/tmp/fuller", "wb", buffering=0) as more:
    for _ in range(4096):
        file.write(bytes(16384))
        more.write(bytes(16384))
"""
_FILLS = (
    _GOOD
    + """
def bytes_into(folder, *, deleted=False):
    written, files = 0, []
    try:
        for number in range(8):
            files.append(open(f"{folder}/fill{number}", "wb", buffering=0))
            if deleted:
                os.unlink(f"{folder}/fill{number}")
            for _ in range(48):
                written += files[-1].write(bytes(1 << 20))
    except OSError:
        pass
    for number, file in enumerate(files):
        file.close()
        if not deleted:
            os.unlink(f"{folder}/fill{number}")
    return written >> 20
def files_into(folder):
    count = 0
    try:
        while count < 1_000_000:
            os.close(os.open(f"{folder}/n{count}", os.O_CREAT | os.O_WRONLY))
            count += 1
    except OSError:
        pass
    return count
seen = {
    "tmp": (bytes_into("/tmp"), 64), "deleted": (bytes_into("/tmp", deleted=True), 64),
    "shm": (bytes_into("/dev/shm"), 64), "inodes": (files_into("/tmp"), 17000),
}
beyond = [f"{name} {got}" for name, (got, most) in seen.items() if got > most]
class Tells(Mirror):
    def say(self, word):
        super().say(" ".join(beyond) or word)
serve(Tells)
"""
)

_SPINS = (
    _GOOD
    + """
for _ in range(4):
    if os.fork() == 0:
        while True:
            pass
serve()
"""
)

_SOCKETS_AND_FAILS = """
lines = []
for _ in range(10000):
    lines.append(socket.create_connection(("redis", 6379), timeout=2))
"""

_STUBBORN = (
    _GOOD
    + """
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
for _ in range(40):
    if os.fork() == 0:
        os._exit(0)
import http.server
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Mirror).serve_forever()
"""
)

_LATE = (
    _GOOD
    + """
class Late(Mirror):
    def say(self, word):
        time.sleep(5.05)
        super().say(word)
serve(Late)
"""
)
_SLOW = _LATE.replace("5.05", "4.5")


def _asks_redis(*commands: tuple[str, ...]) -> str:
    """Asks Redis for these at every PUT, and says what was not refused."""
    return f"""{_GOOD}
class Asks(Mirror):
    granted = []
    def keep(self, name, value):
        super().keep(name, value)
        for command in {commands!r}:
            try:
                answer = redis(*command)
            except OSError:
                answer = b"-no answer"
            if not answer.startswith(b"-"):
                super().keep(name, f"granted: {{command}} {{answer[:40]!r}}")
serve(Asks)
"""


_HOGS_REDIS = (
    _GOOD
    + """
class Hogs(Mirror):
    def keep(self, name, value):
        super().keep(name, value)
        try:
            redis("EVAL", "while true do end", "0")
        except OSError:
            pass
serve(Hogs)
"""
)

# The engine's own resolver answers inside each container, and works outside of every limit.
_DNS_FLOOD = (
    _GOOD
    + """
import secrets
def ask():
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.connect(("127.0.0.11", 53))
    line.setblocking(False)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        name = b"".join(bytes([len(part)]) + part for part in (secrets.token_hex(8).encode(), b"example", b"test"))
        try:
            line.send(os.urandom(2) + bytes([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + name + bytes([0, 0, 1, 0, 1]))
            line.recv(512)
        except OSError:
            pass
# It knows its own server's address: what is looked at is what its flood does to others.
ask_really, known = socket.getaddrinfo, socket.getaddrinfo("redis", 6379, type=socket.SOCK_STREAM)
socket.getaddrinfo = lambda host, *more, **named: known if host == "redis" else ask_really(host, *more, **named)
for _ in range(4):
    if os.fork() == 0:
        ask()
        os._exit(0)
serve()
"""
)

FORK_BOMB = Hostile(32, "forks-when-asked", "error", "L-PIDS", ("192 processes",), _FORKS_LATER)
LOG_FLOOD = Hostile(
    34, "floods-its-log", main=_FLOODS.replace("@PIECE@", "b'nothing to see here\\n'"), outcomes=_ALL_PASS
)
DISK_FILL = Hostile(35, "fills-all-it-can", main=_FILLS, outcomes=_ALL_PASS)
SPIN = Hostile(36, "spins", main=_SPINS, outcomes=_ALL_PASS)
SERVICE_HOG = Hostile(42, "a-script-without-end", "error", "L-SVC", ("redis",), _HOGS_REDIS,
                      outcomes={FIRST: "pass", STRANGER: "pass"})  # fmt: skip
DNS_FLOOD = Hostile(79, "floods-the-resolver", main=_DNS_FLOOD, outcomes=_ALL_PASS)


def late(number: int) -> Hostile:
    """An answer a moment after its time, as one of many that must all be judged alike."""
    return Hostile(40, f"late-by-a-moment-{number}", "error", "L-TIME", ("5 s",), _LATE,
                   outcomes={FIRST: "error", STRANGER: "error", KEPT: "blocked"})  # fmt: skip


ROWS = (
    FORK_BOMB,
    Hostile(32, "forks-and-fails", "error", "L-PIDS", ("192 processes",), _FORKS_AND_FAILS),
    Hostile(32, "forks-and-waits", "error", "L-PIDS", ("192 processes",), _FORKS_AND_WAITS),
    Hostile(33, "eats-memory", "error", "L-OOM", ("256 MiB", "before it was ready"),
            "hog = []\nwhile True:\n    hog.append(b'x' * (1 << 20))\n"),
    Hostile(33, "eats-memory-when-asked", "error", "L-OOM", ("256 MiB", "during this check"),
            # Most of it beforehand: on a loaded machine the last pages alone must not take the time of an answer.
            f"{_GOOD}class Hungry(Mirror):\n    hog = [b'x' * (200 << 20)]\n    def say(self, word):\n"
            "        self.hog += [b'x' * (1 << 20) for _ in range(4096)]\nserve(Hungry)\n"),
    LOG_FLOOD,
    Hostile(34, "one-line-without-end", main=_FLOODS.replace("@PIECE@", "b'and so on '"), outcomes=_ALL_PASS),
    DISK_FILL,
    Hostile(35, "fills-and-fails", "error", "L-DISK", ("64m",), _FILLS_AND_FAILS),
    SPIN,
    Hostile(37, "ten-thousand-sockets", "error", "L-EXIT", ("1024 open files",), _SOCKETS_AND_FAILS),
    Hostile(38, "ignores-every-signal", main=_STUBBORN, outcomes=_ALL_PASS),
    Hostile(39, "segmentation-fault", "error", "L-EXIT", ("signal 11",),
            "import ctypes, resource\n"
            "try:\n    resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))\nexcept (OSError, ValueError):\n    pass\n"
            "ctypes.string_at(0)\n"),
    *map(late, range(2)),
    Hostile(41, "eats-the-time-of-a-check", "error", "L-TIME", ("12 s",), _SLOW,
            outcomes={FIRST: "error", STRANGER: "pass", KEPT: "blocked"}),
    SERVICE_HOG,
    Hostile(43, "asks-redis-for-what-it-may-not", outcomes=_ALL_PASS, main=_asks_redis(
        ("SHUTDOWN", "NOSAVE"), ("CONFIG", "SET", "dir", "/tmp"), ("MODULE", "LOAD", "/tmp/x.so"),
        ("ACL", "SETUSER", "default", "off"), ("DEBUG", "SLEEP", "30"), ("CLIENT", "PAUSE", "30000"),
        ("CLIENT", "KILL", "USER", "checker"), ("REPLICAOF", "redis", "6379"), ("SAVE",), ("MONITOR",))),
    DNS_FLOOD,
)  # fmt: skip
