"""A TCP proxy that misbehaves on demand. Knows nothing of the protocols that pass through it."""
