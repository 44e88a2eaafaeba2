"""Runs the proxy and its admin side until SIGTERM: `python3 -m fault`."""

from __future__ import annotations

import asyncio
import os
import signal

from fault.admin import Admin
from fault.proxy import Proxy


async def run() -> None:
    """Both sides in one event loop, so that what the admin side has answered is in force."""
    told = os.environ
    proxy = Proxy(int(told["FAULT_PORT"]), told["FAULT_TARGET"], int(told.get("FAULT_BUFFER", "65536")))
    admin = Admin(proxy, told.pop("FAULT_PASSWORD", ""))
    proxy.listen()
    serving = asyncio.create_task(admin.serve(int(told["FAULT_ADMIN_PORT"])))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        await proxy.reset()


asyncio.run(run())
