"""The tax gateway. Knows nothing of queues and tables."""

from __future__ import annotations

import httpx
from app.contract import Order
from app.settings import settings


class Refused(Exception):
    """The gateway will never sign this order."""


class NotNow(Exception):
    """Whatever the reason: the next attempt may work."""


client = httpx.AsyncClient(timeout=settings.gateway_timeout, trust_env=False)


async def sign(order: Order) -> str:
    """The signature of an order; the same one for every attempt. Raises `Refused` or `NotNow`."""
    try:
        reply = await client.post(
            f"{settings.gateway_url}/sign",
            json={"order_id": order.order_id, "amount_cents": order.amount_cents},
            headers={"Idempotency-Key": order.order_id},
        )
        if reply.status_code == 422:
            raise Refused(f"the gateway refused the order: {reply.text[:200]}")
        if reply.status_code != 200:
            raise NotNow(f"the gateway answered {reply.status_code}")
        signature = reply.json()["signature"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as problem:
        raise NotNow(f"the gateway gave no proper answer: {problem!r}") from problem
    if not isinstance(signature, str):
        raise NotNow("the gateway gave no signature")
    return signature
