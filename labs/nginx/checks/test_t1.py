"""T1 Forward faithfully: what a client said is what an application hears, and nobody else gets in."""

from __future__ import annotations

import hashlib
import re

from door import (
    API,
    KIOSK,
    LOG,
    SEE_ACCESS,
    SEE_ALL,
    SEE_POOL,
    Door,
    answered,
    expect,
    get,
    reached,
)

from roadmap_labs.harness import LearnerBroke, Reply, fail, quote, waiting
from roadmap_labs.harness.http1 import Site
from roadmap_labs.harness.line import Secure

HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,64}")
FALSE = "6.6.6.6"
LOG_SECONDS = 10.0  # a log may be buffered for a moment
MEGABYTE = 1_000_000


def test_t1_path_verbatim(door: Door) -> None:
    """Path and query reach the pool exactly as they were sent"""
    for site, form in [
        (door.kiosk, "/api/items/{}%2Fb%20c?x=1&x=2&empty="),
        (door.kiosk, "/api/{}//twice?q=%C3%A9+%26&z=%2f"),
        (door.kiosk, "/catalog/{}/caf%C3%A9?size=%3C10"),
        (door.kiosk, "/events/{}%2F1?since=2"),
        (door.api, "/orders/{}%2Fa?b=%20&b="),
    ]:
        n = door.nonce()
        target = form.format(n)
        reply = get(site, target, "One request was sent.")
        expect(reply, 200, what="One request was sent:", code="not-forwarded")
        arrived = [one.target for _, one in door.seen("") if n in one.target]
        if arrived != [target]:
            fail(
                "path-changed",
                f"GET {target} was sent to {site.name}.",
                expected=f"the pool sees  {target}",
                observed=f"the pool sees  {quote(', '.join(arrived) or 'nothing of it')}",
                look=SEE_POOL,
                hint=1,
            )


def test_t1_host_and_proto(door: Door) -> None:
    """The pool hears the client's host and the true scheme"""
    cases = [
        (door.kiosk, "/api/", KIOSK, None),
        (door.kiosk, "/api/", f"{KIOSK}:8443", "http"),
        (door.kiosk, "/catalog/", KIOSK, "http"),
        (door.kiosk, "/events/", KIOSK, None),
        (door.kiosk, "/login", KIOSK, "http"),
        (door.api, "/", API, "http"),
        (door.api, "/catalog/", f"{API}:8443", None),
    ]
    for site, path, host, scheme in cases:
        target = _fresh(door, path)
        headers = {"Host": host} | ({"X-Forwarded-Proto": scheme} if scheme else {})
        get(site, target, "One request was sent.", headers=headers)
        arrived = reached(door, target)
        said = f"GET https://{host}{target}" + (f" with X-Forwarded-Proto: {scheme}" if scheme else "")
        if [one.removesuffix(":8443") for one in arrived.all("Host")] != [site.name]:
            fail("wrong-host", f"{said} was sent.", expected=f"the pool sees  Host: {host}",
                 observed=f"Host: {quote(', '.join(arrived.all('Host')))}", look=SEE_POOL, hint=2)  # fmt: skip
        if arrived.all("X-Forwarded-Proto") != ["https"]:
            fail("wrong-scheme", f"{said} was sent over TLS.", expected="the pool sees  X-Forwarded-Proto: https",
                 observed=_shown(arrived.all("X-Forwarded-Proto")), look=SEE_POOL, hint=2)  # fmt: skip


def test_t1_client_address(door: Door) -> None:
    """The pool hears the client's own address, whatever the client claims"""
    for client, path in (
        ("client-1", "/api/"),
        ("client-2", "/api/"),
        ("client-1", "/catalog/"),
        ("client-2", "/login"),
    ):
        site, peer = door.from_client(client, door.kiosk), door.addresses[client]
        for claims in ({}, {"X-Real-IP": FALSE, "X-Forwarded-For": FALSE}):
            target = _fresh(door, path)
            get(site, target, "One request was sent.", headers=claims)
            arrived = reached(door, target)
            said = f"GET {target} came from {peer}" + (
                f", with X-Real-IP and X-Forwarded-For: {FALSE}." if claims else "."
            )
            if arrived.all("X-Real-IP") != [peer]:
                fail("wrong-address", said, expected=f"the pool sees  X-Real-IP: {peer}",
                     observed=_shown(arrived.all("X-Real-IP")), look=SEE_POOL, hint=3)  # fmt: skip
            chain = ",".join(arrived.all("X-Forwarded-For"))
            if chain.split(",")[-1].strip() != peer:
                fail("wrong-address", said, expected=f"the last address in X-Forwarded-For is {peer}",
                     observed=_shown([chain] if chain else []), look=SEE_POOL, hint=3)  # fmt: skip


