"""MONITOR's lines, and what a stream of commands says about lifetimes."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap_labs.harness import monitor, resp
from roadmap_labs.harness.expiries import breaths, stored
from roadmap_labs.harness.monitor import Command, Monitor, parse
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke


def written(argument: bytes) -> bytes:
    """As the server writes an argument into its stream."""
    plain = {10: b"\\n", 13: b"\\r", 9: b"\\t", 7: b"\\a", 8: b"\\b", 34: b'\\"', 92: b"\\\\"}
    return b"".join(plain.get(n, bytes([n]) if 32 <= n < 127 else b"\\x%02x" % n) for n in argument)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_every_argument_comes_back_byte_by_byte(words: list[bytes]) -> None:
    line = b"+1700000000.250000 [3 10.0.0.7:5001] " + b" ".join(b'"' + written(word) + b'"' for word in words)
    found = parse(line)
    assert found is not None
    assert found.arguments == tuple(words[1:])
    assert (found.at, found.client, found.database) == (1700000000.25, "10.0.0.7:5001", 3)


@pytest.mark.parametrize(
    ("client", "name"),
    [(b"lua", "lua"), (b"[::1]:6379", "[::1]:6379"), (b"unix:/run/a b.sock", "unix:/run/a b.sock")],
)
def test_clients_of_all_kinds(client: bytes, name: str) -> None:
    found = parse(b"+1.5 [0 " + client + b'] "get" "x"')
    assert found is not None
    assert (found.client, found.name, found.scripted) == (name, "GET", name == "lua")


@pytest.mark.parametrize("line", [b"+OK", b"", b"+1.5 [0 x]", b"-ERR no", b'"get" "x"', b"\x00\xff"])
def test_other_lines_are_no_commands(line: bytes) -> None:
    assert parse(line) is None


def test_long_arguments_are_cut() -> None:
    found = parse(b'1.5 [0 lua] "set" "k" "' + b"x" * 100_000 + b'" "ex" "5"')
    assert found is not None
    assert len(found.arguments[1]) == monitor.MAX_ARGUMENT
    assert found.arguments[2:] == (b"ex", b"5")


class FakeLine:
    """The monitor's end of a socket pair instead of a server."""

    def __init__(self) -> None:
        self.name = "redis"
        self.socket, self.far = socket.socketpair()

    def ask(self, *_command: resp.Argument) -> bytes:
        return b"OK"

    def say(self, text: bytes) -> None:
        self.far.sendall(text)

    def echo(self, nonce: str) -> None:
        self.say(b'+2.5 [0 me:1] "ECHO" "%s"\r\n' % nonce.encode())


def watching() -> tuple[FakeLine, Monitor]:
    line = FakeLine()
    return line, Monitor(line, line.echo, lambda client: client == "me:1")  # type: ignore[arg-type]


def test_a_mark_is_a_barrier_and_our_own_commands_are_left_out() -> None:
    line, watch = watching()
    line.say(b'+1.5 [0 a:1] "get" "before"\r\n')
    mark = watch.mark()
    line.say(b'+1.5 [0 a:1] "get" "af')
    threading.Timer(
        0.02, line.say, [b'ter"\r\n+1.6 [0 me:1] "SCAN" "0"\r\n+1.7 [0 lua] "keys" "*"\r\n']
    ).start()
    time.sleep(0.04)
    assert [str(one) for one in watch.since(mark)] == ["GET after", "KEYS *"]
    assert [str(one) for one in watch.since(0)][:1] == ["GET before"]


def test_somebody_elses_echo_is_no_mark() -> None:
    line, watch = watching()
    watch._echo = lambda nonce: line.say(b'+2.5 [0 a:1] "ECHO" "%s"\r\n' % nonce.encode())
    threading.Timer(0.02, line.far.close).start()
    with pytest.raises(LabFault, match="closed"):
        watch.mark()


def test_a_line_without_end_is_cut_and_the_next_one_read() -> None:
    line, watch = watching()
    line.say(b'+1.5 [0 a:1] "set" "k" "' + b"x" * (3 * monitor.MAX_LINE) + b'"\r\n+1.5 [0 a:1] "get" "k"\r\n')
    assert [one.name for one in watch.since(0)] == ["SET", "GET"]


def test_more_than_can_be_kept_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "MAX_COMMANDS", 10)
    line, watch = watching()
    line.say(b'+1.5 [0 a:1] "get" "k"\r\n' * 30)
    mark = watch.mark()
    with pytest.raises(LearnerBroke, match="L-SVC"):
        watch.since(0)
    line.say(b'+1.5 [0 a:1] "get" "k"\r\n')
    assert len(watch.since(mark)) == 1


def stream(text: str) -> list[Command]:
    """`client NAME words` a line."""
    found = []
    for number, line in enumerate(text.strip().splitlines(), 1):
        client, name, *words = line.split()
        found.append(Command(number, 1.0, client, 0, name, tuple(word.encode() for word in words)))
    return found


