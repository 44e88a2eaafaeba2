"""Rows 23 to 31: submissions that are servers which do not play by the rules. Texts only."""

from __future__ import annotations

from tests.hostile.submission import FIRST, STRANGER, Hostile

_GOOD = "from app.mirror import Mirror, redis, serve\n"


def _bad(body: str) -> str:
    """A server whose first answers to a question for a word are what `body` does; `send` writes raw bytes."""
    lines = "\n".join(f"        {line}" for line in body.strip().splitlines())
    return f"""{_GOOD}
class Bad(Mirror):
    said = 0
    def say(self, word):
        Bad.said += 1
        if Bad.said > 1:
            return super().say(word)
        send = self.wfile.write
{lines}
serve(Bad)
"""


_HEAD = "HTTP/1.1 200 OK\\r\\n"
_DRIP = "for _ in range(600):\n    send(b'{}')\n    self.wfile.flush()\n    time.sleep(0.1)"
# After the first answer it behaves, so the second check passes: nothing of a broken answer is left in the checks.
_RECOVERS = {FIRST: "error", STRANGER: "pass"}


def _http(row: int, name: str, says: tuple[str, ...], body: str, code: str = "L-HTTP") -> Hostile:
    return Hostile(row, name, "error", code, says, _bad(body), outcomes=_RECOVERS)


_LOOPBACK = """
from http.server import HTTPServer
from app.mirror import Mirror
HTTPServer(("127.0.0.1", 8000), Mirror).serve_forever()
"""
_DEAF = """
line = socket.socket()
line.bind(("0.0.0.0", int(os.environ["PORT"])))
line.listen(0)
print("listening, and never accepting", flush=True)
signal.pause()
"""

ROWS = (
    _http(23, "dripping-head", ("5 s",), _DRIP.replace("{}", "X"), "L-TIME"),
    _http(23, "dripping-body", ("5 s",), f"send(b'{_HEAD}Content-Length: 600\\r\\n\\r\\n')\n"
          + _DRIP.replace("{}", "x"), "L-TIME"),
    _http(24, "deflate-bomb-in-an-error", ("deflate", "nobody asked for"),
          "import zlib\nbomb = zlib.compress(bytes(64 << 20))\nself.send_response(500)\n"
          "self.send_header('Content-Encoding', 'deflate')\nself.send_header('Content-Length', str(len(bomb)))\n"
          "self.end_headers()\nsend(bomb)"),
    _http(25, "chunks-without-end", ("more than 1048576 bytes",),
          f"send(b'{_HEAD}Transfer-Encoding: chunked\\r\\n\\r\\n')\n"
          "for _ in range(4000):\n    send(b'10000\\r\\n' + b'x' * 65536 + b'\\r\\n')"),
    _http(25, "ten-to-the-thirteen", ("10000000000000", "at most 1048576"),
          f"send(b'{_HEAD}Content-Length: 10000000000000\\r\\n\\r\\nx')"),
    _http(26, "a-header-of-a-megabyte", ("no HTTP/1.1",),
          f"send(b'{_HEAD}X-A: ' + b'b' * 1048576 + b'\\r\\n\\r\\n')"),
    _http(26, "a-status-that-is-none", ("no HTTP/1.1", "first line: HTTP/1.1 2OO \\x00"),
          "send(b'HTTP/1.1 2OO \\x00\\r\\nContent-Length: 0\\r\\n\\r\\n')"),
    _http(26, "nothing-of-http", ("first line: \\x00\\x1b[2J",), "send(b'\\x00\\x1b[2Jhello\\r\\n\\r\\n')"),
    _http(27, "two-hundred-thousand-brackets", ("nested deeper than 64",), "self.reply(b'[' * 200000)"),
    _http(27, "a-key-of-a-megabyte", ("1048576",), "self.reply(b'{\"' + b'k' * 1048576 + b'\": 1}')"),
    _http(28, "never-answers", ("5 s",), "time.sleep(60)", "L-TIME"),
    _http(28, "hangs-up-hard", ("before one byte",),
          "import struct\nself.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
          "self.connection.close()", "L-PORT"),
    Hostile(28, "listens-and-never-accepts", "error", "L-TIME", ("in time",), _DEAF),
    Hostile(29, "only-for-itself", "error", "L-PORT", ("0.0.0.0:8000", "127.0.0.1:8000"), _LOOPBACK),
    Hostile(30, "falls-at-the-first-request", "error", "L-EXIT", ("code 7", "during this check"),
            f"{_GOOD}class Falls(Mirror):\n    def say(self, word):\n        os._exit(7)\nserve(Falls)\n"),
    Hostile(30, "falls-at-every-start", "error", "L-EXIT", ("code 1", "before it was ready", "no route to the moon"),
            "raise RuntimeError('no route to the moon')\n"),
    Hostile(31, "a-value-of-ten-megabytes", "error", "L-SVC", ("too large", "10485760 bytes"),
            f"{_GOOD}class Large(Mirror):\n    def keep(self, name, value):\n"
            "        super().keep(name, 'v' * 10485760)\nserve(Large)\n",
            outcomes={FIRST: "pass", STRANGER: "pass"}),
)  # fmt: skip
