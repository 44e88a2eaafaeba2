"""What a request must look like. Whatever does not is a 400."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

CURRENCIES = ("EUR", "USD", "GBP")
LARGEST_ID = 2**63 - 1

Amount = Annotated[int, Field(ge=0, le=2**31 - 1)]
Text = Annotated[str, Field(pattern=r"^[^\x00]+$")]


class Change(BaseModel):
    """Body of a PUT: at least one of these."""

    model_config = ConfigDict(strict=True, extra="ignore")
    price_cents: Amount = Field(default=0)
    name: Text = Field(default="")
    stock: Amount = Field(default=0)


class NewProduct(BaseModel):
    """Body of a POST: all of these."""

    model_config = ConfigDict(strict=True, extra="ignore")
    id: Annotated[int, Field(ge=1, le=LARGEST_ID)]
    sku: Text
    name: Text
    price_cents: Amount
    stock: Amount


def checked_id(text: str) -> int:
    """A decimal number from 1 to 9223372036854775807 without leading zeros."""
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text) or int(text) > LARGEST_ID:
        raise HTTPException(400)
    return int(text)


def checked_currency(text: str) -> str:
    """One of the three that the shop knows."""
    if text not in CURRENCIES:
        raise HTTPException(400)
    return text
