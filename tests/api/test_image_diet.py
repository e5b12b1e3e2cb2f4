"""What is beyond Docker's API about images: diet, squash, bootstrap, busybox, archives without what is there."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess, UnixConnection

from sampan.image.busybox import PLACES, is_static

BUSYBOX = next((path for path in PLACES if os.path.exists(path) and is_static(path)), "")
needs_busybox = pytest.mark.skipif(not BUSYBOX, reason="needs busybox-static")


def tar_of(**files: bytes) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def import_image(engine: EngineProcess, name: str, archive: bytes) -> str:
    return str(send(engine, f"/images/create?fromSrc=-&repo={name}&tag=latest", archive)[-1]["status"])


def send(engine: EngineProcess, path: str, content: bytes = b"") -> list[dict[str, Any]]:
    """The messages of a POST with a body of bytes."""
    connection = UnixConnection(engine.socket)
    try:
        connection.request("POST", path, content, {"Content-Type": "application/x-tar"})
        return [json.loads(line) for line in connection.getresponse().read().splitlines()]
    finally:
        connection.close()


@needs_busybox
def test_an_image_named_busybox_is_made_of_the_machine_s_when_it_is_asked_for(engine: EngineProcess) -> None:
    container = engine.create("b2", "sh", "-c", "busybox | head -n1 | cut -d' ' -f1; ls /usr", image="busybox")
    engine.json("POST", f"/containers/{container}/start", expect=204)
    assert engine.wait("b2") == 0
    assert engine.output("b2") == ["BusyBox", "bin", "sbin"]
    made = engine.json("GET", "/images/busybox/json")
    assert made["RepoTags"] == ["busybox:latest"]
    assert engine.json("GET", "/images/busybox:latest/json")["Id"] == made["Id"]
    assert engine.json("GET", "/images/busybox:musl/json", expect=404)["message"] == "No such image: busybox:musl"


def test_a_diet_says_what_a_layer_carries_for_nothing(engine: EngineProcess) -> None:
    image = import_image(
        engine, "fat", tar_of(var__lib__apt__lists__index=b"l" * 5000, app=b"a" * 300, usr__bin__tool=b"t" * 700)
    )
    found = engine.json("GET", "/images/fat/diet")
    assert (found["Id"], found["Size"], found["Seen"], found["Wasted"]) == (image, 6000, 6000, 5000)
    assert [one["Path"] for one in found["Waste"]] == ["/var/lib/apt/lists/index"]
    assert found["Tree"]["Size"] == 6000
    status, page = engine.request("GET", "/images/fat/diet?format=html")
    assert (status, page[:15]) == (200, b"<!doctype html>")
    engine.json("GET", "/images/fat/diet?format=pdf", expect=400)
    engine.json("GET", "/images/no-such/diet", expect=404)


def test_a_name_that_is_no_text_is_shown_nevertheless(engine: EngineProcess) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", errors="surrogateescape") as tar:
        info = tarfile.TarInfo("root/.cache/\udcff\udcfe")
        info.size = 9
        tar.addfile(info, io.BytesIO(b"123456789"))
    import_image(engine, "odd", data.getvalue())
    assert engine.json("GET", "/images/odd/diet")["Waste"][0]["Path"] == "/root/.cache/��"
    assert engine.request("GET", "/images/odd/diet?format=html")[0] == 200


def test_a_squashed_image_has_one_layer_and_a_slim_one_no_rubbish(engine: EngineProcess) -> None:
    import_image(engine, "rich", tar_of(var__lib__apt__lists__index=b"l" * 5000, app=b"a" * 300))
    squashed = engine.json("POST", "/images/rich/squash?repo=one&tag=v1", expect=201)
    assert (squashed["Size"], squashed["SizeBefore"], squashed["LeftOut"]) == (5300, 5300, [])
    assert len(engine.json("GET", "/images/one:v1/json")["RootFS"]["Layers"]) == 1
    slim = engine.json("POST", "/images/rich/squash?repo=slim&slim=safe", expect=201)
    assert (slim["Size"], slim["SizeBefore"]) == (300, 5300)
    assert engine.json("GET", "/images/slim/diet")["Wasted"] == 0
    engine.json("POST", "/images/rich/squash?repo=x&slim=air", expect=400)
    engine.json("POST", "/images/host/squash?repo=x", expect=400)
    engine.json("GET", "/images/x/json", expect=404)


def test_an_archive_since_an_image_leaves_its_layers_out_and_is_filled_in(engine: EngineProcess) -> None:
    import_image(engine, "base", tar_of(large=os.urandom(500_000)))
    status, whole = engine.request("GET", "/images/get?names=base")
    status, thin = engine.request("GET", "/images/get?names=base&since=base")
    assert status == 200
    assert (len(thin) < 60_000, len(whole) > 500_000) == (True, True)
    engine.json("POST", "/images/base/tag?repo=kept&tag=latest", expect=201)
    engine.json("DELETE", "/images/base")
    assert send(engine, "/images/load", thin)[-1] == {"stream": "Loaded image: base:latest\n"}
    engine.json("DELETE", "/images/base")
    engine.json("DELETE", "/images/kept")
    assert "error" in send(engine, "/images/load", thin)[-1], "a layer that is nowhere was loaded"


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A directory with a program in mmdebstrap's place."""
    (tmp_path / "made.tar").write_bytes(tar_of(etc__debian_version=b"13.0\n"))
    program = tmp_path / "mmdebstrap"
    program.write_text(
        f'#!/bin/sh\necho "I: $*" >&2\ncase "$*" in *broken*) echo \'E: no such suite\' >&2; exit 25;; esac\n'
        f"cat {tmp_path}/made.tar\n"
    )
    program.chmod(0o755)
    return tmp_path


def test_a_base_image_is_made_by_mmdebstrap_and_its_lines_are_told(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{stand_in}:{os.environ['PATH']}")
    with EngineProcess(tmp_path) as engine:
        said = send(engine, "/images/bootstrap?from=debian:trixie-apt&package=git&mirror=http://mirror.example")
        assert "--variant=apt --format=tar --include=git trixie - http://mirror.example" in said[0]["stream"]
        image = engine.json("GET", "/images/debian:trixie-apt/json")
        assert said[-1] == {"aux": {"ID": image["Id"]}}
        said = send(engine, "/images/bootstrap?from=debian:broken&name=other&mirror=http://mirror.example")
        assert "no such suite" in said[-1]["error"]
        engine.json("GET", "/images/other/json", expect=404)
        engine.json("POST", "/images/bootstrap?from=arch:rolling", expect=400)


def test_nothing_is_bootstrapped_without_saying_what(engine: EngineProcess) -> None:
    engine.json("POST", "/images/bootstrap", expect=400)
