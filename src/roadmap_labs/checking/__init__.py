"""One run of checks: starts the pytest process, serves its requests, turns its stream into a report."""
