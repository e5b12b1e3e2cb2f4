"""Volumes kept by a plugin, which is written here: Docker's protocol over a unix socket, and all that can go wrong."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.volume_plugin import Plugin
from tests.waiting import until


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("engine")
    (folder / "plugins").mkdir()
    with EngineProcess(folder, "--plugin-dir", f"{folder}/plugins", "--plugin-timeout", "60") as running:
        yield running


def plugin_folder(engine: EngineProcess) -> Path:
    return Path(engine.data_root).parent / "plugins"


@pytest.fixture
def plugin(engine: EngineProcess, tmp_path: Path) -> Iterator[Plugin]:
    running = Plugin(plugin_folder(engine) / "shelf.sock", tmp_path)
    yield running
    running.answers.clear()
    try:
        for container in engine.json("GET", "/containers/json?all=1"):
            engine.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        for volume in engine.json("GET", "/volumes")["Volumes"]:
            engine.request("DELETE", f"/volumes/{volume['Name']}?force=1")
    finally:
        running.stop()


def create(engine: EngineProcess, name: str, expect: int = 201, driver: str = "shelf", **more: Any) -> Any:
    return engine.json("POST", "/volumes/create", {"Name": name, "Driver": driver, **more}, expect=expect)


def test_a_plugin_s_volume_is_made_shown_listed_and_removed(engine: EngineProcess, plugin: Plugin) -> None:
    made = create(engine, "far", DriverOpts={"shelf": "top"}, Labels={"a": "b"})
    assert plugin.calls("Create") == [{"Name": "far", "Opts": {"shelf": "top"}}]
    assert made == engine.json("GET", "/volumes/far")
    assert made["Mountpoint"] == str(plugin.folder / "far")
    assert {key: made[key] for key in ("Driver", "Scope", "Labels", "Options", "Status")} == {
        "Driver": "shelf",
        "Scope": "global",
        "Labels": {"a": "b"},
        "Options": {"shelf": "top"},
        "Status": {"users": 0},
    }
    plugin.volumes["stranger"] = {}
    found = engine.json("GET", "/volumes")
    assert {(volume["Name"], volume["Driver"]) for volume in found["Volumes"]} == {
        ("far", "shelf"),
        ("stranger", "shelf"),
    }
    assert engine.json("GET", "/volumes/stranger")["Driver"] == "shelf"
    assert [v["Name"] for v in engine.json("GET", '/volumes?filters={"driver":["local"]}')["Volumes"]] == []
    assert create(engine, "far")["Labels"] == {"a": "b"}
    assert "volume name must be unique" in create(engine, "far", 409, driver="local")["message"]
    engine.json("DELETE", "/volumes/far", expect=204)
    assert plugin.calls("Remove") == [{"Name": "far"}]
    engine.json("GET", "/volumes/far", expect=404)
    del plugin.volumes["stranger"]


def test_a_run_has_it_mounted_and_unmounted(engine: EngineProcess, plugin: Plugin, tmp_path: Path) -> None:
    mount = {"Type": "volume", "Source": "run", "Target": "/in", "VolumeOptions": {"DriverConfig": {"Name": "shelf"}}}
    script = "echo kept > /in/file; until [ -e /in/stop ]; do sleep 0.05; done"
    container_id = engine.run("user", "sh", "-c", script, host={"Mounts": [mount]})
    until((tmp_path / "run" / "file").exists)
    assert plugin.users == {"run": {container_id}}
    assert engine.inspect("user")["Mounts"][0]["Source"] == str(tmp_path / "run")
    engine.kill()
    engine.start()
    assert plugin.users == {"run": {container_id}}
    (tmp_path / "run" / "stop").touch()
    assert engine.wait("user") == 0
    until(lambda: plugin.users == {"run": set()})
    engine.create("second", "cat", "/in/file", host={"Binds": ["run:/in:ro"]})
    engine.json("POST", "/containers/second/start", expect=204)
    assert engine.wait("second") == 0
    assert engine.output("second") == ["kept"]
    assert "volume is in use" in engine.json("DELETE", "/volumes/run", expect=409)["message"]


def test_it_is_filled_with_what_the_image_has(engine: EngineProcess, plugin: Plugin, tmp_path: Path) -> None:
    engine.create("filler", "true", host={"Binds": ["filled:/etc/ssl"], "VolumeDriver": "shelf"})
    assert sorted(os.listdir(tmp_path / "filled")) == sorted(os.listdir("/etc/ssl"))
    assert plugin.users == {"filled": set()}


def test_it_comes_into_a_running_container_and_out_again(engine: EngineProcess, plugin: Plugin, tmp_path: Path) -> None:
    create(engine, "live")
    container_id = engine.run("box", "sh", "-c", "until [ -e /mnt/in/go ]; do sleep 0.05; done; sleep 1000")
    mount = {"Type": "volume", "Source": "live", "Target": "/mnt/in"}
    engine.json("POST", "/containers/box/update", {"Mounts": [mount]}, expect=200)
    assert plugin.users["live"] == {container_id}
    engine.json("POST", "/containers/box/update", {"Unmounts": ["/mnt/in"]}, expect=200)
    assert plugin.users["live"] == set()


def test_an_address_in_a_file_is_as_good_as_a_socket(engine: EngineProcess, tmp_path: Path) -> None:
    elsewhere = Plugin(tmp_path / "elsewhere.sock", tmp_path)
    folder = plugin_folder(engine)
    try:
        (folder / "by-spec.spec").write_text(f"unix://{elsewhere.path}\n")
        (folder / "by-json.json").write_text(json.dumps({"Name": "by-json", "Addr": f"unix://{elsewhere.path}"}))
        for driver in ("by-spec", "by-json"):
            create(engine, f"v-{driver}", driver=driver)
            engine.json("DELETE", f"/volumes/v-{driver}", expect=204)
        (folder / "by-json.json").write_text(json.dumps({"Addr": "tcp://127.0.0.1:1", "TLSConfig": {"CAFile": "x"}}))
        assert "wants TLS" in create(engine, "tls", 501, driver="by-json")["message"]
        (folder / "by-json.json").write_text("{")
        assert "has no Addr" in create(engine, "bad", 500, driver="by-json")["message"]
        (folder / "by-spec.spec").write_text("carrier pigeon")
        assert "has no address" in create(engine, "bad", 500, driver="by-spec")["message"]
    finally:
        for path in folder.iterdir():
            path.unlink()
        elsewhere.stop()


def test_a_plugin_that_is_not_there_is_said_so(engine: EngineProcess) -> None:
    answer = create(engine, "x1", 404, driver="nosuch")
    assert answer["message"] == 'create x1: error looking up volume plugin nosuch: plugin "nosuch" not found'
    create(engine, "x1", 404, driver="../../etc/nosuch")


def test_a_dead_plugin_is_said_to_be_dead_and_others_go_on(engine: EngineProcess, plugin: Plugin) -> None:
    create(engine, "orphan")
    plugin.shutdown()
    plugin.server_close()  # the socket stays in its place
    answer = create(engine, "late", 503)
    assert answer["message"].startswith("create late: volume plugin shelf does not answer Plugin.Activate")
    assert "start it" in answer["remedy"]
    listed = engine.json("GET", "/volumes")
    assert "does not answer" in listed["Warnings"][0]
    assert [volume["Name"] for volume in listed["Volumes"]] == ["orphan"]
    assert "does not answer" in engine.json("GET", "/volumes/orphan")["Status"]["Error"]
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", "Binds": ["orphan:/x"]}}
    engine.json("POST", "/containers/create", body, expect=503)
    engine.json("DELETE", "/volumes/orphan", expect=503)
    engine.json("DELETE", "/volumes/orphan?force=1", expect=204)


def test_a_start_that_the_plugin_refuses_fails_and_leaves_nothing_mounted(
    engine: EngineProcess, plugin: Plugin
) -> None:
    create(engine, "one")
    create(engine, "two")
    host = {"Binds": ["one:/one:nocopy", "two:/two:nocopy"]}
    engine.create("refused", "true", host=host)
    plugin.answers["VolumeDriver.Mount"] = lambda body: (
        {"Err": "the shelf is full"} if body["Name"] == "two" else {"Mountpoint": str(plugin.folder / "one")}
    )
    answer = engine.json("POST", "/containers/refused/start", expect=500)
    assert answer["message"] == "VolumeDriver.Mount: the shelf is full"
    assert [body["Name"] for body in plugin.calls("Unmount")] == ["one", "one", "two"]
    assert engine.inspect("refused")["State"]["Status"] == "created"


def test_a_crash_during_a_start_leaves_nothing_mounted(engine: EngineProcess, plugin: Plugin) -> None:
    create(engine, "crashed")
    container_id = engine.create("starting", "true", host={"Binds": ["crashed:/x:nocopy"]})

    def mount(body: dict[str, Any]) -> Any:
        plugin.users["crashed"] = {body["ID"]}
        os.kill(engine.pid, signal.SIGKILL)
        return {"Mountpoint": str(plugin.folder / "crashed")}

    plugin.answers["VolumeDriver.Mount"] = mount
    with pytest.raises((OSError, http.client.HTTPException)):
        engine.request("POST", "/containers/starting/start")
    assert plugin.users == {"crashed": {container_id}}
    engine.kill()
    engine.start()
    assert plugin.users == {"crashed": set()}
    assert engine.inspect("starting")["State"]["Status"] == "created"


def test_a_slow_plugin_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    plugin = Plugin(tmp_path / "plugins" / "shelf.sock", tmp_path)
    release = threading.Event()
    plugin.answers["VolumeDriver.Create"] = lambda _: release.wait(100) and {"Err": ""}
    with EngineProcess(tmp_path, "--plugin-dir", f"{tmp_path}/plugins", "--plugin-timeout", "5") as engine:
        answer = create(engine, "slow", 503)
        release.set()
        assert answer["message"] == "create slow: volume plugin shelf did not answer VolumeDriver.Create within 5 s"
    plugin.stop()


@pytest.mark.parametrize(
    ("method", "answer", "status", "words"),
    [
        ("Plugin.Activate", {"Implements": ["NetworkDriver"]}, 501, "keeps no volumes"),
        ("Plugin.Activate", b"<html>", 500, "makes no sense"),
        ("VolumeDriver.Create", b"[1, 2]", 500, "makes no sense"),
        ("VolumeDriver.Create", b"x" * (5 << 20), 500, "makes no sense"),
        ("VolumeDriver.Create", {"Err": "no room"}, 500, "create odd: VolumeDriver.Create: no room"),
    ],
)
def test_nonsense_of_a_plugin_is_said_with_its_name(
    engine: EngineProcess, plugin: Plugin, method: str, answer: Any, status: int, words: str
) -> None:
    plugin.answers[method] = lambda _: answer
    assert words in create(engine, "odd", status)["message"]
    assert engine.json("GET", "/volumes")["Volumes"] == []


@pytest.mark.parametrize("path", [None, "", "relative/path", 5])
def test_a_mountpoint_that_is_none_fails_the_start(engine: EngineProcess, plugin: Plugin, path: Any) -> None:
    create(engine, "astray")
    engine.create("lost", "true", host={"Binds": ["astray:/x:nocopy"]})
    plugin.answers["VolumeDriver.Mount"] = lambda _: {"Mountpoint": path}
    assert "makes no sense" in engine.json("POST", "/containers/lost/start", expect=500)["message"]
