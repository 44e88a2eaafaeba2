"""The quotes service over HTTP: answers whatever the partners do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app import partners, quotes
from app.leaving import EndsWithItsClient
from app.partners import CallFailed, Rejected
from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException


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
    """The price of a route, and what travellers said; degraded where something is missing or old."""
    found = await quotes.quote(route)
    if found.passed_on is not None:
        return Response(found.passed_on.body, found.passed_on.status, media_type=found.passed_on.kind)
    if found.fare is None:
        return _unavailable(found.wait, found.sources)
    degraded = found.sources != {"fares": "live", "reviews": "live"}
    return JSONResponse(
        {
            "route": route,
            "fare": found.fare,
            "reviews": found.reviews,
            "degraded": degraded,
            "sources": found.sources,
        }
    )


@app.get("/reviews/{route}")
async def reviews(route: str) -> Response:
    """What travellers said."""
    found = await quotes.reviews(route)
    if found is None:
        return _unavailable(1)
    return JSONResponse({"route": route, "reviews": found})


@app.post("/bookings")
async def book(booking: Booking) -> Response:
    """Books with the partner, once."""
    try:
        reply = await partners.book(booking.route, booking.booking_id)
    except Rejected as problem:
        return _unavailable(quotes.wait_after(problem))
    except CallFailed as problem:
        return JSONResponse({"error": problem.code}, 504 if problem.code == "timeout" else 502)
    return Response(reply.body, reply.status, media_type=reply.kind)


def _unavailable(wait: int, sources: dict[str, str] | None = None) -> Response:
    found: dict[str, Any] = {"error": "unavailable"} | ({"sources": sources} if sources else {})
    return JSONResponse(found, 503, headers={"Retry-After": str(wait)})


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


@app.exception_handler(HTTPException)
async def refused(_request: Any, problem: HTTPException) -> JSONResponse:
    """No such page."""
    return JSONResponse(
        {"error": "not_found" if problem.status_code == 404 else "bad_request"}, problem.status_code
    )


@app.exception_handler(RequestValidationError)
async def malformed(_request: Any, _problem: RequestValidationError) -> JSONResponse:
    """A body that the contract does not allow."""
    return JSONResponse({"error": "bad_request"}, 400)
