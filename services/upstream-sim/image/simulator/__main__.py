"""Opens the two doors of the simulator and waits for the end. Knows nothing of what either says.

SIM_PORT, SIM_ADMIN_PORT   the data side, for programs that use the upstream, and the side that steers it
SIM_TOKEN                  bearer token of the admin side; without one it is open to everybody
SIM_ROUTES                 a JSON list of routes that are there from the start and after every reset
SIM_NAME                   what `{{name}}` and the echo say
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal

from simulator import routes
from simulator.admin_side import AdminSide
from simulator.data_side import DataSide
from simulator.gates import Gates
from simulator.ledger import Ledger


async def main() -> None:
    """Runs until SIGTERM."""
    environment = os.environ
    seed = json.loads(environment.get("SIM_ROUTES") or routes.ECHO)
    table = routes.Table(seed, environment.get("SIM_NAME", "upstream"))
    data = DataSide(int(environment.get("SIM_PORT", "9000")), table, Gates(), Ledger())
    admin = AdminSide(int(environment.get("SIM_ADMIN_PORT", "9001")), environment.get("SIM_TOKEN", ""), data)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await data.open()
    await admin.open()
    await over.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
