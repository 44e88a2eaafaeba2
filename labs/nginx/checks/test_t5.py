"""T5 TLS: a client that believes the root alone gets in, with old versions nobody does."""

from __future__ import annotations

import struct
from dataclasses import replace
from ssl import TLSVersion

from door import API, KIOSK, SEE_ACCESS, SEE_ALL, SEE_ERRORS, SEE_POOL, Door, answered, expect, get, trusted

from roadmap_labs.harness import LabFault, Reply, fail, needs, quote
from roadmap_labs.harness.http1 import Site
from roadmap_labs.harness.line import Cut, Line, NoHandshake, Secure, speaks

SEE_CHAIN = (
    "roadmap-labs shell proxy -- sh -c"
    " 'openssl s_client -connect 127.0.0.1:8443 -servername kiosk.test -showcerts < /dev/null'"
)
MODERN = (TLSVersion.TLSv1_2, TLSVersion.TLSv1_3)
OLD = {TLSVersion.TLSv1: "TLS 1.0", TLSVersion.TLSv1_1: "TLS 1.1"}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"  # and SETTINGS without any
SETTINGS_FRAME = 4
ROUNDS = 4


def test_t5_chain(door: Door) -> None:
    """A client that knows only the root gets a verified connection"""
    site = trusted(door, door.kiosk)
    try:
        site.open().close()
    except NoHandshake as broken:
        fail("chain-not-trusted", f"A client that believes the lab's root alone connected to {KIOSK}.",
             expected="a verified handshake", observed=broken.observed, look=SEE_CHAIN, hint=1)  # fmt: skip


@needs("t5_chain")
def test_t5_names(door: Door) -> None:
    """Each name gets a certificate of its own"""
    for site in (door.kiosk, door.api):
        one = trusted(door, site)
        try:
            with one.open() as line:
                names = line.names
        except NoHandshake as broken:
            fail("wrong-certificate", f"A client that believes the lab's root alone connected to {site.name}.",
                 expected=f"a certificate for {site.name}", observed=broken.observed,
                 look=SEE_CHAIN, hint=2)  # fmt: skip
        if names != (site.name,):
            fail("wrong-certificate", f"A client connected to {site.name}.", expected=f"the certificate of {site.name}",
                 observed=quote(", ".join(names)), look=SEE_CHAIN, hint=2)  # fmt: skip


@needs("t5_chain")
def test_t5_versions(door: Door) -> None:
    """TLS 1.2 and 1.3 are spoken, 1.0 and 1.1 are not"""
    for version in (*MODERN, *OLD):
        if version is not TLSVersion.TLSv1_3 and not speaks(version):
            raise LabFault(f"The client of the checks can't speak {version.name}.")
    for version in MODERN:
        try:
            with _offering(door, version).open() as line:
                agreed = line.version
        except NoHandshake as broken:
            fail("modern-version-refused", f"A client offered {version.name} alone.", expected="a handshake",
                 observed=broken.observed, look=SEE_CHAIN, hint=2)  # fmt: skip
        if agreed.replace(".", "_") != version.name:
            raise LabFault(f"{version.name} was offered, and {agreed} agreed on.")
    for version, name in OLD.items():
        try:
            with _offering(door, version).open() as line:
                agreed = line.version
        except NoHandshake:
            continue
        fail("old-version-accepted", f"A client offered {name} alone, with every cipher that there ever was.",
             expected="the handshake is refused", observed=f"{agreed} was agreed on",
             look=SEE_CHAIN, hint=2)  # fmt: skip


def _offering(door: Door, version: TLSVersion) -> Site:
    old = version in OLD
    return replace(door.kiosk, secure=Secure(KIOSK, lowest=version, highest=version, old=old))


def test_t5_redirect(door: Door) -> None:
    """Port 8080 sends people to the same address over TLS, and little else"""
    before = door.count("")
    for name in (KIOSK, API):
        for host in (name, f"{name}:8080"):
            path = f"/{door.nonce()}/a%2Fb?c=d&e=%20"
            reply = get(door.plain, path, "Port 8080 was asked.", headers={"Host": host})
            where = f"GET http://{host}{path}:"
            expect(reply, 301, 308, what=where, code="no-redirect", hint=1)
            wanted = f"https://{name}:8443{path}"
            if reply.headers.get("location") != wanted:
                fail("wrong-redirect", where, expected=f"Location: {wanted}",
                     observed=quote(reply.headers.get("location", "no Location")), look=SEE_ACCESS, hint=1)  # fmt: skip
    for host in (KIOSK, API, "evil.test", "10.1.2.3"):
        reply = get(door.plain, "/nginx-health", "Port 8080 was asked.", headers={"Host": host})
        expect(reply, 200, what=f"GET http://{host}:8080/nginx-health:", code="no-health", hint=1)
    _acme(door)
    stranger = f"GET /{door.nonce()} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n".encode()
    seen = answered(lambda: door.plain.raw(stranger), "Port 8080 was asked for evil.test.")
    if seen is not None and not 400 <= seen.status < 500:
        fail("stranger-redirected", "GET / was sent to port 8080 with Host: evil.test.",
             expected="the connection is closed, or a 4xx", observed=_told(seen), look=SEE_ACCESS, hint=1)  # fmt: skip
    if door.count("") != before:
        fail("plain-text-forwarded", "Requests were sent to port 8080 only.", expected="the pool sees none of them",
             observed=f"{door.count('') - before} reached it", look=SEE_POOL, hint=1)  # fmt: skip