def test_t1_request_id(door: Door) -> None:
    """Each request has one id: in the pool, in the answer, in the log"""
    n = door.nonce()
    harmless = [n, f"A.b_C-{n}", (n * 7)[:64], "7"]
    harmful = [(n * 7)[:65], f"{n} x", f'{n}"', f"<{n}>", f"{n};ls", f"{n}%0a", ""]
    given: list[str] = []
    for site, path, sent in [
        (door.kiosk, "/api/", None),
        (door.api, "/", None),
        (door.kiosk, "/catalog/", None),
        *((door.kiosk, "/api/", one) for one in harmless),
        (door.kiosk, "/catalog/", f"c.{n}"),
        *((door.kiosk, "/api/", one) for one in harmful),
    ]:
        target = _fresh(door, path)
        reply = get(
            site, target, "One request was sent.", headers={} if sent is None else {"X-Request-ID": sent}
        )
        ids = reached(door, target).all("X-Request-ID")
        said = f"GET {target} was sent " + (
            "without X-Request-ID." if sent is None else f"with X-Request-ID: {quote(sent, 80)}."
        )
        if len(ids) != 1 or not HARMLESS.fullmatch(ids[0]):
            fail("no-request-id" if sent is None else "harmful-request-id", said,
                 expected="one id arrives in the pool: 1 to 64 characters out of A-Z a-z 0-9 . _ -",
                 observed=_shown(ids), look=SEE_POOL, hint=2)  # fmt: skip
        if sent is not None and HARMLESS.fullmatch(sent) and ids != [sent]:
            fail("request-id-lost", said, expected="this id arrives in the pool: it is short and harmless",
                 observed=_shown(ids), look=SEE_POOL, hint=2)  # fmt: skip
        if reply.headers.get("x-request-id") != ids[0]:
            fail("request-id-differs", f"{said} The pool saw {ids[0]}.",
                 expected=f"X-Request-ID: {ids[0]} in the answer",
                 observed=_shown([reply.headers["x-request-id"]] if "x-request-id" in reply.headers else []),
                 look=SEE_ALL, hint=2)  # fmt: skip
        if ids[0] in given:
            fail("request-id-repeated", said, expected="an id that no other request has", observed=ids[0],
                 look=SEE_POOL, hint=2)  # fmt: skip
        given.append(ids[0])
    logged = waiting.reached(lambda: _all_logged(door, given), LOG_SECONDS)[1]
    if logged is not True:
        fail("request-id-not-logged", f"{len(given)} requests were sent; the pool and the answers had their ids.",
             expected=f"each of them in {LOG}", observed=f"not there: {logged}", look=SEE_ACCESS, hint=2)  # fmt: skip


def _all_logged(door: Door, ids: list[str]) -> bool | str:
    """True, or an id that is missing."""
    text = "\n".join(door.log_lines())
    return next((one for one in ids if one not in text), True)


