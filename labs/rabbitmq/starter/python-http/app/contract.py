"""What an order looks like, in a request and in a message. Knows nothing of HTTP and nothing of the broker."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError


class Malformed(Exception):
    """These bytes are no order, and never will be."""


class Order(BaseModel):
    """One order, as it is posted and as it lies in the queue."""

    model_config = ConfigDict(strict=True, frozen=True)

    order_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    customer: Annotated[str, StringConstraints(min_length=1)]
    amount_cents: Annotated[int, Field(ge=1, le=2_147_483_647)]


def read_order(body: bytes) -> Order:
    """The order in these bytes; raises `Malformed`."""
    try:
        return Order.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Malformed(f"{where}: {first['msg']}") from None