SAFE = {
    "set with ex": "a SET card:1 v EX 300",
    "set with px and nx": "a SET card:1 v NX px 3000",
    "setex": "a SETEX card:1 300 v",
    "psetex": "a PSETEX card:1 3000 v",
    "multi": "a MULTI\na SET card:1 v\na PEXPIRE card:1 5\na EXEC",
    "multi of two at once": "a MULTI\nb MULTI\na SET card:1 v\na EXPIRE card:1 5\na EXEC\n"
    "b HSET card:2 f v\nb EXPIREAT card:2 5\nb EXEC",
    "multi with others before": "a MULTI\nb GET card:1\na SET card:1 v\na EXPIRE card:1 5\na EXEC",
    "script": "a EVAL x 1 card:1\nlua SET card:1 v\nlua EXPIRE card:1 5",
    "script of a hash": "a EVALSHA x 1 card:1\nlua HSET card:1 f v\nlua PEXPIRE card:1 5\na GET card:1",
    "script in a transaction": "a MULTI\na EVAL x\nlua SET card:1 v\na EXPIRE card:1 5\na EXEC",
    "written beside and renamed": "a SET tmp:1 v EX 5\na RENAME tmp:1 card:1",
    "stored and removed in one": "a MULTI\na SET card:1 v\na DEL card:1\na EXEC",
    "other keys": "a SET gen:1 v\na INCR gen:1",
    "overwritten in one": "a MULTI\na SET card:1 v\na SET card:1 v EX 5\na EXEC",
}
NAKED = {
    "set then expire": "a SET card:1 v\na EXPIRE card:1 300",
    "another then expires": "a SET card:1 v\nb PEXPIRE card:1 300",
    "pipeline without multi": "a SET card:1 v\na SET card:2 v\na EXPIRE card:1 3\na EXPIRE card:2 3",
    "expire after exec": "a MULTI\na SET card:1 v\na EXEC\na EXPIRE card:1 3",
    "expire before set": "a MULTI\na EXPIRE card:1 3\na SET card:1 v\na EXEC\na EXPIRE card:1 3",
    "expire after the script": "a EVAL x\nlua SET card:1 v\na EXPIRE card:1 3",
    "setnx": "a SETNX card:1 v\na EXPIRE card:1 3",
    "hash": "a HSET card:1 f v\na EXPIRE card:1 3",
    "two scripts": "a EVAL x\nlua SET card:1 v\na EVAL y\nlua EXPIRE card:1 3",
    "keepttl": "a SET card:1 v KEEPTTL\na EXPIRE card:1 3",
}


def is_card(key: bytes) -> bool:
    return key.startswith(b"card:")


@pytest.mark.parametrize("text", SAFE.values(), ids=SAFE)
def test_right_ideas_are_not_refused(text: str) -> None:
    assert stored(stream(text), is_card).naked == ()


@pytest.mark.parametrize("text", NAKED.values(), ids=NAKED)
def test_two_steps_are_found(text: str) -> None:
    naked = stored(stream(text), is_card).naked
    assert naked
    assert naked[0].expired is not None
    assert naked[0].key == b"card:1"


def test_a_card_without_any_end_is_naked_too() -> None:
    found = stored(stream("a SET card:1 v\na MSET card:2 x other y"), is_card)
    assert found.keys == {b"card:1", b"card:2"}
    assert [(one.key, one.expired) for one in found.naked] == [(b"card:1", None), (b"card:2", None)]


def test_a_value_that_looks_like_an_option_is_no_lifetime() -> None:
    assert stored(stream("a SET card:1 EX"), is_card).naked


def test_what_was_queued_and_discarded_is_no_breath() -> None:
    assert list(breaths(stream("a MULTI\na DISCARD\na GET x")))[-1][0].name == "GET"


class Answering:
    """A server that says one thing."""

    def __init__(self, raw: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._run, args=(raw,), daemon=True).start()

    def _run(self, raw: bytes) -> None:
        line, _ = self.listener.accept()
        line.recv(65536)
        line.sendall(raw)
        time.sleep(2)

    def line(self) -> resp.Line:
        return resp.Line("redis", "127.0.0.1", self.listener.getsockname()[1])


def test_replies_of_all_kinds() -> None:
    line = Answering(b"*5\r\n:7\r\n+OK\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n").line()
    assert line.ask("X") == [7, b"OK", b"a\r\n", None, None]


def test_errors_in_a_row_stand_in_their_place() -> None:
    found = Answering(b"-ERR no\r\n:1\r\n").line().ask_all([("A",), ("B",)])
    assert isinstance(found[0], resp.Refused)
    assert found[1] == 1


def test_a_huge_value_is_not_read() -> None:
    with pytest.raises(LearnerBroke, match="L-SVC"):
        Answering(b"$600000000\r\nxxxx").line().ask("GET", "k")


@pytest.mark.parametrize(
    "raw", [b"*999999999\r\n", b"*1\r\n" * 20, b"what\r\n", b"+" + b"x" * 100_000, b"$10\r\nab"]
)
def test_what_is_no_reply_is_the_labs_fault(raw: bytes) -> None:
    with pytest.raises(LabFault):
        Answering(raw).line().ask("GET", "k", within=0.2)
