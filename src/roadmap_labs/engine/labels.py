"""The labels that every object of ours carries from the call that creates it. Knows no engine."""

from __future__ import annotations

PREFIX = "io.roadmap-labs."

STACK = PREFIX + "stack"  # id of the running copy; every object has it
RUN = PREFIX + "run"  # id of the command that created the object
KIND = PREFIX + "kind"  # "playground", "check", "image", "probe"
# "service", "role", "relay", "loader", "network", "data", "source", "whole", "stopping"
PART = PREFIX + "part"
LAB = PREFIX + "lab"
LAB_VERSION = PREFIX + "lab-version"
SERVICE = PREFIX + "service"  # service or role name, "catalog-1" for a replica
WORKSPACE = PREFIX + "workspace"  # hash of the folder's path
FOLDER = PREFIX + "folder"  # the folder itself, for people
OWNER = PREFIX + "owner"  # the process that made it, see owner.py
EXPIRES = PREFIX + "expires"  # Unix seconds, after which nobody needs it
RECIPE = PREFIX + "recipe"  # images: content hash of the recipe
