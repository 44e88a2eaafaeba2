"""The quotes service over HTTP. It answers, as long as both partners do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from app import partners
from app.leaving import EndsWithItsClient


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Closes the connections to the partners at the end."""
    yield
    await partners.client.aclose()


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
app.add_middleware(EndsWithItsClient)


class Booking(BaseModel):
    """Body of POST /bookings."""

    model_config = ConfigDict(strict=True, extra="ignore")
    route: str = Field(min_length=1)
    booking_id: str = Field(min_length=1)


@app.get("/quotes/{route}")
async def quote(route: str) -> Response:
    """The price of a route, and what travellers said."""
    # TODO T6: a fare that was seen a while ago is better than none, and a page without reviews is a page.
    fare = await partners.fare(route)
    if fare.status != 200:
        return JSONResponse(fare.json, fare.status)
    found = await partners.reviews(route)
    return JSONResponse(
        {
            "route": route,
            "fare": {"price_cents": fare.json["price_cents"], "as_of": fare.json["as_of"]},
            "reviews": found.json["reviews"] if found.status == 200 else [],
            "degraded": False,
            "sources": {"fares": "live", "reviews": "live"},
        }
    )


@app.get("/reviews/{route}")
async def reviews(route: str) -> Response:
    """What travellers said."""
    found = await partners.reviews(route)
    return JSONResponse({"route": route, "reviews": found.json["reviews"] if found.status == 200 else []})


@app.post("/bookings")
async def book(booking: Booking) -> Response:
    """Books with the partner, once."""
    reply = await partners.book(booking.route, booking.booking_id)
    return JSONResponse(reply.json, reply.status)


@app.get("/breakers")
async def breakers() -> dict[str, Any]:
    """What the two breakers think."""
    return partners.breakers()


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process can serve, whatever the partners do."""
    return {"status": "ok"}


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    """The first request may be sent."""
    return {"status": "ready"}


@app.exception_handler(httpx.HTTPError)
@app.exception_handler(partners.CallFailed)
async def unavailable(_request: Any, problem: Exception) -> JSONResponse:
    """A partner gave no answer."""
    print(f"unavailable: {problem!r}", flush=True)
    found = {"error": "unavailable", "sources": {"fares": "none", "reviews": "none"}}
    return JSONResponse(found, 503, headers={"Retry-After": "1"})


@app.exception_handler(HTTPException)
async def refused(_request: Any, problem: HTTPException) -> JSONResponse:
    """No such page."""
    return JSONResponse({"error": "not_found" if problem.status_code == 404 else "bad_request"}, problem.status_code)


@app.exception_handler(RequestValidationError)
async def malformed(_request: Any, _problem: RequestValidationError) -> JSONResponse:
    """A body that the contract does not allow."""
    return JSONResponse({"error": "bad_request"}, 400)
