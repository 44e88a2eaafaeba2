"""Who is the primary, who follows, how far behind. Knows nothing of orders and of HTTP."""

from __future__ import annotations

from typing import Any

from service.settings import settings


def view() -> dict[str, Any]:
    """The answer of GET /replication."""
    # TODO T2: ask the hosts, each time or again and again; a host may be gone, or hang.
    return {"primary": settings.hosts[0][0], "timeline": 1, "replicas": []}
