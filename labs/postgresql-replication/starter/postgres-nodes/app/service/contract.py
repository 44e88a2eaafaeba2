"""What a request must look like. Whatever does not is a 400."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

LARGEST_ID = 2**63 - 1

Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class Order(BaseModel):
    """Body of a POST."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)
    client_ref: Text
    sku: Text
    qty: Annotated[int, Field(ge=1, le=2**31 - 1)]


def checked_id(text: str) -> int:
    """A decimal number from 1 to 9223372036854775807 without leading zeros."""
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text) or int(text) > LARGEST_ID:
        raise HTTPException(400)
    return int(text)


def checked_token(text: str | None) -> str | None:
    """A log position as PostgreSQL prints it, such as 0/3000148; None where the header was not sent."""
    if text is not None and not re.fullmatch(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}", text):
        raise HTTPException(400)
    return text
