"""Which small subnet a network gets, and which address each part of a stack has in it. Pure arithmetic."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator

from roadmap_labs.errors import WrongUse

VARIABLE = "ROADMAP_LABS_SUBNETS"
DEFAULT_POOL = "10.213.0.0/16"
PREFIX_LENGTH = 28
MOST_ADDRESSES = 13  # of sixteen: network, gateway and broadcast are not for parts


def pool() -> str:
    """The range that all networks of ours come from."""
    return os.environ.get(VARIABLE) or DEFAULT_POOL


def candidates(taken: Iterable[str], *, start: int, of: str | None = None) -> Iterator[str]:
    """Free subnets of the pool, from a (random) start on, once round; the caller goes on after a `Conflict`.

    `taken` are ranges that are known to be in use; what else is in use, the engine's refusal tells.
    """
    whole = _parse(pool() if of is None else of)
    busy = [network for network in map(ipaddress.ip_network, taken) if network.version == 4]
    size = 2 ** (32 - PREFIX_LENGTH)
    count = whole.num_addresses // size
    for step in range(count):
        first = whole.network_address + ((start + step) % count) * size
        candidate = ipaddress.ip_network(f"{first}/{PREFIX_LENGTH}")
        if not any(candidate.overlaps(network) for network in busy):
            yield str(candidate)


def address(subnet: str, index: int) -> str:
    """Address number `index` of a subnet; 0 and 1 (the gateway) are nobody's, so parts begin at 2."""
    network = ipaddress.ip_network(subnet)
    if not 2 <= index < network.num_addresses - 1:
        raise ValueError(f"{subnet} has no address number {index} for a part of a stack")
    return str(network[index])


def _parse(text: str) -> ipaddress.IPv4Network:
    try:
        whole = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise WrongUse(
            f"{VARIABLE} is {text!r}: {error}", cure=f"Set it to a range like {DEFAULT_POOL}."
        ) from error
    if whole.prefixlen > PREFIX_LENGTH:
        raise WrongUse(
            f"{VARIABLE} is {text!r}, too small for one stack.",
            cure=f"Set it to a range like {DEFAULT_POOL}.",
        )
    return whole
