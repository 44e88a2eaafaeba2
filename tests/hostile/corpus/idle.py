"""Rows 14 to 20: submissions that do not do the work and look as if they did. Texts only."""

from __future__ import annotations

from tests.hostile.submission import FIRST, KEPT, STRANGER, Hostile

_GOOD = "from app.mirror import Mirror, redis, serve\n"

_ONLY_FOR_A_BROWSER = (
    _GOOD
    + """
class Picky(Mirror):
    def say(self, word):
        super().say(word if "Firefox" in self.headers["User-Agent"] else "hello")
serve(Picky)
"""
)

_ONLY_AT_FIRST = (
    _GOOD
    + """
class Tires(Mirror):
    said = 0
    def say(self, word):
        Tires.said += 1
        super().say(word if Tires.said < 3 else "hello")
serve(Tires)
"""
)

_DICTIONARY = (
    _GOOD
    + """
class Forgets(Mirror):
    kept = {}
    def keep(self, name, value):
        self.kept[name] = value
serve(Forgets)
"""
)

_OWN_REDIS = (
    _GOOD
    + """
def pretend():
    with socket.create_server(("127.0.0.1", 6379)) as server:
        while True:
            link, _ = server.accept()
            with link:
                link.recv(65536)
                link.sendall(b"+OK\\r\\n")
threading.Thread(target=pretend, daemon=True).start()
class Pretends(Mirror):
    def keep(self, name, value):
        redis("SET", f"kept:{name}", value, host="127.0.0.1")
serve(Pretends)
"""
)

_KEEPS_BEFOREHAND = (
    _GOOD
    + """
for number in range(200):
    redis("SET", f"kept:{number:08x}", "guessed")
class Guesses(Mirror):
    def keep(self, name, value):
        pass
serve(Guesses)
"""
)

_TURNS = (
    _GOOD
    + """
turned, seen = threading.Event(), threading.Event()
def turn():
    seen.wait()
    turned.set()
threading.Thread(target=turn, daemon=True).start()
class Turns(Mirror):
    said = 0
    def say(self, word):
        super().say("hello" if turned.is_set() else word)
        Turns.said += 1
        if Turns.said == 3:
            seen.set()
serve(Turns)
"""
)

ROWS = (
    Hostile(15, "answers-by-heart", "fail", "wrong-word", ("hello",),
            f"{_GOOD}class Knows(Mirror):\n    def say(self, word):\n        super().say('hello')\nserve(Knows)\n"),
    Hostile(16, "good-for-one-client", "fail", "wrong-word", ("hello",), _ONLY_FOR_A_BROWSER,
            outcomes={FIRST: "pass", STRANGER: "fail"}),
    Hostile(16, "good-at-first", "fail", "wrong-word", ("hello",), _ONLY_AT_FIRST, outcomes={FIRST: "fail"}),
    Hostile(17, "a-dictionary", "fail", "not-in-redis", ("no such key",), _DICTIONARY,
            outcomes={FIRST: "pass", STRANGER: "pass", KEPT: "fail"}),
    Hostile(18, "a-redis-of-its-own", "fail", "not-in-redis", ("no such key",), _OWN_REDIS,
            outcomes={FIRST: "pass", STRANGER: "pass", KEPT: "fail"}),
    Hostile(19, "keeps-beforehand", "fail", "not-in-redis", main=_KEEPS_BEFOREHAND, outcomes={KEPT: "fail"}),
    Hostile(20, "turns-between-checks", "fail", "wrong-word", ("hello",), _TURNS,
            outcomes={FIRST: "pass", STRANGER: "fail"}),
)  # fmt: skip
