"""Both roles over HTTP: the api takes orders, the worker only tells how it is. Start reading here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from app.contract import Malformed, read_order
from app.publisher import Publisher, Unavailable
from app.settings import settings
from app.worker import Worker

publisher = Publisher()
part = publisher if settings.role == "api" else Worker()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Starts this process's part; after SIGTERM it waits until that part has stopped."""
    await part.start()
    yield
    await part.stop()


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)


@app.post("/orders")
async def take_order(request: Request) -> Response:
    """202 only if the order is in the queue."""
    try:
        order = read_order(await request.body())
    except Malformed:
        return JSONResponse({"error": "bad_request"}, 400)
    try:
        await publisher.publish(order)
    except Unavailable as problem:
        print(f"unavailable: {problem}", flush=True)
        return JSONResponse({"error": "unavailable"}, 503)
    return JSONResponse({"order_id": order.order_id}, 202)


@app.get("/metrics")
async def metrics() -> Response:
    """The backlog, for Prometheus."""
    try:
        ready = await publisher.backlog()
    except Unavailable:
        return JSONResponse({"error": "unavailable"}, 503)
    return PlainTextResponse(
        f"# HELP invoices_ready Orders that wait for a worker.\n# TYPE invoices_ready gauge\ninvoices_ready {ready}\n"
    )


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process can serve, whatever its dependencies do."""
    return {"status": "ok"}


@app.get("/readyz")
async def readyz() -> Response:
    """The first request may be sent."""
    return JSONResponse({"status": "ready"}) if part.ready() else JSONResponse({"error": "unavailable"}, 503)
