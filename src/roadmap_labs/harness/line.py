"""One connection to a server, plain or TLS, on which a check sends and reads bytes at a pace of its own.

Knows no protocol above TLS, and no lab. `Secure` says what a TLS client offers and whom it believes:

    secure = Secure("shop.test", root=pem)            verifies chain and name against this root alone
    secure = Secure("shop.test")                      believes every certificate
    Secure("shop.test", alpn=("h2", "http/1.1"), lowest=TLSVersion.TLSv1_3, highest=TLSVersion.TLSv1_3)
    Secure("shop.test", old=True, highest=TLSVersion.TLSv1)     with what has long been forbidden
    line = connect("proxy-1", host, port, secure)
    line.version, line.alpn, line.reused, line.names, line.session
    line.send(data), line.receive()                   b"" at the end; `Cut` where it was cut off
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import warnings
from dataclasses import dataclass
from functools import lru_cache
from ssl import TLSVersion
from typing import Any

from roadmap_labs.harness import waiting
from roadmap_labs.harness.verdicts import LabFault, LearnerBroke, quote

WITHIN = 10.0  # seconds for each word that names no limit of its own; grows with the time factor
_PIECE = 65536
_LOWERED = "ALL:@SECLEVEL=0"
_NAMELESS = "aNULL:@SECLEVEL=0"  # a handshake that needs no certificate, for the proof of our own tool


@dataclass(frozen=True)
class Secure:
    """What a TLS client offers. `name` goes into the handshake (SNI), None for none."""

    name: str | None
    root: str | None = None  # PEM; None believes everybody
    alpn: tuple[str, ...] = ("http/1.1",)
    lowest: TLSVersion = TLSVersion.TLSv1_2
    highest: TLSVersion = TLSVersion.MAXIMUM_SUPPORTED
    old: bool = False  # the lowest security level, and every cipher


class NoHandshake(LearnerBroke):
    """TLS did not come about. `unverified`: the server went along, and the client did not believe it."""

    def __init__(self, who: str, reason: str, *, unverified: bool = False) -> None:
        super().__init__(
            "L-TLS", f"A TLS handshake with {who} failed: {reason}.", "a TLS connection", quote(reason)
        )
        self.reason, self.unverified = reason, unverified


class Cut(Exception):
    """The other side has ended the connection in a way that is no orderly end."""


class Line:
    """One connection. Every word has a limit of its own, in seconds."""

    def __init__(self, who: str, wire: socket.socket) -> None:
        self.who, self._wire = who, wire
        self.received = 0

    def send(self, data: bytes, *, within: float | None = None) -> None:
        """Send all of it. `Cut` where nobody takes it any more."""
        limit = _limit(within)
        self._wire.settimeout(limit)
        try:
            self._wire.sendall(data)
        except TimeoutError:
            raise self._late("take", limit) from None
        except OSError as error:
            raise Cut(_said(error)) from None

    def receive(self, size: int = _PIECE, *, within: float | None = None) -> bytes:
        """What comes next, at most so much; nothing at an orderly end."""
        limit = _limit(within)
        self._wire.settimeout(limit)
        try:
            piece = self._wire.recv(size)
        except TimeoutError:
            raise self._late("send", limit) from None
        except OSError as error:
            raise Cut(_said(error)) from None
        self.received += len(piece)
        return piece

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._wire.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _tls(self) -> ssl.SSLSocket:
        if not isinstance(self._wire, ssl.SSLSocket):
            raise LabFault(f"The connection to {self.who} is not TLS.")
        return self._wire

    @property
    def version(self) -> str:
        """What was agreed on: "TLSv1.3"."""
        return self._tls.version() or ""

    @property
    def alpn(self) -> str:
        """The protocol that the server chose of those that were offered, or nothing."""
        return self._tls.selected_alpn_protocol() or ""

    @property
    def reused(self) -> bool:
        """Whether an earlier session goes on."""
        return bool(self._tls.session_reused)

    @property
    def session(self) -> Any:
        """What a later connection may go on with. With TLS 1.3 it comes after the first answer."""
        return self._tls.session

    @property
    def names(self) -> tuple[str, ...]:
        """The host names of the server's certificate; only known where it was verified."""
        found: Any = self._tls.getpeercert() or {}
        return tuple(value for kind, value in found.get("subjectAltName", ()) if kind == "DNS")

    def _late(self, what: str, limit: float) -> LearnerBroke:
        return LearnerBroke(
            "L-TIME",
            f"{self.who} did not {what} anything for {limit:g} s.",
            f"the next bytes within {limit:g} s",
            f"{self.received} bytes received in all",
        )


def connect(
    who: str,
    host: str,
    port: int,
    secure: Secure | None = None,
    *,
    within: float | None = None,
    session: Any = None,
) -> Line:
    """A connection, with TLS where `secure` is given. LearnerBroke: L-PORT, L-TIME, L-TLS (`NoHandshake`)."""
    limit = _limit(within)
    started = time.monotonic()
    try:
        wire = socket.create_connection((host, port), timeout=limit)
    except TimeoutError:
        raise LearnerBroke(
            "L-TIME", f"{who} could not be reached in {limit:g} s.", "a connection", "none"
        ) from None
    except OSError as error:
        raise LearnerBroke(
            "L-PORT", f"{who} could not be reached: {_said(error)}.", "a connection", _said(error)
        ) from None
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if secure is None:
        return Line(who, wire)
    try:
        wire.settimeout(max(limit - (time.monotonic() - started), 0.001))
        return Line(who, offer(secure).wrap_socket(wire, server_hostname=secure.name, session=session))
    except TimeoutError:
        wire.close()
        raise LearnerBroke(
            "L-TIME", f"A TLS handshake with {who} was not done in {limit:g} s.", "a TLS connection", "none"
        ) from None
    except ssl.SSLCertVerificationError as error:
        wire.close()
        raise NoHandshake(who, error.verify_message, unverified=True) from None
    except OSError as error:
        wire.close()
        raise NoHandshake(who, _said(error)) from None


@lru_cache(maxsize=64)
def offer(secure: Secure) -> ssl.SSLContext:
    """The client that `secure` describes; the same one for the same description, so that sessions can be reused."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if secure.root is None:
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
    else:
        found.load_verify_locations(cadata=secure.root)
    if secure.old:
        found.set_ciphers(_LOWERED)
    _between(found, secure.lowest, secure.highest)
    if secure.alpn:
        found.set_alpn_protocols(list(secure.alpn))
    return found


def speaks(version: TLSVersion) -> bool:
    """Whether our own client can speak this version at all: tried on a server in memory, without certificates."""
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for one in (client, server):
        one.set_ciphers(_NAMELESS)
        _between(one, version, version)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    for _ in range(10):
        for end in tuple(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
            ends.remove(end)
        if not ends:
            return True
    return False


def _between(offered: ssl.SSLContext, lowest: TLSVersion, highest: TLSVersion) -> None:
    with warnings.catch_warnings():  # Python warns of TLS 1.0 and 1.1, which are what is asked for here
        warnings.simplefilter("ignore", DeprecationWarning)
        offered.minimum_version = TLSVersion.MINIMUM_SUPPORTED
        offered.maximum_version = highest
        offered.minimum_version = lowest


def _limit(within: float | None) -> float:
    return WITHIN * waiting.factor() if within is None else max(within, 0.001)


def _said(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    if isinstance(error, ConnectionResetError):
        return "the connection was reset"
    return error.strerror or str(error) or type(error).__name__
