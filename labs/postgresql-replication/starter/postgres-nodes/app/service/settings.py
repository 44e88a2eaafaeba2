"""What the environment says about this service, with the defaults of the contract."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Times are in seconds."""

    hosts: tuple[tuple[str, int], ...]  # every database host: name and port
    database: str
    user: str
    password: str
    max_replica_lag: int  # bytes of log
    write_timeout: float


def from_environment() -> Settings:
    """Reads the variables that the README lists."""
    return Settings(
        hosts=tuple(_host(one) for one in os.environ.get("DB_HOSTS", "pg-a:5432,pg-b:5432").split(",")),
        database=os.environ.get("DB_NAME", "shop"),
        user=os.environ.get("DB_USER", "shop_app"),
        password=os.environ["DB_PASSWORD"],
        max_replica_lag=int(os.environ.get("MAX_REPLICA_LAG_BYTES", "1048576")),
        write_timeout=float(os.environ.get("WRITE_TIMEOUT_MS", "3000")) / 1000,
    )


def _host(text: str) -> tuple[str, int]:
    name, _, port = text.strip().partition(":")
    return name, int(port or 5432)


settings = from_environment()
