"""The one image that all recipes stand on: Debian trixie, pulled by digest or built from Debian's packages.

Knows nothing of recipes. Both ways end in the same packages, and trust the authorities that this host trusts.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections import deque
from pathlib import Path

from roadmap_labs.engine import labels
from roadmap_labs.engine.protocol import Engine, Progress
from roadmap_labs.errors import EngineRefused, TryAgain, WrongUse
from roadmap_labs.files import File, pack
from roadmap_labs.places import locked

BASE = "roadmap-labs/debian:trixie"
VARIABLE = "ROADMAP_LABS_BASE"
OFFLINE = "ROADMAP_LABS_OFFLINE"
# `debian@sha256:…` of trixie-slim. Set when a release is cut, on a machine where a registry answers; a digest
# that nobody has seen must not stand here. None: build, unless ROADMAP_LABS_BASE names an image.
PINNED: str | None = None

_MOST_SECONDS = 900
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_BUNDLES = (_BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem")
_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE")
# A pulled trixie-slim has no authorities at all; a built one has.
_INSTALL = (
    "RUN test -x /usr/sbin/update-ca-certificates || { apt-get update"
    " && apt-get install -y --no-install-recommends ca-certificates"
    " && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log; }"
)


def is_offline() -> bool:
    """Whether the user forbade every use of a network."""
    return os.environ.get(OFFLINE, "") not in ("", "0")


def ensure_base(engine: Engine, progress: Progress, *, tag: str = BASE) -> str:
    """Make sure that the base image is there, and return its tag."""
    if engine.image(tag) is not None:
        return tag
    with locked(f"image-{tag}", waiting=lambda: progress(f"another command is making {tag}: waiting")):
        if engine.image(tag) is None:
            _make(engine, progress, tag)
    return tag


def _make(engine: Engine, progress: Progress, tag: str) -> None:
    if is_offline():
        raise TryAgain(
            f"Image {tag} is missing, and {OFFLINE} is set.",
            cure=f"Go online and unset {OFFLINE}, then try again.",
        )
    reference = _reference()
    if reference is not None:
        try:
            engine.pull_image(reference, progress=progress)
        except EngineRefused as refusal:
            progress(f"{refusal.message} Building it from Debian's packages instead.")
        else:
            _finish(engine, progress, parent=reference, tag=tag)
            return
    raw = f"{tag}-raw"
    _debootstrap(engine, progress, raw)
    try:
        _finish(engine, progress, parent=raw, tag=tag)
    finally:
        engine.remove("image", raw)  # only the name goes; the layer is the new image's first


def _reference() -> str | None:
    reference = os.environ.get(VARIABLE) or PINNED
    if reference is not None and "@sha256:" not in reference:
        raise WrongUse(
            f"{VARIABLE} is {reference!r}, which may be another image tomorrow.",
            cure=f"Name it by its digest:  {VARIABLE}=debian@sha256:…",
        )
    return reference


def _finish(engine: Engine, progress: Progress, *, parent: str, tag: str) -> None:
    """One more build on top, the same for both ways."""
    bundle = host_bundle()
    lines = [f"FROM {parent}", _INSTALL]
    files = []
    if bundle is not None:
        lines.append(f"COPY authorities.crt {_BUNDLE}")
        files.append(File("authorities.crt", bundle.read_bytes()))
    lines.append("ENV " + " ".join(f"{name}={_BUNDLE}" for name in _VARIABLES))
    files.append(File("Dockerfile", "\n".join(lines).encode()))
    engine.build_image(pack(files), tag, {labels.KIND: "image", labels.RECIPE: "trixie"}, progress=progress)


def host_bundle() -> Path | None:
    """The file with the certificate authorities that this host trusts."""
    default = ssl.get_default_verify_paths().cafile
    for place in (os.environ.get("SSL_CERT_FILE"), *_BUNDLES, default):
        if place and Path(place).is_file():
            return Path(place)
    return None


def _debootstrap(engine: Engine, progress: Progress, tag: str) -> None:
    tool = shutil.which("mmdebstrap") or shutil.which("mmdebstrap", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if tool is None:
        raise TryAgain(
            "The base image has to be built, and mmdebstrap is not installed.",
            cure="Install it:  sudo apt-get install mmdebstrap",
        )
    progress("building Debian trixie from its packages (mmdebstrap), about 20 seconds")
    with tempfile.TemporaryDirectory(prefix="roadmap-labs-") as folder:
        archive = str(Path(folder) / "root.tar")
        _run_tool([tool, "--variant=minbase", "--include=ca-certificates", "trixie", archive], progress)
        engine.import_image(archive, tag, {labels.KIND: "image"})


def _run_tool(command: list[str], progress: Progress) -> None:
    last: deque[str] = deque(maxlen=8)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as tool:
        limit = threading.Timer(_MOST_SECONDS, tool.kill)
        limit.start()
        try:
            for line in tool.stderr or ():
                last.append(line.strip())
                progress(line.strip())
        except BaseException:
            tool.terminate()
            raise
        finally:
            limit.cancel()
    if tool.returncode != 0:
        raise TryAgain(
            f"mmdebstrap failed with exit code {tool.returncode}: {' / '.join(last)}",
            cure="It needs Debian's archive and, for a user who is not root, the package uidmap. Then try again.",
        )
