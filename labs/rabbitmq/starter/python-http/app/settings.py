"""What the environment says about this service, with the defaults of the contract."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """All times are in seconds, but for the one that is called otherwise."""

    role: str
    amqp_url: str
    database_url: str
    gateway_url: str
    confirm_timeout: float
    prefetch: int
    max_attempts: int
    retry_delay_ms: int
    gateway_timeout: float
    shutdown_grace: float


def from_environment() -> Settings:
    """Reads the variables that the README lists."""
    return Settings(
        role=os.environ.get("ROLE", "api"),
        amqp_url=os.environ["AMQP_URL"],
        database_url=os.environ["DATABASE_URL"],
        gateway_url=os.environ["GATEWAY_URL"].rstrip("/"),
        confirm_timeout=float(os.environ.get("CONFIRM_TIMEOUT_MS", "2000")) / 1000,
        prefetch=int(os.environ.get("PREFETCH", "4")),
        max_attempts=int(os.environ.get("MAX_ATTEMPTS", "5")),
        retry_delay_ms=int(os.environ.get("RETRY_DELAY_MS", "2000")),
        gateway_timeout=float(os.environ.get("GATEWAY_TIMEOUT_MS", "5000")) / 1000,
        shutdown_grace=float(os.environ.get("SHUTDOWN_GRACE_MS", "20000")) / 1000,
    )


settings = from_environment()
