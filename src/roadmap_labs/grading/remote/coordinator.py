"""Where workers get submissions and bring results: claims over HTTP. Knows nothing of the queue.

Every call carries the workers' token; without it there is no answer but 401. It listens on the loopback unless told
otherwise: what crosses a network needs a tunnel or a proxy that speaks TLS.
"""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, Field

from roadmap_labs.errors import TryAgain
from roadmap_labs.grading.remote.claims import Claims, Delivery, Unfit

MOST_BYTES = 8 * 1024 * 1024  # of one request
Name = Annotated[str, Field(max_length=1024)]


class Wanted(BaseModel):
    """A worker asks for what a message names."""

    batch: Name
    job: Name
    message: Name
    nonce: Name
    again: bool
    worker: Name


class HandedOut(BaseModel):
    """What a worker has to know to judge; the files are fetched by their digest."""

    token: str
    job: str
    attempt: int
    seed: int
    digest: str
    lab: str
    lab_digest: str
    time_factor: float


class Held(BaseModel):
    """A claim, by its token."""

    token: Name


class Refused(Held):
    """A claim that a worker can't fulfil."""

    why: Annotated[str, Field(max_length=2000)]


class Judged(Held):
    """A claim and the document of its judgement."""

    result: dict[str, Any]


def app_of(claims: Claims, token: str) -> FastAPI:
    """The calls: claim, blobs, beat, back, result."""
    known = f"Bearer {token}".encode()

    def allowed(request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if not secrets.compare_digest(given, known):
            raise HTTPException(401, "the workers' token is missing or wrong")
        length = request.headers.get("content-length", "0" if request.method == "GET" else "")
        if not length.isdigit() or int(length) > MOST_BYTES:
            raise HTTPException(413, f"a body of at most {MOST_BYTES} bytes, its length told")

    app = FastAPI(title="roadmap-labs coordinator", dependencies=[Depends(allowed)], docs_url=None,
                  redoc_url=None, openapi_url=None)  # fmt: skip

    @app.post("/v1/claim", response_model=None)
    def claim(wanted: Wanted) -> HandedOut | Response:
        delivery = Delivery(wanted.message, wanted.nonce, wanted.again, wanted.worker)
        found = claims.claim(wanted.job, delivery) if wanted.batch == claims.batch else None
        if found is None:
            return Response(status_code=204)
        one, work = found.assignment, claims.work
        return HandedOut(token=found.token, job=one.id, attempt=one.attempt, seed=one.seed, digest=one.digest,
                         lab=work.lab.slug, lab_digest=work.lab_digest, time_factor=work.time_factor)  # fmt: skip

    @app.get("/v1/blobs/{digest}")
    def blob(digest: str) -> Response:
        content = claims.blob(digest)
        if content is None:
            raise HTTPException(404, "nobody has these files out")
        return Response(content, media_type="application/x-tar")

    @app.post("/v1/beat")
    def beat(held: Held) -> dict[str, bool]:
        return {"go_on": claims.beat(held.token)}

    @app.post("/v1/back")
    def back(refused: Refused) -> dict[str, bool]:
        claims.give_back(refused.token, refused.why)
        return {"taken": True}

    @app.post("/v1/result")
    def result(judged: Judged) -> dict[str, bool]:
        try:
            return {"taken": claims.hand_in(judged.token, judged.result)}
        except (Unfit, KeyError, TypeError) as error:
            raise HTTPException(422, str(error)) from error

    return app


@contextmanager
def listening(claims: Claims, token: str, host: str, port: int) -> Iterator[str]:
    """Serve the claims in a thread until the block ends; yields the URL. Port 0 means any."""
    try:
        door = socket.create_server((host, port))
    except OSError as error:
        raise TryAgain(
            f"The coordinator can't listen on {host}:{port}: {error.strerror}.",
            cure="Choose another address:  --listen HOST:PORT",
        ) from error
    config = uvicorn.Config(
        app_of(claims, token), log_level="critical", lifespan="off", timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([door],), name="coordinator", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        door.close()
