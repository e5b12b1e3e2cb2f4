"""What every container finds whatever its image lacks, and that it is no change of the container."""

from __future__ import annotations

import io
import tarfile

import pytest
from tests.building import build, files_of, run
from tests.engine_process import EngineProcess

pytestmark = pytest.mark.usefixtures("busybox")


def _ended(engine: EngineProcess, name: str, *command: str, image: str) -> None:
    engine.create(name, *command, image=image)
    engine.json("POST", f"/containers/{name}/start", expect=204)
    assert engine.json("POST", f"/containers/{name}/wait")["StatusCode"] == 0


def test_it_finds_docker_s_mark_and_the_table_of_mounts(engine: EngineProcess) -> None:
    look = "stat -c '%a %s %F' /.dockerenv; readlink /etc/mtab; grep -c '^overlay / ' /etc/mtab"
    assert run(engine, "busybox", "sh", "-c", look).splitlines() == ["755 0 regular empty file", "/proc/mounts", "1"]


def test_they_are_no_change_and_in_no_image_but_in_an_export(engine: EngineProcess) -> None:
    _ended(engine, "writing", "sh", "-c", "echo > /etc/own", image="busybox")
    changes = engine.json("GET", "/containers/writing/changes")
    assert changes == [{"Path": "/etc", "Kind": 0}, {"Path": "/etc/own", "Kind": 1}]
    image = engine.json("POST", "/commit?container=writing", {}, expect=201)["Id"]
    there = files_of(engine, image)
    assert "etc/own" in there
    assert not there.keys() & {".dockerenv", "etc/mtab"}
    archive = engine.request("GET", "/containers/writing/export")[1]
    with tarfile.open(fileobj=io.BytesIO(archive)) as exported:
        assert {name.removeprefix("./") for name in exported.getnames()} >= {"etc/own", ".dockerenv", "etc/mtab"}


def test_what_an_image_has_itself_stays(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM busybox\nCOPY . /\n", "etc/mtab": "mine\n", ".dockerenv": "too\n"}
    image = build(engine, files).image_id
    assert run(engine, image, "cat", "/etc/mtab", "/.dockerenv").split() == ["mine", "too"]


def test_an_image_of_nothing_gets_all_that_is_mounted_on(engine: EngineProcess) -> None:
    image = build(engine, {"Dockerfile": "FROM scratch\nCOPY --from=busybox /bin/busybox /busybox\n"}).image_id
    _ended(engine, "bare", "/busybox", "true", image=image)
    assert engine.json("GET", "/containers/bare/changes") is None
