"""Grading on many hosts: a queue tells workers what there is to do, and a coordinator is where they get and bring it.

Needs what `pip install 'roadmap-labs[worker]'` brings. The queue carries names alone; the ledger stays the only truth.
"""