def _acme(door: Door) -> None:
    token, answer = door.nonce(), f"{door.nonce()}.{door.nonce()}"
    folder = "/srv/acme/.well-known/acme-challenge"
    said = door.inside("sh", "-c", f"mkdir -p {folder} && printf %s {answer} > {folder}/{token}")
    if said.exit_code:
        raise LabFault(f"No ACME answer could be written: {quote(said.output)}")
    for host in (KIOSK, API):
        path = f"/.well-known/acme-challenge/{token}"
        reply = get(door.plain, path, "Port 8080 was asked.", headers={"Host": host})
        if reply.status != 200 or reply.text != answer:
            fail("no-acme-answer", f"GET http://{host}:8080{path}:", expected=f"200 and the file {folder}/{token}",
                 observed=_told(reply), look=SEE_ALL, hint=1)  # fmt: skip


def _told(reply: Reply) -> str:
    where = reply.headers.get("location")
    return f"{reply.status} {quote(where or reply.body, 120)}"


def test_t5_security_headers(door: Door) -> None:
    """Every answer has the two security headers, errors included"""
    content = door.inside("cat", "/srv/static/kiosk.css").output
    n = door.nonce()
    door.route(f"/api/{n}/missing", status=404, json={"error": "not_found"})
    door.route("/catalog/*", body="page", headers={"Cache-Control": "max-age=60"})
    css = get(door.kiosk, "/static/kiosk.css", "A static file was asked for.")
    expect(css, 200, what="A static file was asked for:", code="no-static-file", hint=1)
    if css.body != content:
        fail("no-static-file", "GET /static/kiosk.css:", expected="/srv/static/kiosk.css",
             observed=quote(css.body, 120), look=SEE_ALL, hint=1)  # fmt: skip
    _secured(css)
    for site, target, status in (
        (door.kiosk, f"/api/{n}", 200),
        (door.api, f"/{n}", 200),
        (door.kiosk, f"/catalog/{n}", 200),
        (door.kiosk, f"/api/{n}/missing", 404),
        (door.kiosk, f"/static/{n}.css", 404),
    ):
        reply = get(site, target, "One request was sent.")
        expect(reply, status, what="One request was sent:", code="wrong-status", hint=1)
        _secured(reply)
    with door.all_down():
        reply = get(door.kiosk, f"/api/{n}", "All applications were gone.")
        expect(reply, 502, 504, what="All applications were gone.", code="wrong-status", hint=1)
        _secured(reply)


def _secured(reply: Reply) -> None:
    said = f"{reply.asked} was answered with {reply.status}."
    strict = reply.headers.get("strict-transport-security", "")
    age = strict.replace(" ", "").lower().partition("max-age=")[2].strip('"').partition(";")[0].strip('"')
    if not age.isdecimal() or int(age) == 0:
        fail("no-hsts", said, expected="Strict-Transport-Security: max-age=… on every answer",
             observed=quote(strict) if strict else "no such header", look=SEE_ERRORS, hint=3)  # fmt: skip
    kind = reply.headers.get("x-content-type-options", "")
    if kind.lower() != "nosniff":
        fail("no-nosniff", said, expected="X-Content-Type-Options: nosniff on every answer",
             observed=quote(kind) if kind else "no such header", look=SEE_ERRORS, hint=3)  # fmt: skip


@needs("t5_chain")
def test_t5_http2_and_resume(door: Door) -> None:
    """HTTP/2 is offered, and a second connection goes on with the first one's session"""
    for site in (door.kiosk, door.api):
        with trusted(door, site, alpn=("h2", "http/1.1")).open() as line:
            if line.alpn != "h2":
                fail("no-http2", f"A browser offered h2 and http/1.1 to {site.name}.", expected="h2 is chosen",
                     observed=quote(line.alpn or "no protocol"), look=SEE_CHAIN, hint=3)  # fmt: skip
            _speaks_http2(line, site)
    for version in MODERN:
        site = trusted(door, door.kiosk, lowest=version, highest=version)
        session, reused = None, []
        for _ in range(ROUNDS):
            with site.open(session=session) as line:
                line.send(
                    f"GET /api/{door.nonce()} HTTP/1.1\r\nHost: {KIOSK}\r\nConnection: close\r\n\r\n".encode()
                )
                _drain(line)  # with TLS 1.3 the session comes after the handshake
                reused.append(line.reused)
                session = line.session
        if not all(reused[1:]):
            fail(
                "session-not-resumed",
                f"A client came back {ROUNDS - 1} times with the session of its last connection ({version.name}).",
                expected="the session goes on: no new key exchange with a certificate",
                observed=f"{reused[1:].count(True)} of {ROUNDS - 1} times",
                look=SEE_ERRORS,
                hint=3,
            )


def _speaks_http2(line: Line, site: Site) -> None:
    """RFC 9113, 3.4: after the client's preface, the server's first frame is SETTINGS."""
    seen = b""
    try:
        line.send(PREFACE)
        while len(seen) < 9:
            piece = line.receive()
            if not piece:
                break
            seen += piece
    except Cut:
        pass
    if len(seen) < 9 or struct.unpack(">xxxB", seen[:4])[0] != SETTINGS_FRAME:
        fail("no-http2", f"{site.name} chose h2, and was sent the preface of HTTP/2.", expected="a SETTINGS frame",
             observed=quote(seen[:40]) or "nothing", look=SEE_ERRORS, hint=3)  # fmt: skip


def _drain(line: Line) -> None:
    try:
        while line.receive():
            pass
    except Cut:
        pass
