"""An HTTP upstream that does what it is told: answers, waits at gates, fails in every way, and remembers all of it."""
