"""Starts the service: `python3 -m service`; with `--live` it starts again whenever a file is saved."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import uvicorn


def stopped(_number: int, _frame: FrameType | None) -> None:
    """The server has finished the requests in progress and hands the signal back: this was a clean stop."""
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stopped)
    live = "--live" in sys.argv[1:]
    grace = int(os.environ.get("SHUTDOWN_GRACE_MS", "20000")) // 1000
    uvicorn.run(
        "service.main:app",
        host="0.0.0.0",
        port=int(os.environ.get("PORT", "8000")),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1 if live else max(1, grace - 1),
        reload=live,
        reload_delay=0.25,
    )
