"""T4 Cache: a page is fetched once, kept apart, and never shown to whom it is not meant for."""

from __future__ import annotations

import time

from door import SEE_ACCESS, SEE_ALL, SEE_POOL, Door, expect, get

from roadmap_labs.harness import LabFault, Reply, fail, held, needs, quote, waiting
from roadmap_labs.harness.http1 import Site

FRESH = {"Cache-Control": "max-age=60"}
PAGE = "{{name}} {{sequence}} {{header:Host}} {{target}} for {{header:Authorization}}{{header:Cookie}}"
FIRST_SECONDS = 10.0
WATCH_SECONDS = 1.5


def test_t4_hit(door: Door) -> None:
    """A page of the catalogue is fetched once, and kept apart by query and host"""
    path = f"/catalog/{door.nonce()}"
    door.route("/catalog/*", body=PAGE, headers=FRESH)
    first = _page(door.kiosk, path)
    again = _page(door.kiosk, path)
    what = f"GET {path} was sent twice; the application says Cache-Control: max-age=60."
    if door.count(path) != 1:
        fail("not-cached", what, expected="it reaches the pool once", observed=f"{door.count(path)} times",
             look=SEE_ALL, hint=2)  # fmt: skip
    if again.body != first.body:
        fail(
            "cached-page-differs",
            what,
            expected=quote(first.body),
            observed=quote(again.body),
            look=SEE_ALL,
            hint=2,
        )
    if again.headers.get("x-cache-status") != "HIT" or first.headers.get("x-cache-status") in (None, "HIT"):
        said = [quote(one.headers.get("x-cache-status", "none")) for one in (first, again)]
        fail("no-cache-status", what, expected="X-Cache-Status: MISS, then HIT", observed=", then ".join(said),
             look=SEE_ACCESS, hint=3)  # fmt: skip
    for site, target, differs in (
        (door.kiosk, f"{path}?page=2", "another query"),
        (door.api, path, "another host"),
        (door.api, f"{path}?page=2", "another host and query"),
    ):
        before = door.count(path)
        other = _page(site, target)
        if door.count(path) != before + 1 or target not in other.text:
            fail(
                "pages-mixed",
                f"GET {path} of {door.kiosk.name} was in the cache. Then {differs} was asked for: {other.asked}",
                expected="a page of its own: the request reaches the pool",
                observed=f"{door.count(path) - before} requests reached it; the page is: {quote(other.body, 120)}",
                look=SEE_POOL,
                hint=2,
            )


def _page(site: Site, target: str, **headers: str) -> Reply:
    what = "A page of the catalogue was asked for."
    reply = get(site, target, what, headers=headers)
    expect(reply, 200, what=what, code="page-refused", hint=2)
    return reply


@needs("t4_hit")
def test_t4_private_never_shared(door: Door) -> None:
    """What is meant for one customer is never shown to another"""
    for says, headers in (
        ("Set-Cookie", {**FRESH, "Set-Cookie": "sid={{sequence}}; Path=/"}),
        ("Cache-Control: private", {"Cache-Control": "private, max-age=60"}),
        ("Cache-Control: no-store", {"Cache-Control": "no-store"}),
    ):
        path = f"/catalog/{door.nonce()}"
        door.route(path, body=PAGE, headers=headers)
        for count in (1, 2, 3):
            _page(door.kiosk, path)
            if door.count(path) != count:
                fail(
                    "private-page-cached",
                    f"GET {path}, answered with {says}, was sent {count} times.",
                    expected="each of them reaches the pool",
                    observed=f"{door.count(path)} did",
                    look=SEE_POOL,
                    hint=3,
                )
    for name, value in (("Authorization", "Bearer {}"), ("Cookie", "theme=dark; sid={}")):
        for public_first in (False, True):
            _own_pages(door, name, value, public_first)


def _own_pages(door: Door, name: str, value: str, public_first: bool) -> None:
    """Two customers who say who they are, and somebody who does not, ask for one address."""
    path = f"/catalog/{door.nonce()}"
    door.route(path, body=PAGE, headers=FRESH)
    who = [value.format(door.nonce()) for _ in range(2)]
    if public_first:
        _page(door.kiosk, path)
    for credential in (*who, *who):
        before = door.count(path)
        page = _page(door.kiosk, path, **{name: credential})
        what = f"GET {path} was sent by two customers, told apart by their {name} header."
        if credential not in page.text:
            fail("private-page-shared", what, expected=f"each gets the page made for {credential}",
                 observed=quote(page.body), look=SEE_POOL, hint=3)  # fmt: skip
        if door.count(path) != before + 1:
            fail("private-page-cached", what, expected="each of their requests reaches the pool",
                 observed="one did not", look=SEE_POOL, hint=3)  # fmt: skip
    public = _page(door.kiosk, path)
    if any(credential in public.text for credential in who):
        fail("private-page-shared", f"GET {path} was sent by a customer, with {name}, then by somebody without.",
             expected="a page for everybody", observed=quote(public.body), look=SEE_POOL, hint=3)  # fmt: skip


