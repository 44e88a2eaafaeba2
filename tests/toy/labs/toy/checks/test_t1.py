"""T1 Answer: one request, one answer."""

from __future__ import annotations

from roadmap_labs.harness import Lab, fail


def test_t1_answers(lab: Lab) -> None:
    """Answers a request"""
    reply = lab.run("echo").get("/hello")
    if reply.status != 200:
        fail("no-answer", f"{reply.asked}.", expected="200", observed=str(reply.status), look="", hint=1)
