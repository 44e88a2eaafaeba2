"""All rules over one lab's files; every problem at once, by file and line. Needs no engine and runs nothing."""

from __future__ import annotations

from roadmap_labs.authoring import rules_files, rules_manifest, rules_mutants, rules_secrets
from roadmap_labs.authoring.draft import read_draft
from roadmap_labs.authoring.flaws import Flaw

RULES = (*rules_manifest.RULES, *rules_files.RULES, *rules_secrets.RULES, *rules_mutants.RULES)


def examine(slug: str) -> tuple[Flaw, ...]:
    """Everything that is wrong with a lab."""
    draft = read_draft(slug)
    found = [flaw for rule in RULES for flaw in rule(draft)]
    return tuple(sorted({*found, *draft.flaws}))
