"""Starts the mirror."""

from app.mirror import serve

serve()