@needs("t4_hit")
def test_t4_one_fill(door: Door) -> None:
    """Twenty who want the same cold page cost the pool one request"""
    path, count = f"/catalog/{door.nonce()}", 20
    door.route(path, events=["begin"], headers={**FRESH, "Content-Type": "text/plain"})
    crowd = held([lambda: door.kiosk.get(path, within=40 * waiting.factor())] * count)
    if not waiting.reached(lambda: door.count(path), FIRST_SECONDS)[0]:
        fail("not-forwarded", f"{count} GETs of one page were sent at once.", expected="one of them reaches the pool",
             observed="none", look=SEE_ALL, hint=2)  # fmt: skip
    most, watched = 0, time.monotonic()
    while time.monotonic() < watched + WATCH_SECONDS:
        most = max(most, door.count(path))
        for app in door.apps.values():
            app.push(".")  # a page that is being made; silence would be a reason to ask somebody else
        time.sleep(0.2)  # between two looks: that nobody else comes can only be watched
    for app in door.apps.values():
        app.end_streams()
    if most > 1:
        fail(
            "many-fills",
            f"{count} customers asked for one page that was not in the cache, while an application was making it.",
            expected="1 request in the pool; the others wait for its answer",
            observed=f"{most} requests in the pool",
            look=SEE_POOL,
            hint=2,
        )
    statuses = [
        0 if isinstance(one, Exception) else one.status for one in crowd.results(40 * waiting.factor())
    ]
    if statuses != [200] * count or door.count(path) != 1:
        fail("waiting-in-vain", f"{count} customers waited for one page. Then it was complete.",
             expected=f"{count} times 200, from one request in the pool",
             observed=f"{statuses.count(200)} times 200, {door.count(path)} requests",
             look=SEE_ALL, hint=2)  # fmt: skip


@needs("t4_hit")
def test_t4_stale_when_down(door: Door) -> None:
    """While the pool is down, an old page is better than none"""
    n = door.nonce()
    known, unknown = f"/catalog/{n}/known", f"/catalog/{n}/unknown"
    door.route("/catalog/*", body=PAGE, headers={"Cache-Control": "max-age=1"})
    page = _page(door.kiosk, known)
    time.sleep(2.5)  # its time is over by then: the seconds of a cache are whole ones
    with door.all_down():
        what = "A page was fetched with max-age=1. Then its time was over, and all applications were gone."
        for number in range(1, 7):
            reply = get(door.kiosk, known, what)
            expect(reply, 200, what=f"{what} Request {number}:", code="no-stale-page", hint=2)
            if reply.body != page.body:
                raise LabFault(f"A page came back that nobody made: {quote(reply.body)}")
            if reply.headers.get("x-cache-status") not in ("STALE", "UPDATING"):
                fail("no-stale-status", what, expected="X-Cache-Status: STALE",
                     observed=quote(reply.headers.get("x-cache-status", "none")), look=SEE_ACCESS, hint=3)  # fmt: skip
        reply = get(door.kiosk, unknown, what)
        expect(
            reply, 502, 504, what=f"{what} A page that nobody has seen yet:", code="unknown-page-while-down"
        )


@needs("t4_hit")
def test_t4_errors_not_cached(door: Door) -> None:
    """An error is not kept, whatever it says about itself"""
    path = f"/catalog/{door.nonce()}"
    what = "An application answered 500 with Cache-Control: max-age=60."
    for app in door.apps.values():
        app.route(path, body=PAGE, headers=FRESH)
    broken = {
        name: app.route(path, status=500, json={"error": "sorry"}, headers=FRESH)
        for name, app in door.apps.items()
    }
    reply = get(door.kiosk, path, what)
    expect(reply, 500, 502, 503, 504, what=what, code="error-hidden")
    for name, route in broken.items():
        door.apps[name].forget(route)
    before = door.count(path)
    reply = get(door.kiosk, path, f"{what} Then it was well again.")
    if reply.status != 200 or door.count(path) == before:
        fail(
            "error-cached",
            f"{what} Then it was well again, and GET {path} was sent once more.",
            expected="the request reaches the pool: 200",
            observed=f"{reply.status}, {door.count(path) - before} requests in the pool",
            look=SEE_ALL,
            hint=3,
        )
