"""The other side of the `start` bench: the same containers by bare calls of the engine's library, side by side.

    python bench/bare_start.py postgres=IMAGE redis=IMAGE catalog-1=IMAGE FOLDER

Same images, volumes, ports, mounts and limits on memory; no labels, no profile, no workspace, no checks of anything.
Ready means the same as for `start`: a login to each server, then a 200 of the service. Prints {"ready_ms": …} counted
from the start of this process.
"""

from __future__ import annotations

import json
import secrets
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BEGAN = time.monotonic() - time.process_time()

import docker  # noqa: E402 (the clock runs first)

PORTS = {"postgres": 5432, "redis": 6379, "catalog-1": 8000}
DATA = {"postgres": "/var/lib/postgresql/data", "redis": "/var/lib/redis"}
ENVIRONMENT = {
    "postgres": {"LAB_USER": "catalog", "LAB_PASSWORD": "catalog"},
    "redis": {},
    "catalog-1": {
        "DATABASE_URL": "postgresql://catalog:catalog@postgres:5432/shop",
        "REDIS_URL": "redis://redis:6379/0",
        "PORT": "8000",
    },
}


def main() -> None:
    *pairs, folder = sys.argv[1:]
    images = dict(pair.split("=") for pair in pairs)
    tag = secrets.token_hex(4)
    client = docker.APIClient()
    network = client.create_network(f"bare-{tag}", driver="bridge")["Id"]
    try:
        with ThreadPoolExecutor(4) as pool:
            run = {name: pool.submit(raise_one, name, images[name], network, tag, folder) for name in DATA}
            for name, future in run.items():
                wait(name, future.result())
        wait("catalog-1", raise_one("catalog-1", images["catalog-1"], network, tag, folder))
        print(json.dumps({"ready_ms": (time.monotonic() - BEGAN) * 1000}))
    finally:
        for name in PORTS:
            client.remove_container(f"bare-{tag}-{name}", force=True, v=True)
        client.remove_network(network)
        for name in DATA:
            client.remove_volume(f"bare-{tag}-{name}", force=True)


def raise_one(name: str, image: str, network: str, tag: str, folder: str) -> int:
    """Create and start one container; the port that it is published on."""
    client = docker.APIClient()
    port = PORTS[name]
    binds = {folder: {"bind": "/app", "mode": "ro"}}
    if name in DATA:
        client.create_volume(f"bare-{tag}-{name}")
        binds = {f"bare-{tag}-{name}": {"bind": DATA[name], "mode": "rw"}}
    host = client.create_host_config(
        binds=binds, port_bindings={port: ("127.0.0.1", None)}, mem_limit="384m", network_mode=network
    )
    endpoint = client.create_endpoint_config(aliases=[name.removesuffix("-1")])
    command = ["python3", "-m", "app", "--live"] if name == "catalog-1" else None
    made = client.create_container(
        image,
        command,
        name=f"bare-{tag}-{name}",
        environment=ENVIRONMENT[name],
        host_config=host,
        ports=[port],
        networking_config=client.create_networking_config({network: endpoint}),
        working_dir="/app" if name == "catalog-1" else None,
    )
    client.start(made["Id"])
    published = client.inspect_container(made["Id"])["NetworkSettings"]["Ports"][f"{port}/tcp"]
    return int(published[0]["HostPort"])


def wait(name: str, port: int) -> None:
    while not answers(name, port):
        time.sleep(0.02)  # between two attempts


def answers(name: str, port: int) -> bool:
    try:
        if name == "postgres":
            import pg8000.native

            pg8000.native.Connection(
                "catalog", host="127.0.0.1", port=port, password="catalog", database="shop", timeout=2
            ).close()
            return True
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PING\r\n" if name == "redis" else b"GET /readyz HTTP/1.0\r\n\r\n")
            return connection.recv(64).startswith((b"+PONG", b"HTTP/1.1 200"))
    except Exception:  # noqa: BLE001 (whatever goes wrong, it is not ready yet)
        return False


if __name__ == "__main__":
    Path(sys.argv[-1]).resolve(strict=True)
    main()