def test_t1_unknown_host(door: Door) -> None:
    """A request for any other host never reaches the pool"""
    n = door.nonce()
    path = f"/api/{n}"
    known = f"GET {path} HTTP/1.1\r\nHost: {KIOSK}\r\nConnection: close\r\n\r\n".encode()
    reply = answered(lambda: door.kiosk.raw(known), "A plain request for kiosk.test was sent.")
    if reply is None or reply.status != 200 or door.count(path) != 1:
        fail("not-forwarded", f"GET {path} was sent to {KIOSK}.", expected="200, from the pool",
             observed="the connection was closed" if reply is None else f"{reply.status}",
             look=SEE_ALL, hint=1)  # fmt: skip
    cases = [
        (f"with SNI {KIOSK} and Host evil.test", KIOSK, "evil.test"),
        ("with Host evil.test", "evil.test", "evil.test"),
        ("with an IP address as Host", None, "10.1.2.3:8443"),
        (f"with Host {KIOSK}.evil.test", f"{KIOSK}.evil.test", f"{KIOSK}.evil.test"),
        (f"with Host my{KIOSK}", f"my{KIOSK}", f"my{KIOSK}"),
        ("in HTTP/1.1 without Host", KIOSK, None),
        ("in HTTP/1.0 without Host", None, ""),
    ]
    for how, sni, host in cases:
        version, line = ("1.0" if host == "" else "1.1"), (f"Host: {host}\r\n" if host else "")
        sent = f"GET {path} HTTP/{version}\r\n{line}Connection: close\r\n\r\n"
        reply = _stranger(door, sni, sent.encode())
        if door.count(path) != 1:
            fail("stranger-in-the-pool", f"GET {path} was sent {how}.", expected="the pool never sees it",
                 observed="an application answered it", look=SEE_POOL, hint=3)  # fmt: skip
        if reply is not None and not 400 <= reply.status < 500:
            fail("stranger-served", f"GET {path} was sent {how}.", expected="the connection is closed, or a 4xx",
                 observed=f"{reply.status} {quote(reply.body, 80)}", look=SEE_ACCESS, hint=3)  # fmt: skip


def _stranger(door: Door, sni: str | None, sent: bytes) -> Reply | None:
    """What a client of another name gets; None where it is not let in."""
    site = Site(door.kiosk.who, door.kiosk.host, door.kiosk.port, "(nobody)", Secure(sni))
    try:
        return site.raw(sent)
    except LearnerBroke as broke:
        if broke.code in ("L-TLS", "L-HTTP"):
            return None
        fail("no-answer", f"A request for a host that nobody serves: {broke.message}",
             expected="the connection is closed, or a 4xx", observed=broke.observed, look=SEE_ALL, hint=3)  # fmt: skip


def test_t1_body_limits(door: Door) -> None:
    """4 MB arrive whole, 6 MB are refused"""
    small = door.random.randbytes(4 * MEGABYTE)
    digest = hashlib.sha256(small).hexdigest()
    for site in (door.kiosk, door.api):
        target = f"/api/upload/{door.nonce()}"
        reply = answered(lambda site=site, target=target: site.post(target, small, within=30 * waiting.factor()),
                         "4 MB were uploaded.")  # fmt: skip
        expect(reply, 200, what="4 MB were uploaded:", code="upload-refused")
        arrived = reached(door, target)
        if (arrived.body_length, arrived.body_digest) != (len(small), digest):
            fail("upload-changed", f"{len(small)} bytes were uploaded to {site.name}.",
                 expected=f"SHA-256 {digest[:16]}…",
                 observed=f"{arrived.body_length} bytes, SHA-256 {arrived.body_digest[:16]}…",
                 look=SEE_POOL, hint=1)  # fmt: skip
    for site, chunked in ((door.kiosk, False), (door.kiosk, True), (door.api, False)):
        target = f"/api/upload/{door.nonce()}"
        how = "6 MB were uploaded" + (" in chunks, without Content-Length." if chunked else ".")
        reply = answered(
            lambda site=site, target=target, chunked=chunked: _upload(site, target, chunked), how
        )
        if door.count(target):
            fail("too-large-upload-forwarded", how, expected="413, and the pool sees nothing",
                 observed=f"{reply.status}, and an application got it", look=SEE_POOL, hint=1)  # fmt: skip
        expect(reply, 413, what=how, code="too-large-upload-accepted")


def _upload(site: Site, target: str, chunked: bool) -> Reply:
    piece = b"x" * (MEGABYTE // 10)
    with site.talk() as talk:
        talk.begin(
            "POST",
            target,
            headers={"Transfer-Encoding": "chunked", "Connection": "close"}
            if chunked
            else {"Connection": "close"},
            length=None if chunked else 60 * len(piece),
            within=30 * waiting.factor(),
        )
        for _ in range(60):
            talk.push(piece)
        talk.end()
        return talk.answer()


def _fresh(door: Door, path: str) -> str:
    """A target that nobody has asked for yet, below a path (or with a query, where the path is a single one)."""
    n = door.nonce()
    return f"{path}{n}" if path.endswith("/") else f"{path}?n={n}"


def _shown(values: list[str]) -> str:
    if not values:
        return "no such header"
    return quote(" | ".join(values)) if values != [""] else "an empty one"
