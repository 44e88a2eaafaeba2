"""The words a check author uses inside the pytest process. Knows nothing of engines, containers or any one lab."""

from __future__ import annotations

from roadmap_labs.harness.crowd import held, together
from roadmap_labs.harness.http import Reply
from roadmap_labs.harness.lab import Lab, Role
from roadmap_labs.harness.marks import needs
from roadmap_labs.harness.strictjson import difference
from roadmap_labs.harness.verdicts import CheckFailed, LabFault, LearnerBroke, fail, quote
from roadmap_labs.harness.waiting import always, at_most, eventually, never

__all__ = [
    "CheckFailed",
    "Lab",
    "LabFault",
    "LearnerBroke",
    "Reply",
    "Role",
    "always",
    "at_most",
    "difference",
    "eventually",
    "fail",
    "held",
    "needs",
    "never",
    "quote",
    "together",
]
