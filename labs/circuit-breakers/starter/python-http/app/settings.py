"""What the environment says about this service, with the defaults of the contract."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """All times are in seconds."""

    fares_url: str
    reviews_url: str
    call_timeout: float
    breaker_window: int
    breaker_min_calls: int
    breaker_failure_ratio: float
    breaker_open: float
    breaker_half_open_probes: int
    bulkhead_fares: int
    bulkhead_reviews: int
    retry_max: int
    retry_base: float
    retry_budget_ratio: float
    retry_budget_min: int
    stale_max_age: float


def from_environment() -> Settings:
    """Reads the variables that the README lists."""
    get = os.environ.get
    return Settings(
        fares_url=os.environ["FARES_URL"].rstrip("/"),
        reviews_url=os.environ["REVIEWS_URL"].rstrip("/"),
        call_timeout=float(get("CALL_TIMEOUT_MS", "800")) / 1000,
        breaker_window=int(get("BREAKER_WINDOW", "20")),
        breaker_min_calls=int(get("BREAKER_MIN_CALLS", "10")),
        breaker_failure_ratio=float(get("BREAKER_FAILURE_RATIO", "0.5")),
        breaker_open=float(get("BREAKER_OPEN_MS", "3000")) / 1000,
        breaker_half_open_probes=int(get("BREAKER_HALF_OPEN_PROBES", "1")),
        bulkhead_fares=int(get("BULKHEAD_FARES", "8")),
        bulkhead_reviews=int(get("BULKHEAD_REVIEWS", "4")),
        retry_max=int(get("RETRY_MAX", "2")),
        retry_base=float(get("RETRY_BASE_MS", "200")) / 1000,
        retry_budget_ratio=float(get("RETRY_BUDGET_RATIO", "0.2")),
        retry_budget_min=int(get("RETRY_BUDGET_MIN", "3")),
        stale_max_age=float(get("STALE_MAX_AGE_S", "300")),
    )


settings = from_environment()
