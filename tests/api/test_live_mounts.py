"""Mounts put into running containers and taken out of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.waiting import until

WAIT = "until [ -e /tmp/stop ]; do sleep 0.05; done"


def update(
    engine: EngineProcess, name: str, *mounts: dict[str, Any], out: tuple[str, ...] = (), expect: int = 200
) -> Any:
    body = {"Mounts": list(mounts), "Unmounts": list(out)}
    return engine.json("POST", f"/containers/{name}/update", body, expect=expect)


def bind(source: Path, target: str, **more: Any) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target, **more}


def volume(name: str, target: str, **more: Any) -> dict[str, Any]:
    return {"Type": "volume", "Source": name, "Target": target, **more}


def inside(engine: EngineProcess, name: str, script: str, code: int = 0) -> str:
    """What a shell in the container writes."""
    body = {"Cmd": ["sh", "-c", f"exec 2>&1; {script}"], "AttachStdout": True, "Tty": True}
    exec_id = engine.json("POST", f"/containers/{name}/exec", body)["Id"]
    _, output = engine.request("POST", f"/exec/{exec_id}/start", {"Detach": False, "Tty": True})
    until(lambda: not engine.json("GET", f"/exec/{exec_id}/json")["Running"])
    assert engine.json("GET", f"/exec/{exec_id}/json")["ExitCode"] == code, output
    return output.decode().replace("\r\n", "\n")


def targets(engine: EngineProcess, name: str) -> set[str]:
    return {mount["Destination"] for mount in engine.inspect(name)["Mounts"]}


@pytest.fixture
def box(engine: EngineProcess) -> Any:
    engine.run("box", "sh", "-c", WAIT)
    yield "box"
    engine.json("DELETE", "/containers/box?force=1&v=1", expect=204)


def test_a_bind_and_a_volume_come_into_a_running_container_and_stay_over_a_restart(
    engine: EngineProcess, box: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("from the host\n")
    pid = engine.inspect(box)["State"]["Pid"]
    update(engine, box, bind(tmp_path, "/mnt/host", ReadOnly=True), volume("live", "/mnt/new/volume"))
    assert inside(
        engine, box, "cat /mnt/host/file; touch /mnt/host/x || echo kept; echo yes > /mnt/new/volume/told"
    ) == ("from the host\ntouch: cannot touch '/mnt/host/x': Read-only file system\nkept\n")
    shown = engine.inspect(box)
    assert shown["State"]["Pid"] == pid
    assert targets(engine, box) == {"/mnt/host", "/mnt/new/volume"}
    assert [mount["Target"] for mount in shown["HostConfig"]["Mounts"]] == ["/mnt/host", "/mnt/new/volume"]
    assert Path(engine.json("GET", "/volumes/live")["Mountpoint"], "told").read_text() == "yes\n"
    engine.json("DELETE", "/volumes/live", expect=409)
    engine.json("POST", f"/containers/{box}/restart?t=0", expect=204)
    assert inside(engine, box, "cat /mnt/host/file /mnt/new/volume/told") == "from the host\nyes\n"


def test_a_shared_bind_that_came_later_lets_mounts_out(engine: EngineProcess, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for words in (("--bind", tmp_path, tmp_path), ("--make-shared", tmp_path)):
        subprocess.run(["mount", *words], check=True)
    try:
        engine.run("mounting", "sh", "-c", WAIT, host={"Privileged": True})
        update(engine, "mounting", bind(tmp_path, "/mnt", BindOptions={"Propagation": "rshared"}))
        inside(engine, "mounting", "mount -t tmpfs mine /mnt/inner")
        assert os.path.ismount(tmp_path / "inner")
        engine.json("DELETE", "/containers/mounting?force=1", expect=204)
    finally:
        subprocess.run(["umount", "--recursive", tmp_path], check=True)


def test_a_mount_is_taken_out_and_does_not_come_back(engine: EngineProcess, tmp_path: Path) -> None:
    host = {"Binds": [f"{tmp_path}:/mnt/one", "two:/mnt/two"]}
    engine.run("losing", "sh", "-c", WAIT, host=host)
    (tmp_path / "file").touch()
    update(engine, "losing", out=("/mnt/one", "/mnt/two/"))
    assert inside(engine, "losing", "ls /mnt/one; grep -c /mnt/ /proc/self/mountinfo", code=1) == "0\n"
    assert targets(engine, "losing") == set()
    assert engine.inspect("losing")["HostConfig"]["Binds"] is None
    engine.json("POST", "/containers/losing/restart?t=0", expect=204)
    assert inside(engine, "losing", "ls /mnt/one") == ""
    engine.json("DELETE", "/volumes/two", expect=204)


def test_one_mount_takes_the_place_of_another_in_one_call(engine: EngineProcess, box: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    update(engine, box, bind(tmp_path / "first", "/mnt/at"))
    update(engine, box, bind(tmp_path / "second", "/mnt/at"), out=("/mnt/at",))
    assert inside(engine, box, "ls /mnt/at") == "second\n"


def test_what_is_in_use_is_not_taken_out_and_its_user_is_named(engine: EngineProcess, box: str, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    update(engine, box, bind(tmp_path, "/mnt/used"), {"Type": "tmpfs", "Target": "/mnt/other"})
    exec_id = engine.json(
        "POST", f"/containers/{box}/exec", {"Cmd": ["sh", "-c", "cd /mnt/used/below; exec sleep 300"]}
    )["Id"]
    engine.json("POST", f"/exec/{exec_id}/start", {"Detach": True}, expect=200)
    until(lambda: bool(engine.json("GET", f"/exec/{exec_id}/json")["Pid"]))
    user = engine.json("GET", f"/exec/{exec_id}/json")["Pid"]
    until(lambda: Path(f"/proc/{user}/comm").read_text() == "sleep\n")
    answer = update(engine, box, out=("/mnt/other", "/mnt/used"), expect=409)
    assert answer["message"] == f"/mnt/used is busy: used by sleep (pid {user})"
    assert "leave its directory" in answer["remedy"]
    assert targets(engine, box) == {"/mnt/used", "/mnt/other"}
    assert inside(engine, box, "stat -c %T -f /mnt/other; grep -c ' /mnt/' /proc/self/mountinfo") == "tmpfs\n2\n"


def test_a_target_that_has_a_mount_is_busy(engine: EngineProcess, box: str, tmp_path: Path) -> None:
    update(engine, box, bind(tmp_path, "/mnt/taken"))
    answer = update(engine, box, volume("late", "/mnt/taken"), expect=409)
    assert answer["message"] == "/mnt/taken is busy: container box has a mount there"
    answer = update(engine, box, bind(tmp_path, "/dev/shm"), expect=409)
    assert answer["message"] == "/dev/shm is busy: something is mounted there"
    assert inside(engine, box, "stat -c %T -f /dev/shm") == "tmpfs\n"
    update(engine, box, bind(tmp_path, "/mnt/taken/inner"))
    assert (
        "is busy: /mnt/taken/inner is mounted in it" in update(engine, box, out=("/mnt/taken",), expect=409)["message"]
    )
    update(engine, box, out=("/mnt/taken", "/mnt/taken/inner"))
    assert targets(engine, box) == set()


@pytest.mark.parametrize(
    ("mount", "status", "words"),
    [
        ({"Type": "bind", "Source": "/no/such", "Target": "/mnt/x"}, 400, "bind source path does not exist"),
        ({"Type": "bind", "Source": "/etc", "Target": "x"}, 400, "mount path must be absolute"),
        ({"Type": "bind", "Source": "/etc", "Target": "/"}, 400, "destination can't be '/'"),
        ({"Type": "bind", "Source": "/etc", "Target": "/proc/sys"}, 409, "/proc/sys"),
        ({"Type": "bind", "Source": "/etc", "Target": "/proc/self"}, 409, "/proc"),
        ({"Type": "bind", "Source": "/etc", "Target": "/etc/passwd"}, 409, "cannot mount at /etc/passwd"),
        ({"Type": "npipe", "Source": "x", "Target": "/mnt/x"}, 501, "npipe"),
    ],
)
def test_a_mount_that_cannot_be_changes_nothing(
    engine: EngineProcess, box: str, tmp_path: Path, mount: dict[str, Any], status: int, words: str
) -> None:
    before = inside(engine, box, "cut -d' ' -f4- /proc/self/mountinfo")
    assert words in update(engine, box, bind(tmp_path, "/mnt/fine"), mount, expect=status)["message"]
    assert inside(engine, box, "cut -d' ' -f4- /proc/self/mountinfo") == before
    assert targets(engine, box) == set()


def test_a_link_of_the_container_leads_no_mount_out_of_its_root(
    engine: EngineProcess, box: str, tmp_path: Path
) -> None:
    inside(engine, box, "ln -s / /mnt/root; ln -s /proc/1 /mnt/proc; ln -s ../../../../../../etc /mnt/etc")
    update(engine, box, bind(tmp_path, "/mnt/root"), expect=409)
    assert "into /proc" in update(engine, box, bind(tmp_path, "/mnt/proc"), expect=409)["message"]
    update(engine, box, bind(tmp_path, "/mnt/etc/deeper"))
    assert inside(engine, box, "ls -d /etc/deeper") == "/etc/deeper\n"
    assert not Path("/etc/deeper").exists()
    assert f" {tmp_path} " not in Path("/proc/self/mountinfo").read_text()


def test_a_link_put_in_a_mount_s_way_takes_none_of_the_runtime_s_own_out(
    engine: EngineProcess, box: str, tmp_path: Path
) -> None:
    update(engine, box, bind(tmp_path, "/mnt/a/keys"))
    inside(engine, box, "mv /mnt/a /mnt/b; ln -s /proc /mnt/a")
    assert "runtime's own mount" in update(engine, box, out=("/mnt/a/keys",), expect=409)["message"]
    assert " /proc/keys " in inside(engine, box, "cat /proc/self/mountinfo")


def test_an_empty_volume_takes_what_the_running_container_has_there(engine: EngineProcess, box: str) -> None:
    inside(engine, box, "mkdir /opt/app && echo mine > /opt/app/file && chown 12:34 /opt/app")
    update(engine, box, volume("taken-over", "/opt/app"))
    assert (
        inside(engine, box, "cat /opt/app/file; stat -c %u:%g /opt/app; echo more > /opt/app/more") == "mine\n12:34\n"
    )
    assert Path(engine.json("GET", "/volumes/taken-over")["Mountpoint"], "more").exists()


def test_a_stopped_container_has_its_mounts_changed_for_the_next_start(engine: EngineProcess, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here\n")
    engine.create("later", "cat", "/mnt/file")
    update(engine, "later", bind(tmp_path, "/mnt"))
    engine.json("POST", "/containers/later/start", expect=204)
    assert engine.wait("later") == 0
    assert engine.output("later") == ["here"]
    update(engine, "later", out=("/mnt",))
    assert targets(engine, "later") == set()
    assert update(engine, "later", out=("/mnt",), expect=404)["message"] == "container later has no mount at /mnt"


def test_a_mount_of_a_running_container_survives_a_kill_of_the_daemon(
    engine: EngineProcess, box: str, tmp_path: Path
) -> None:
    update(engine, box, bind(tmp_path, "/mnt/kept"))
    engine.kill()
    engine.start()
    assert targets(engine, box) == {"/mnt/kept"}
    update(engine, box, out=("/mnt/kept",))
    assert "/mnt/kept" not in inside(engine, box, "cat /proc/self/mountinfo")
