"""Ends the work for a GET whose client has gone away: nobody waits for its answer.

It does so as asyncio does, by an `asyncio.CancelledError` at the place where the work waits just now.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class EndsWithItsClient:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return

        async def nothing_more() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        work = asyncio.ensure_future(self.app(scope, nothing_more, send))
        client = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({work, client}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            client.cancel()
            if not work.done():
                work.cancel()
            with suppress(asyncio.CancelledError):
                await work


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
