"""A commit's body says what the new image is to be like, where it differs from the container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.raw_http import ask

OWN: dict[str, Any] = {"Env": ["A=1", "B=2"], "Labels": {"l": "own", "k": "own"}, "User": "7", "WorkingDir": "/w"}


@pytest.fixture
def box(engine: EngineProcess) -> Iterator[str]:
    engine.create("box", "own", "command", image="busybox", Entrypoint=["/entry"], **OWN)
    yield "box"
    engine.json("DELETE", "/containers/box?force=1", expect=204)


def committed(engine: EngineProcess, body: Any, changes: str = "") -> dict[str, Any]:
    made = ask(engine, "POST", f"/commit?container=box{changes}", body)
    assert made.status == 201, made
    image = made.json["Id"]
    config: dict[str, Any] = engine.json("GET", f"/images/{image}/json")["Config"]
    engine.json("DELETE", f"/images/{image}")
    return config


@pytest.mark.parametrize("body", [{}, None, b""])
def test_a_commit_that_says_nothing_takes_the_container_s_own(engine: EngineProcess, box: str, body: Any) -> None:
    assert box
    config = committed(engine, body)
    assert config["Entrypoint"] == ["/entry"]
    assert config["Cmd"] == ["own", "command"]
    assert (config["User"], config["WorkingDir"]) == ("7", "/w")


def test_what_a_commit_says_goes_before_the_container_s_own(engine: EngineProcess, box: str) -> None:
    assert box
    asked = {"Cmd": ["other"], "Env": ["B=3", "C=4"], "Labels": {"l": "new"}, "User": "8"}
    config = committed(engine, asked, "&changes=ENV%20C=5")
    assert config["Entrypoint"] == ["/entry"]
    assert config["Cmd"] == ["other"]
    assert {"A=1", "B=3", "C=5"} <= set(config["Env"])
    assert not {"B=2", "C=4"} & set(config["Env"])
    assert config["Labels"] == {"l": "new", "k": "own"}
    assert (config["User"], config["WorkingDir"]) == ("8", "/w")


def test_nobody_gives_an_image_a_digest_for_a_name(engine: EngineProcess, box: str) -> None:
    """The digest would be that of another image, or of none."""
    assert box
    name = f"box@sha256:{64 * 'a'}"
    for path in (f"/commit?container=box&repo={name}", f"/images/create?fromSrc=-&repo={name}"):
        answer = ask(engine, "POST", path)
        assert (answer.status, answer.message) == (400, "cannot import digest reference")


def test_a_body_that_is_no_configuration_is_refused(engine: EngineProcess, box: str) -> None:
    assert box
    answer = ask(engine, "POST", "/commit?container=box", {"Cmd": 5})
    assert answer.status == 400
    assert answer.message.startswith("invalid JSON: ")


def test_a_tag_counts_more_than_one_in_the_repository(engine: EngineProcess, box: str) -> None:
    assert box
    engine.json("POST", "/commit?container=box&repo=boxed:1&tag=2", expect=201)
    engine.json("POST", "/images/boxed:2/tag?repo=boxed:2&tag=3", expect=201)
    assert engine.json("GET", "/images/boxed:2/json")["RepoTags"] == ["boxed:2", "boxed:3"]
    answer = ask(engine, "POST", "/images/boxed:2/tag?repo=boxed&tag=4%20")
    assert (answer.status, answer.message) == (400, "invalid tag format: '4 '")
    for number in (2, 3):
        engine.json("DELETE", f"/images/boxed:{number}")
