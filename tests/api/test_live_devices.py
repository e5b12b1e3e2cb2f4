"""Devices that a running container is given and that are taken from it, by the nodes and by whether they open."""

from __future__ import annotations

from tests.engine_process import EngineProcess
from tests.waiting import until

PATIENCE_S = 30.0
FUSE = {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/deep/fuse", "CgroupPermissions": "r"}


def _opens(engine: EngineProcess, name: str, path: str) -> bool:
    body = {"Cmd": ["/usr/bin/python3", "-c", f"open({path!r}, 'rb').close()"]}
    exec_id = engine.json("POST", f"/containers/{name}/exec", body, expect=201)["Id"]
    engine.json("POST", f"/exec/{exec_id}/start", {"Detach": True}, expect=200)
    until(lambda: engine.json("GET", f"/exec/{exec_id}/json")["Running"] is False, PATIENCE_S)
    return bool(engine.json("GET", f"/exec/{exec_id}/json")["ExitCode"] == 0)


def _update(engine: EngineProcess, name: str, expect: int = 200, **change: object) -> str:
    answer = engine.json("POST", f"/containers/{name}/update", change, expect=expect)
    return str(answer.get("message", ""))


def test_a_device_is_given_and_taken_while_the_container_runs(engine: EngineProcess) -> None:
    engine.run("worker", "sh", "-c", "mknod /tmp/own c 10 229; exec sleep 300")
    until(lambda: _opens(engine, "worker", "/dev/null"), PATIENCE_S)
    assert not _opens(engine, "worker", "/tmp/own")
    _update(engine, "worker", AddDevices=[FUSE])
    assert _opens(engine, "worker", "/dev/deep/fuse")
    assert _opens(engine, "worker", "/tmp/own")
    assert engine.inspect("worker")["HostConfig"]["Devices"] == [FUSE]
    engine.json("POST", "/containers/worker/restart?t=0", expect=204)
    assert _opens(engine, "worker", "/dev/deep/fuse")
    _update(engine, "worker", RemoveDevices=["/dev/deep/fuse"])
    assert not _opens(engine, "worker", "/dev/deep/fuse")
    assert not _opens(engine, "worker", "/tmp/own")
    assert _opens(engine, "worker", "/dev/null")
    assert not engine.inspect("worker")["HostConfig"]["Devices"]
    engine.json("DELETE", "/containers/worker?force=1", expect=204)


def test_what_cannot_be_given_or_taken_is_refused_and_changes_nothing(engine: EngineProcess) -> None:
    engine.run("still", "sleep", "300")
    assert "/dev/nowhere" in _update(engine, "still", 404, RemoveDevices=["/dev/nowhere"])
    assert "no-such" in _update(engine, "still", 400, AddDevices=[{"PathOnHost": "/dev/no-such-device"}])
    _update(engine, "still", AddDevices=[FUSE])
    assert "already" in _update(engine, "still", 409, AddDevices=[FUSE])
    blocked = {"PathOnHost": "/dev/zero", "PathInContainer": "/proc/zero", "CgroupPermissions": "rwm"}
    _update(engine, "still", 500, AddDevices=[blocked])
    assert engine.inspect("still")["HostConfig"]["Devices"] == [FUSE]
    assert _opens(engine, "still", "/dev/deep/fuse")
    engine.json("DELETE", "/containers/still?force=1", expect=204)


def test_a_container_that_does_not_run_has_it_at_its_next_start(engine: EngineProcess) -> None:
    engine.create("later", "sleep", "300")
    _update(engine, "later", AddDevices=[FUSE])
    engine.json("POST", "/containers/later/start", expect=204)
    assert _opens(engine, "later", "/dev/deep/fuse")
    engine.json("DELETE", "/containers/later?force=1", expect=204)


def test_a_privileged_container_has_what_it_asks_for_under_other_names_too(engine: EngineProcess) -> None:
    devices = [{"PathOnHost": "/dev/zero", "PathInContainer": "/dev/deep/zero"}, {"PathOnHost": "/dev/no-such-device"}]
    engine.run("mighty", "sleep", "300", host={"Privileged": True, "Devices": devices})
    assert _opens(engine, "mighty", "/dev/deep/zero")
    assert _opens(engine, "mighty", "/dev/null")
    engine.json("DELETE", "/containers/mighty?force=1", expect=204)


def test_a_container_may_open_the_tunnel_device_that_it_makes(engine: EngineProcess) -> None:
    script = "mkdir -p /dev/net && mknod /dev/net/tun c 10 200 && stat -c %t:%T /dev/net/tun && : <> /dev/net/tun"
    engine.run("tunnelling", "sh", "-c", f"({script}) 2>&1")
    engine.wait("tunnelling")
    made, *told = engine.output("tunnelling")
    assert made == "a:c8"
    assert not any("not permitted" in line for line in told)  # a kernel may have no such device
