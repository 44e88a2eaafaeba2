"""What the environment says about this service, with the defaults of the contract."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """All times are in seconds."""

    database_url: str
    redis_url: str
    cache_prefix: str
    cache_ttl: float
    cache_ttl_jitter: float
    negative_ttl: float
    redis_timeout: float
    lock_ttl: float


def from_environment() -> Settings:
    """Reads the variables that the README lists."""
    return Settings(
        database_url=os.environ["DATABASE_URL"],
        redis_url=os.environ["REDIS_URL"],
        cache_prefix=os.environ.get("CACHE_PREFIX", "catalog:"),
        cache_ttl=float(os.environ.get("CACHE_TTL_SECONDS", "300")),
        cache_ttl_jitter=float(os.environ.get("CACHE_TTL_JITTER", "0.2")),
        negative_ttl=float(os.environ.get("NEGATIVE_TTL_SECONDS", "30")),
        redis_timeout=float(os.environ.get("REDIS_TIMEOUT_MS", "200")) / 1000,
        lock_ttl=float(os.environ.get("LOCK_TTL_MS", "10000")) / 1000,
    )


settings = from_environment()
