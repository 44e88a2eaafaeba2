"""What a plan tells people: the line with which a service is talked to."""

from __future__ import annotations

import dataclasses

from roadmap_labs.content import shelf
from roadmap_labs.stack.plan import plan_services


def test_a_lab_may_say_how_its_service_is_talked_to() -> None:
    lab = shelf.load_lab("redis-caching")
    use = lab.manifest.services["redis"]
    own = use.model_copy(update={"show": "ask {{ host }} on {{ port }}"})
    manifest = lab.manifest.model_copy(update={"services": {**lab.manifest.services, "redis": own}})
    images = dict.fromkeys(lab.services, "")
    said = {
        plan.name: plan.talk("127.0.0.1", 4711, {})
        for plan in plan_services(dataclasses.replace(lab, manifest=manifest), images, sealed=False)
    }
    before = {
        plan.name: plan.talk("127.0.0.1", 4711, {}) for plan in plan_services(lab, images, sealed=False)
    }
    assert said["redis"] == "ask 127.0.0.1 on 4711"
    assert said["postgres"] == before["postgres"] != ""
    assert before["redis"].startswith("redis-cli")
