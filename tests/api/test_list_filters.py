"""Which containers and images a list shows, where Docker's engine answers otherwise than one would guess."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from tests.building import need_busybox
from tests.engine_process import EngineProcess
from tests.raw_http import ask

PRUNED_BY_AGE = ("images", "containers", "networks")


def listed(engine: EngineProcess, query: str = "all=1", **filters: Any) -> list[str]:
    """The names of the containers that a list shows, in order of their names."""
    text = urllib.parse.quote(json.dumps({name.replace("_", "-"): values for name, values in filters.items()}))
    found = engine.json("GET", f"/containers/json?{query}&filters={text}")
    return sorted(container["Names"][0].strip("/") for container in found)


@pytest.fixture(scope="module")
def stock(engine: EngineProcess) -> Iterator[EngineProcess]:
    """Containers of busybox under two names, of an image that was made of it, and of one made of that."""
    need_busybox()
    engine.create("plain", "true", image="busybox")
    engine.json("POST", "/images/busybox/tag?repo=other&tag=1", expect=201)
    engine.create("other", "true", image="other:1")
    engine.json("POST", "/commit?container=plain&repo=child", expect=201)
    engine.create("child", "sh", "-c", "exit 3", image="child", Labels={"l": "1"})
    engine.json("POST", "/commit?container=child&repo=grandchild", expect=201)
    engine.create("grandchild", "true", image="grandchild", host={"Binds": ["/:/host:ro"]})
    engine.create("stranger", "true")
    engine.json("POST", "/containers/child/start", expect=204)
    assert engine.wait("child") == 3
    yield engine
    for name in ("plain", "other", "child", "grandchild", "stranger"):
        engine.json("DELETE", f"/containers/{name}", expect=204)
    for name in ("grandchild", "child", "other:1"):
        engine.json("DELETE", f"/images/{name}")


def test_an_ancestor_is_an_image_by_any_of_its_names_and_all_that_was_made_of_it(stock: EngineProcess) -> None:
    image_id = stock.json("GET", "/images/busybox/json")["Id"]
    family = ["child", "grandchild", "other", "plain"]
    for name in ("busybox", "busybox:latest", "other:1", image_id, image_id.removeprefix("sha256:")[:12]):
        assert listed(stock, ancestor=[name]) == family, name
    assert listed(stock, ancestor=["child"]) == ["child", "grandchild"]
    assert listed(stock, ancestor=["grandchild", "host"]) == ["grandchild", "stranger"]
    assert listed(stock, ancestor=["child"], status=["exited"]) == ["child"]


def test_an_ancestor_that_is_not_there_has_no_containers(stock: EngineProcess) -> None:
    for name in ("other", "nope", "NOPE", "", "::"):
        assert listed(stock, ancestor=[name]) == [], name
    names = {tag for image in stock.json("GET", "/images/json") for tag in image["RepoTags"]}
    assert names == {"busybox:latest", "child:latest", "grandchild:latest", "host:latest", "other:1"}


def test_a_container_s_image_is_shown_by_its_id_when_its_name_means_another(stock: EngineProcess) -> None:
    """As by Docker: the name would be that of something else, or of nothing."""
    image_id = stock.json("GET", "/images/busybox/json")["Id"]

    def shown() -> str:
        filters = urllib.parse.quote(json.dumps({"name": ["other"]}))
        (found,) = stock.json("GET", f"/containers/json?all=1&filters={filters}")
        assert found["ImageID"] == image_id
        name: str = found["Image"]
        return name

    assert shown() == "other:1"
    stock.json("POST", "/images/child/tag?repo=other&tag=1", expect=201)
    assert shown() == image_id
    stock.json("DELETE", "/images/other:1")
    assert shown() == image_id
    stock.json("POST", "/images/busybox/tag?repo=other&tag=1", expect=201)
    assert shown() == "other:1"


def test_a_limit_counts_what_the_filters_leave(stock: EngineProcess) -> None:
    assert listed(stock, "limit=1", ancestor=["child"]) == ["grandchild"]
    assert listed(stock, "limit=1", ancestor=["busybox"], health=["none"]) == ["grandchild"]
    assert listed(stock, "limit=2", health=["healthy"]) == []


def test_an_exit_code_is_looked_for_among_those_that_are_listed(stock: EngineProcess) -> None:
    assert listed(stock, exited=["3"]) == ["child"]
    assert listed(stock, exited=["+03"]) == ["child"]
    assert listed(stock, "all=0", exited=["3"]) == []
    assert listed(stock, "all=0", exited=["3"], status=["exited"]) == ["child"]


def test_an_empty_id_or_volume_is_nobody_s(stock: EngineProcess) -> None:
    """As of a variable that is not set, in what is handed to `rm`."""
    assert listed(stock, id=[""]) == []
    assert listed(stock, volume=[""]) == []
    assert listed(stock, volume=["/host"]) == ["grandchild"]


def test_a_filter_without_values_leaves_all(stock: EngineProcess) -> None:
    for name in ("is_task", "name", "label", "id", "network"):
        for text in ("[]", "{}", '{"x": false}'):
            filters: dict[str, Any] = {name: json.loads(text)}
            assert len(listed(stock, **filters)) == 5, filters


def test_a_prune_with_a_filter_without_values_is_one_without_it(stock: EngineProcess) -> None:
    for what, field in (("images", "ImagesDeleted"), ("networks", "NetworksDeleted")):
        for name in ("dangling", "until") if what == "images" else ("until",):
            filters = urllib.parse.quote(json.dumps({name: []}))
            assert not stock.json("POST", f"/{what}/prune?filters={filters}")[field]


def test_a_prune_with_filters_that_contradict_each_other_is_refused(stock: EngineProcess) -> None:
    stock.json("POST", "/images/busybox/tag?repo=spare", expect=201)
    for what, name, values, message in (
        ("images", "dangling", ["true", "false"], "invalid filter 'dangling=[true false]'"),
        ("images", "dangling", ["maybe"], "invalid filter 'dangling=[maybe]'"),
        *((what, "until", ["1h", "2h"], "more than one until filter specified") for what in PRUNED_BY_AGE),
    ):
        answer = ask(stock, "POST", f"/{what}/prune?filters={urllib.parse.quote(json.dumps({name: values}))}")
        assert (answer.status, answer.message) == (400, message)
    stock.json("DELETE", "/images/spare")


def test_values_that_cannot_be_are_refused(stock: EngineProcess) -> None:
    for path, filters, message in (
        ("/containers/json", {"is-task": ["x"]}, "invalid filter 'is-task=[x]'"),
        ("/containers/json", {"publish": ["80-"]}, "invalid port filter '80-'"),
        (
            "/networks",
            {"dangling": ["x"]},
            'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")',
        ),
        ("/images/json", {"reference": ["["]}, "syntax error in pattern"),
        ("/images/json", {"reference": ["app[a"]}, "syntax error in pattern"),
    ):
        answer = ask(stock, "GET", f"{path}?filters={urllib.parse.quote(json.dumps(filters))}")
        assert (answer.status, answer.message) == (400, message)
    assert listed(stock, is_task=["true"]) == listed(stock, is_task=["1"]) == []
    assert len(listed(stock, is_task=["0"])) == 5
