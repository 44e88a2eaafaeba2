"""The order service over HTTP. It keeps the contract as far as one database host can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any

import anyio.to_thread
import psycopg
from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException as AnyHTTPException

from service import cluster, orders
from service.contract import Order, checked_id, checked_token


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Opens the pool; lets 128 requests be in progress at once."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = 128
    orders.pool.open()
    yield
    orders.pool.close()


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)


@app.post("/orders", status_code=201)
def place_order(order: Order) -> JSONResponse:
    """Stores an order."""
    try:
        order_id, token = orders.place(order)
    except orders.Conflict:
        raise HTTPException(409) from None
    except (orders.NotAcknowledged, psycopg.Error, PoolTimeout) as problem:
        print(f"order: {problem!r}", flush=True)
        return JSONResponse({"error": "not_acknowledged"}, 503)
    return JSONResponse({"id": order_id}, 201, headers={"X-Consistency-Token": token})


@app.get("/orders/{order_id}")
def read_order(
    order_id: str, token: Annotated[str | None, Header(alias="X-Consistency-Token")] = None
) -> dict[str, Any]:
    """One order; with a token, as new as the write that gave it."""
    found = orders.find(checked_id(order_id), checked_token(token))
    if found is None:
        raise HTTPException(404)
    return found


@app.get("/replication")
def replication() -> dict[str, Any]:
    """Who is the primary, who follows, how far behind."""
    return cluster.view()


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process can serve, whatever the hosts do."""
    return {"status": "ok"}


@app.get("/readyz")
def readyz() -> dict[str, str]:
    """The first request may be sent: a host answers."""
    orders.find(1, None)
    return {"status": "ready"}


@app.exception_handler(AnyHTTPException)
async def refused(_request: Request, problem: AnyHTTPException) -> JSONResponse:
    """400 bad_request, 404 not_found, 409 conflict, ..."""
    code = HTTPStatus(problem.status_code).phrase.lower().replace(" ", "_")
    return JSONResponse({"error": code}, problem.status_code)


@app.exception_handler(RequestValidationError)
async def malformed(_request: Request, _problem: RequestValidationError) -> JSONResponse:
    """A body that the contract does not allow."""
    return JSONResponse({"error": "bad_request"}, 400)


@app.exception_handler(psycopg.Error)
@app.exception_handler(PoolTimeout)
async def database_failed(_request: Request, problem: Exception) -> JSONResponse:
    """No host answered, or not with what was asked for."""
    print(f"database: {problem!r}", flush=True)
    return JSONResponse({"error": "unavailable"}, 503)
