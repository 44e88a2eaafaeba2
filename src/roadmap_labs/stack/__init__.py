"""One running copy of a lab: its networks, services, roles, and its end. Knows nothing of tasks, checks or pytest."""
