"""Base images and their platforms: one that does not fit is no base, whatever it is called."""

from __future__ import annotations

import json

import pytest
from tests.building import build
from tests.engine_process import EngineProcess
from tests.registry_process import registry_process

pytestmark = pytest.mark.usefixtures("busybox")

NOBODY = "127.0.0.1:1"  # tcpmux, which nobody serves


def architecture(engine: EngineProcess, image: str) -> str:
    found: str = engine.json("GET", f"/images/{image}/json")["Architecture"]
    return found


def other(engine: EngineProcess) -> str:
    """An architecture that this machine has not."""
    own = json.loads(engine.request("GET", "/version")[1])["Arch"]
    return "s390x" if own != "s390x" else "amd64"


def test_nothing_at_all_becomes_what_was_asked_for(engine: EngineProcess) -> None:
    name = other(engine)
    one = build(engine, {"Dockerfile": f"FROM --platform=linux/{name} scratch\nCOPY f /\n", "f": ""})
    assert architecture(engine, one.image_id) == name
    two = build(engine, {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": ""}, platform=f"linux/{name}")
    assert architecture(engine, two.image_id) == name


def test_an_image_of_another_platform_is_refused_when_no_registry_has_a_fitting_one(engine: EngineProcess) -> None:
    name, image = other(engine), f"{NOBODY}/own"
    made = build(engine, {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": ""}, t=image)
    own = architecture(engine, made.image_id)
    sentence = f"image with reference {image} was found but does not match the specified platform: wanted linux/{name}"
    for told in (
        build(engine, {"Dockerfile": f"FROM --platform=linux/{name} {image}\nLABEL a=b\n"}),
        build(engine, {"Dockerfile": f"FROM {image}\nLABEL a=b\n"}, platform=f"linux/{name}"),
    ):
        assert told.error["message"].startswith(f"{sentence}, actual: linux/{own}")
        assert "another cannot be pulled: " in told.error["message"]
        assert told.error["place"] == "Dockerfile:1"
        assert "leave --platform out" in told.error["remedy"]
    assert not build(engine, {"Dockerfile": f"FROM --platform=linux/{own} {image}\nLABEL a=b\n"}).error
    assert not build(engine, {"Dockerfile": f"FROM --platform=$BUILDPLATFORM {image}\nLABEL a=b\n"}).error


def test_an_image_that_cannot_be_had_is_named(engine: EngineProcess) -> None:
    for text in (f"FROM {NOBODY}/none\n", f"FROM busybox\nCOPY --from={NOBODY}/none /f /\n"):
        told = build(engine, {"Dockerfile": text})
        assert f"{NOBODY}/none cannot be pulled: cannot reach the registry" in told.error["message"]
        assert told.error["remedy"]


def test_the_fitting_image_of_a_registry_takes_the_place_of_one_that_does_not_fit(
    engine: EngineProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = other(engine)
    with registry_process(tmp_path_factory.mktemp("registry")) as domain:
        image = f"{domain}/both"
        build(engine, {"Dockerfile": f"FROM --platform=linux/{name} scratch\nCOPY f /far\n", "f": ""}, t=image)
        assert b"error" not in engine.request("POST", f"/images/{image}/push?tag=latest")[1]
        build(engine, {"Dockerfile": "FROM scratch\nCOPY f /near\n", "f": ""}, t=image)
        assert architecture(engine, image) != name
        told = build(engine, {"Dockerfile": f"FROM --platform=linux/{name} {image}\nLABEL a=b\n"})
        assert architecture(engine, told.image_id) == name
        assert {"status": f"Status: Downloaded newer image for {image}:latest"} in told.lines


@pytest.mark.parametrize(
    ("platform", "word"),
    [
        ("$NOBODY", "empty platform value from expression $NOBODY"),
        ("nonsense", "failed to parse platform: 'nonsense' is no platform"),
        ("linux/x/y/z", "failed to parse platform: 'linux/x/y/z' is no platform"),
        ("windows/amd64", "failed to parse platform: operating system 'windows' is not supported"),
    ],
)
def test_a_word_that_is_no_platform_is_refused_with_its_line(engine: EngineProcess, platform: str, word: str) -> None:
    told = build(engine, {"Dockerfile": f"\nFROM --platform={platform} busybox\nLABEL a=b\n"})
    assert told.status == 400
    assert told.error["message"].startswith(f"Dockerfile:2: {word}")
    assert told.error["remedy"]
