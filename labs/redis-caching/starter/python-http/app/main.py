"""The catalog service over HTTP. It keeps the whole contract, but every read costs a card query."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import anyio.to_thread
import psycopg
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from app import cards, database
from app.contract import Change, NewProduct, checked_currency, checked_id


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Opens the pool; lets 128 requests be in progress at once."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = 128
    database.pool.open()
    yield
    database.pool.close()


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/products/{product_id}")
def read_product(product_id: str, currency: str = "EUR") -> Response:
    """The card of one product."""
    # TODO T1: the work begins in app/cards.py; this is where its answer goes out.
    card, source = cards.read(checked_id(product_id), checked_currency(currency))
    if card is None:
        return JSONResponse({"error": "not_found"}, 404, headers={"X-Cache": source})
    return Response(card, media_type="application/json", headers={"X-Cache": source})


@app.put("/products/{product_id}")
def change_product(product_id: str, change: Change) -> dict[str, int]:
    """Writes some fields of a product."""
    number = checked_id(product_id)
    fields = change.model_dump(exclude_unset=True)
    if not fields:
        raise HTTPException(400)
    version = database.change(number, fields)
    if version is None:
        raise HTTPException(404)
    cards.forget(number)
    return {"id": number, "version": version}


@app.post("/products", status_code=201)
def create_product(product: NewProduct) -> dict[str, int]:
    """Writes a new product."""
    version = database.create(product.model_dump())
    if version is None:
        raise HTTPException(409)
    cards.forget(product.id)
    return {"id": product.id, "version": version}


@app.delete("/products/{product_id}", status_code=204)
def delete_product(product_id: str) -> Response:
    """Removes a product."""
    number = checked_id(product_id)
    if not database.delete(number):
        raise HTTPException(404)
    cards.forget(number)
    return Response(status_code=204)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process can serve, whatever its dependencies do."""
    return {"status": "ok"}


@app.get("/readyz")
def readyz() -> dict[str, str]:
    """The first request may be sent: PostgreSQL answers."""
    database.ping()
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
async def database_failed(_request: Request, problem: psycopg.Error) -> JSONResponse:
    """PostgreSQL did not answer, or not with what was asked for."""
    print(f"database: {problem!r}", flush=True)
    return JSONResponse({"error": "unavailable"}, 503)
