"""T6 Operate: a reload loses nothing, a broken file breaks nothing, and the log tells what was."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from door import (
    LOG,
    POOL,
    RELOAD,
    SEE_ACCESS,
    SEE_ALL,
    SEE_ERRORS,
    SEE_POOL,
    Door,
    answered,
    every_ok,
    expect,
    get,
    prove_graded,
    without,
)
from traffic import Traffic

from roadmap_labs.harness import LabFault, LearnerBroke, fail, quote, waiting
from roadmap_labs.harness.http1 import Talk

GONE = "app-1"
RELOAD_SECONDS = 30.0
BEFORE, AFTER = 12, 40  # requests in the background that must have been sent before and after the reload
HOLD_SECONDS = 2.5  # so long the stream goes on: who gives old workers a second to leave cuts it
STREAMS = 12  # so many are opened until one is on app-1
EVENT_SECONDS = 10.0
LOG_SECONDS = 10.0
ODD_BROWSER = 'Mozilla "5.0" \\ {"a": \'b\'} </script> \\n'
FIELDS = ("request_id", "status", "upstream_addr", "upstream_response_time", "cache", "user_agent")


def _reload(door: Door) -> Any:
    """Run the learner's script in the server's container; its exit code and what it said."""
    what = f"{RELOAD} was run."
    try:
        return door.inside(RELOAD, within=RELOAD_SECONDS * waiting.factor())
    except LearnerBroke as broke:
        # Where the server ends, so does its container, and the script with it.
        if waiting.reached(lambda: door.lab.state(door.proxy.name)["status"] in ("exited", "dead"), 5)[0]:
            fail(
                "server-ended",
                what,
                expected="the server runs on",
                observed="it ended",
                look=SEE_ERRORS,
                hint=1,
            )
        fail("reload-hangs", what, expected=broke.expected, observed=broke.observed, look=SEE_ERRORS, hint=3)


def test_t6_reload_loses_nothing(door: Door) -> None:
    """A reload takes an application out, and loses no request and no stream"""
    n = door.nonce()
    path = f"/api/{n}"
    door.route(f"/events/{n}/*", events=["begin"])
    talks: list[Talk] = []
    traffic = Traffic(door, path)
    try:
        stream, target = _stream_on(door, GONE, f"/events/{n}", talks)
        traffic.begin()
        traffic.until(BEFORE)
        if not door.apps[GONE].count(path):
            raise LabFault(f"{GONE} had no requests before it was taken out.")
        _not_lost(traffic, "Requests were sent, each on a connection of its own.")
        with door.rewritten_pool(lambda text: without(text, GONE)):
            ended = _reload(door)
            # A request with a higher number began after the reload had returned.
            returned, back = traffic.sent, time.monotonic()
            if ended.exit_code:
                fail("reload-failed", f"The lines of {GONE} were taken out of {POOL}, and {RELOAD} was run.",
                     expected="exit code 0", observed=f"{ended.exit_code}: {quote(ended.output, 300)}",
                     look=SEE_ERRORS, hint=1)  # fmt: skip
            traffic.until(returned + AFTER)
            # That nothing is cut off can only be watched.
            time.sleep(max(back + HOLD_SECONDS - time.monotonic(), 0))
            what = f"While requests went on, {GONE} was taken out of {POOL}, and ops/reload.sh was run."
            _not_lost(traffic, what)
            _ends_whole(door, stream, target, what)
            traffic.end()
            _not_lost(traffic, what)
            late = [
                one.target
                for one in door.apps[GONE].requests(path)
                if int(one.target.rpartition("/")[2]) > returned
            ]
            if late:
                fail("removed-app-still-asked", what,
                     expected=f"no request that begins after ops/reload.sh returned reaches {GONE}",
                     observed=f"{len(late)} did", look=SEE_POOL, hint=2)  # fmt: skip
            prove_graded(door)
    finally:
        traffic.end()
        for talk in talks:
            talk.close()


def _stream_on(door: Door, app: str, path: str, talks: list[Talk]) -> tuple[Talk, str]:
    """A stream of events that this application sends; its first event has arrived."""
    for number in range(STREAMS):
        target = f"{path}/{number}"
        line = answered(door.kiosk.open, "A stream of events was asked for.")
        talk = Talk(door.kiosk.who, door.kiosk.name, line)
        talks.append(talk)
        talk.begin("GET", target, within=EVENT_SECONDS * waiting.factor())
        talk.end()
        waiting.reached(lambda target=target: door.count(target), EVENT_SECONDS)
        if door.apps[app].count(target):
            break
    else:
        fail("badly-spread", f"{STREAMS} streams of events were asked for.", expected=f"one of them is on {app}",
             observed="none", look=SEE_POOL, hint=1)  # fmt: skip
    return talk, target


def _ends_whole(door: Door, talk: Talk, target: str, what: str) -> None:
    """The application says one more thing and ends the stream; the client gets both."""
    last = f"last {door.nonce()}"
    what = f"{what} A client had had a stream of events ({target}) open on {GONE} since before that."
    entry = next(one for one in door.apps[GONE].requests(target))
    if entry.outcome:
        fail("stream-cut", what, expected="it stays open until the application ends it",
             observed=f"it was cut off ({entry.outcome})", look=SEE_ERRORS, hint=3)  # fmt: skip
    door.apps[GONE].push(last)
    door.apps[GONE].end_streams()
    try:
        talk.patience(EVENT_SECONDS * waiting.factor())
        body = talk.head().status == 200 and talk.rest()
    except LearnerBroke as broke:
        fail("stream-cut", what, expected="its last event, and a proper end", observed=broke.observed,
             look=SEE_ERRORS, hint=3)  # fmt: skip
    if not body or last.encode() not in body:
        fail(
            "stream-cut",
            what,
            expected="its last event arrives",
            observed=quote(body or b"no 200"),
            look=SEE_ERRORS,
            hint=3,
        )


def _not_lost(traffic: Traffic, what: str) -> None:
    if traffic.failures:
        fail(
            "requests-lost",
            what,
            expected="every request is answered with 200",
            observed=f"{len(traffic.failures)} of {traffic.sent} were not; first {quote(traffic.failures[0], 200)}",
            look=SEE_ERRORS,
            hint=2,
        )


def test_t6_bad_config_refused(door: Door) -> None:
    """A broken configuration is refused with its reason, and the running one goes on"""
    n = door.nonce()
    with door.rewritten_pool(lambda text: f"{text}\nthis is no directive\n"):
        ended = _reload(door)
        what = f"A line that is no directive was put into {POOL}, and ops/reload.sh was run."
        if ended.exit_code == 0:
            fail("broken-config-welcome", what, expected="an exit code that is not 0",
                 observed=f"0, and said: {quote(ended.output) or 'nothing'}", look=SEE_ERRORS, hint=1)  # fmt: skip
        if b"pool.conf" not in ended.output:
            fail("reason-not-shown", what, expected=f"it says what is wrong in {POOL}",
                 observed=quote(ended.output) or "it said nothing", look=SEE_ERRORS, hint=1)  # fmt: skip
        every_ok(door, 6, f"/api/{n}/broken", what, "broken-config-harms", hint=1)
    ended = _reload(door)
    what = f"A line that is no directive was put into {POOL}, refused, and taken out again. Then ops/reload.sh was run."
    if ended.exit_code:
        fail("reload-failed", what, expected="exit code 0", observed=f"{ended.exit_code}: {quote(ended.output, 300)}",
             look=SEE_ERRORS, hint=1)  # fmt: skip
    every_ok(door, 6, f"/api/{n}/mended", what, "reload-harms", hint=2)


def test_t6_log_tells(door: Door) -> None:
    """Each line of the access log is a JSON object that tells who answered what"""
    n = door.nonce()
    door.route("/catalog/*", body="page", headers={"Cache-Control": "max-age=60"})
    odd, known, missing = f"odd-{n}", f"hit-{n}", f"none-{n}"
    _ask(door, f"/api/{n}/odd", odd, 200, **{"User-Agent": ODD_BROWSER})
    for _ in range(2):
        _ask(door, f"/catalog/{n}", known, 200)
    _ask(door, f"/static/{n}", missing, 404)
    tried = [f"try-{n}-{number}" for number in range(9)]
    with door.apps["app-2"].refusing():
        for one in tried:
            _ask(door, f"/api/{n}/{one}", one, 200)
    wanted = [odd, known, known, missing, *tried]
    if not waiting.reached(lambda: _entries(door, wanted), LOG_SECONDS)[0]:
        fail("log-incomplete", f"{len(wanted)} requests were sent, each with an X-Request-ID.",
             expected=f"a line for each in {LOG}", observed=_last_line(door), look=SEE_ACCESS, hint=1)  # fmt: skip
    entries = [_parsed(line) for line in door.log_lines()]
    by_id = {entry["request_id"]: entry for entry in entries}
    of_page = [entry for entry in entries if entry["request_id"] == known]
    addresses = {f"{door.addresses[name]}:9000" for name in door.apps}
    if by_id[odd]["user_agent"] != ODD_BROWSER:
        _wrong("user_agent", f"User-Agent: {ODD_BROWSER}", ODD_BROWSER, by_id[odd])
    for one, status in ((odd, 200), (missing, 404), (tried[0], 200)):
        if str(by_id[one]["status"]) != str(status):
            _wrong("status", f"answered with {status}", str(status), by_id[one])
    if str(by_id[odd]["upstream_addr"]) not in addresses:
        _wrong(
            "upstream_addr",
            "answered by an application",
            f"one of {', '.join(sorted(addresses))}",
            by_id[odd],
        )
    if not re.fullmatch(r"\d+(\.\d+)?", str(by_id[odd]["upstream_response_time"])):
        _wrong("upstream_response_time", "answered by an application", "seconds", by_id[odd])
    if [str(entry["cache"]) for entry in of_page] != ["MISS", "HIT"]:
        _wrong("cache", "asked for a page of the catalogue, twice", "MISS, then HIT", *of_page)
    if any(one in str(by_id[missing]["upstream_addr"]) for one in addresses):
        _wrong("upstream_addr", "made for a static file", "no application", by_id[missing])
    second_tries = [
        by_id[one]
        for one in tried
        if len(set(re.findall(r"[\d.]+:9000", str(by_id[one]["upstream_addr"])))) == 2
    ]
    if not second_tries:
        _wrong("upstream_addr", f"one of {len(tried)} sent while nobody listened on app-2",
               "both addresses that were tried", *(by_id[one] for one in tried[:3]))  # fmt: skip


def _ask(door: Door, target: str, request_id: str, status: int, **headers: str) -> None:
    what = "One request was sent."
    reply = get(door.kiosk, target, what, headers={"X-Request-ID": request_id, **headers})
    expect(reply, status, what=what, code="wrong-status", look=SEE_ALL, hint=1)


def _entries(door: Door, wanted: list[str]) -> bool:
    text = "\n".join(door.log_lines())
    return all(text.count(one) >= wanted.count(one) for one in wanted)


def _last_line(door: Door) -> str:
    lines = door.log_lines()
    return f"{len(lines)} lines; the last: {quote(lines[-1], 200)}" if lines else "an empty log, or none"


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        fail("log-is-no-json", "Requests were sent, one by a browser with quotes in its name.",
             expected=f"each line of {LOG} is a JSON object", observed=f"{error}: {quote(line, 300)}",
             look=SEE_ACCESS, hint=2)  # fmt: skip
    absent = [name for name in FIELDS if not isinstance(entry, dict) or name not in entry]
    if absent:
        fail("log-field-missing", "Requests were sent.", expected=f"each line has {', '.join(FIELDS)}",
             observed=f"without {', '.join(absent)}: {quote(line, 300)}", look=SEE_ACCESS, hint=2)  # fmt: skip
    return dict(entry)


def _wrong(name: str, request: str, expected: str, *entries: dict[str, Any]) -> None:
    shown = "; ".join(f"{name}: {entry[name]!r}" for entry in entries)
    fail("log-tells-wrong", f"A request was {request}.",
         expected=f"{name} in the log: {expected}", observed=quote(shown, 300), look=SEE_ACCESS, hint=3)  # fmt: skip
