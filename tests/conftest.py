"""What all our tests share: property tests that a loaded machine does not fail."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("ours", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")
