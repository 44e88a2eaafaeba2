"""The main job as a learner does it: start, look, edit, check, stop, go on, put back, clean."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import jsonschema
import pytest

import roadmap_labs
from roadmap_labs.engine import labels
from tests.face.conftest import Desk, names, until

pytestmark = pytest.mark.engine

LAB = "redis-caching"
LANGUAGES = Path(__file__).parent.parent / "languages"
OTHERS = (("redis-caching", "nodejs"), ("circuit-breakers", "nodejs"), ("rabbitmq", "go"))
SCHEMA = json.loads((Path(roadmap_labs.__file__).parent / "schemas" / "result-v1.schema.json").read_text())


def _get(url: str) -> tuple[int, dict[str, object]]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status, json.load(answer)


def _ports(desk: Desk, folder: str) -> dict[str, int]:
    parts = desk.run("-C", folder, "status", "--json").document["parts"]
    return {part["name"]: part["port"] for part in parts}


def test_from_start_to_clean(desk: Desk) -> None:
    started = desk.run("start", LAB, "shop")
    assert started.code == 0, started.err
    ports = _ports(desk, "shop")
    assert set(ports) == {"postgres", "redis", "catalog-1"}
    assert all(str(port) in started.out for port in ports.values())
    assert "shop/README.md" in started.out
    status, card = _get(f"http://127.0.0.1:{ports['catalog-1']}/products/7")
    assert (status, card["id"]) == (200, 7)

    again = desk.run("start", LAB, "shop")
    assert again.code == 0
    assert "already running, nothing was changed" in again.out
    assert _ports(desk, "shop") == ports

    logged = desk.run("-C", "shop", "logs", "postgres")
    assert "ready to accept connections" in logged.out
    asked = desk.run("-C", "shop", "shell", "redis", "--", "redis-cli", "ping")
    assert asked.out.strip() == "PONG"

    checked = desk.run("check", "shop", "--task", "t1")
    assert checked.code == 1
    assert "hint t1" in checked.out
    assert "expected" in checked.out
    assert _ports(desk, "shop") == ports, "a check never touches the playground"

    stopped = desk.run("-C", "shop", "stop")
    assert "Stopped 3 containers" in stopped.out
    assert {item.kind for item in desk.mine()} == {"volume"}
    assert "Nothing was running" in desk.run("-C", "shop", "stop").out

    desk.run("start", LAB, "shop")
    assert _ports(desk, "shop") == ports, "the ports stay the same from one start to the next"

    cleaned = desk.run("-C", "shop", "clean", "--yes")
    assert cleaned.code == 0
    assert names(desk.mine()) == []
    assert (desk.folder / "shop" / "app" / "main.py").is_file()
    assert "Nothing of ours" in desk.run("-C", "shop", "clean", "--yes").out


def test_a_saved_file_is_live_and_can_be_put_back(desk: Desk) -> None:
    assert desk.run("start", LAB, "shop").code == 0
    url = f"http://127.0.0.1:{_ports(desk, 'shop')['catalog-1']}/healthz"
    main = desk.folder / "shop" / "app" / "main.py"
    given = main.read_text()
    assert "/healthz" in given
    main.write_text(
        given + '\n\n@app.get("/mine")\ndef mine() -> dict[str, str]:\n    return {"mine": "yes"}\n'
    )

    def live() -> bool:
        try:
            return _get(url.replace("healthz", "mine"))[1] == {"mine": "yes"}
        except OSError:
            return False

    until(live, 20, "the saved file is served")
    put_back = desk.run("-C", "shop", "reset", "--file", "app/main.py")
    assert put_back.code == 0
    assert main.read_text() == given


def test_data_is_kept_by_stop_and_put_back_by_reset(desk: Desk) -> None:
    desk.run("start", LAB, "shop")
    stock = (
        "-C",
        "shop",
        "shell",
        "postgres",
        "--",
        "psql",
        "-h",
        "/run/postgresql",
        "-U",
        "postgres",
        "-d",
        "shop",
        "-Atc",
    )
    desk.run(*stock, "update shop.product set stock = 4711 where id = 7")
    desk.run("-C", "shop", "stop")
    desk.run("start", LAB, "shop")
    assert desk.run(*stock, "select stock from shop.product where id = 7").out.strip() == "4711"
    assert desk.run("-C", "shop", "reset", "--yes").code == 0
    assert desk.run(*stock, "select stock from shop.product where id = 7").out.strip() != "4711"


def test_the_solution_passes_every_check_and_the_document_keeps_its_schema(desk: Desk) -> None:
    judged = desk.run("check", "--lab", LAB, "--solution", "--json", "--seed", "7")
    assert judged.code == 0, judged.out + judged.err
    jsonschema.validate(judged.document, SCHEMA)
    assert judged.document["verdict"] == "pass"
    assert judged.document["seed"] == 7
    assert judged.document["score"] == judged.document["max_score"]
    assert {check["outcome"] for check in judged.document["checks"]} == {"pass"}
    assert names(desk.mine()) == []


def test_the_starter_fails_exactly_where_the_lab_says(desk: Desk) -> None:
    from roadmap_labs.content import shelf

    desk.run("start", LAB, "shop")
    judged = desk.run("check", "shop", "--json")
    assert judged.code == 1
    assert judged.document["verdict"] == "fail"
    passed = {check["id"] for check in judged.document["checks"] if check["outcome"] == "pass"}
    assert passed == set(shelf.load_lab(LAB).manifest.starter_passes)
    assert {check["outcome"] for check in judged.document["checks"]} <= {"pass", "fail", "blocked"}


def test_two_folders_and_their_checks_side_by_side(desk: Desk) -> None:
    first, second = desk.begin("start", LAB, "one"), desk.begin("start", LAB, "two")
    assert (first.wait(120), second.wait(120)) == (0, 0)
    assert not set(_ports(desk, "one").values()) & set(_ports(desk, "two").values())
    one = desk.begin("check", "one", "--only", "t1_same_answer", "--json")
    two = desk.begin("check", "two", "--only", "t1_same_answer", "--json")
    for process in (one, two):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert json.loads(out)["verdict"] == "pass"


def test_services_in_other_languages_are_there_to_be_judged() -> None:
    assert {folder.name for folder in LANGUAGES.iterdir()} == {f"{lab}-{name}" for lab, name in OTHERS}


@pytest.mark.parametrize(("lab", "language"), OTHERS)
def test_a_service_in_another_language_with_its_own_dockerfile(desk: Desk, lab: str, language: str) -> None:
    judged = desk.run("check", LANGUAGES / f"{lab}-{language}", "--lab", lab, "--json", seconds=600)
    assert judged.code == 0, judged.out
    assert judged.document["verdict"] == "pass"


def test_hints_go_from_one_to_three_and_are_remembered(desk: Desk) -> None:
    desk.run("start", LAB, "shop")
    told = [desk.run("-C", "shop", "hint", "t1").out for _ in range(4)]
    assert ["hint 1 of 3" in told[0], "hint 2 of 3" in told[1], "hint 3 of 3" in told[2]] == [True] * 3
    assert told[3].splitlines()[0] == told[2].splitlines()[0]


def test_a_failure_can_be_looked_at_until_it_is_cleaned(desk: Desk) -> None:
    desk.run("start", LAB, "shop")
    checked = desk.run("check", "shop", "--only", "t1_hit_skips_database", "--keep")
    assert checked.code == 1
    stack = checked.err.split("clean --stack ")[1].split()[0]
    kept = {
        item.name for item in desk.mine() if item.labels[labels.STACK] == stack and item.kind == "container"
    }
    assert {name.rsplit(f"{stack}-")[1] for name in kept} == {"relay", "postgres", "redis", "catalog-1"}
    assert all(name in checked.err for name in kept if not name.endswith("relay"))
    address = checked.err.split("curl -i ")[1].split()[0]
    assert _get(address)[0] == 200
    desk.run("-C", "shop", "status")  # sweeps what is dead
    assert {item.status for item in desk.mine() if item.name in kept} == {"running"}
    assert desk.run("clean", "--stack", stack).code == 0
    assert stack not in {item.labels[labels.STACK] for item in desk.mine()}
    assert desk.run("-C", "shop", "clean").code == 0


def test_nothing_is_kept_of_what_passes(desk: Desk) -> None:
    desk.run("start", LAB, "shop")
    checked = desk.run("check", "shop", "--only", "t1_same_answer", "--keep")
    assert (checked.code, "nothing was kept" in checked.err) == (0, True)
    desk.run("-C", "shop", "clean")
    assert desk.mine() == ()
