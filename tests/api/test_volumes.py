from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.mount_table import mounts_seen_from

ALL = "%7B%22all%22%3A%5B%22true%22%5D%7D"  # {"all":["true"]}


def create(engine: EngineProcess, name: str = "", **more: Any) -> Any:
    return engine.json("POST", "/volumes/create", {"Name": name, **more}, expect=201)


def names(engine: EngineProcess, filters: str = "") -> list[str]:
    found = engine.json("GET", f"/volumes{filters}")["Volumes"]
    return [volume["Name"] for volume in found]


def shell(engine: EngineProcess, name: str, script: str, *binds: str, **more: Any) -> list[str]:
    """Run a script to its end; what it wrote."""
    engine.run(name, "sh", "-c", script, host={"Binds": list(binds), **more.pop("host", {})}, **more)
    code = engine.wait(name)
    output: list[str] = engine.output(name)
    assert code == 0, output
    return output


def test_a_volume_is_made_shown_listed_and_removed(engine: EngineProcess) -> None:
    made = create(engine, "kept", Labels={"colour": "blue"})
    assert made["Driver"] == "local"
    assert made["Scope"] == "local"
    assert made["Options"] is None
    assert made == engine.json("GET", "/volumes/kept")
    assert Path(made["Mountpoint"]).is_dir()
    assert create(engine, "kept")["CreatedAt"] == made["CreatedAt"]
    assert "kept" in names(engine, '?filters={"label":["colour=blue"]}')
    assert "kept" not in names(engine, '?filters={"label":["colour=red"]}')
    assert "kept" in names(engine, '?filters={"name":["kep"],"dangling":["true"],"driver":["local"]}')
    assert "kept" not in names(engine, '?filters={"dangling":["false"]}')
    engine.json("DELETE", "/volumes/kept", expect=204)
    assert engine.json("GET", "/volumes/kept", expect=404)["message"] == "get kept: no such volume"
    engine.json("DELETE", "/volumes/kept", expect=404)
    engine.json("DELETE", "/volumes/kept?force=1", expect=204)
    assert not Path(made["Mountpoint"]).exists()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"Name": "../x"}, 400, "includes invalid characters for a local volume name"),
        ({"Name": "a"}, 400, "volume name is too short"),
        ({"Name": "x" * 256}, 400, "invalid"),
        ({"Name": "odd", "Driver": "nosuch"}, 404, 'plugin "nosuch" not found'),
        ({"Name": "odd", "DriverOpts": {"colour": "blue"}}, 400, "invalid option"),
        ({"Name": "odd", "DriverOpts": {"type": "tmpfs"}}, 400, 'missing required option: "device"'),
        ({"Name": "odd", "DriverOpts": {"size": "1g"}}, 501, "quota"),
    ],
)
def test_a_volume_that_cannot_be_is_refused(engine: EngineProcess, body: Any, status: int, words: str) -> None:
    assert words in engine.json("POST", "/volumes/create", body, expect=status)["message"]
    assert "odd" not in names(engine)


def test_the_options_of_who_asks_for_a_volume_that_is_there_mean_nothing(engine: EngineProcess) -> None:
    made = create(engine, "there")
    assert create(engine, "there", DriverOpts={"type": "tmpfs"}) == made
    options = {"DriverConfig": {"Options": {"type": "tmpfs"}}}
    mount = {"Type": "volume", "Source": "there", "Target": "/x", "VolumeOptions": options}
    engine.create("asking", "true", host={"Mounts": [mount]})
    assert engine.json("GET", "/volumes/there")["Options"] is None


def test_a_volume_is_as_large_as_its_files_and_one_without_a_size_here_is_not_in_the_sum(engine: EngineProcess) -> None:
    made = create(engine, "small")
    Path(made["Mountpoint"], "directory").mkdir()
    Path(made["Mountpoint"], "directory", "three").write_text("123")
    create(engine, "elsewhere", DriverOpts={"type": "tmpfs", "device": "tmpfs"})
    sizes = {one["Name"]: one["UsageData"]["Size"] for one in engine.json("GET", "/system/df")["Volumes"]}
    assert sizes["small"] == 3
    assert "elsewhere" not in sizes


def test_containers_share_a_volume_at_once_and_it_outlives_them(engine: EngineProcess) -> None:
    engine.run(
        "reader",
        "sh",
        "-c",
        "until [ -e /in/flag ]; do sleep 0.02; done; cat /in/flag",
        host={"Binds": ["common:/in:ro"]},
    )
    shell(engine, "writer", "echo from the writer > /out/flag.new && mv /out/flag.new /out/flag", "common:/out")
    assert engine.wait("reader") == 0
    assert engine.output("reader") == ["from the writer"]
    for name in ("reader", "writer"):
        engine.json("DELETE", f"/containers/{name}?v=1", expect=204)
    assert shell(engine, "later", "cat /in/flag", "common:/in") == ["from the writer"]
    assert engine.json("GET", "/volumes/common")["Labels"] is None


def test_a_read_only_volume_cannot_be_written(engine: EngineProcess) -> None:
    assert shell(engine, "barred", "touch /in/x 2>&1 || echo refused", "barred:/in:ro")[-1] == "refused"


def test_a_volume_in_use_is_not_removed_and_the_containers_are_named(engine: EngineProcess) -> None:
    container_id = engine.create("user", "true", host={"Binds": ["used:/data"]})
    answer = engine.json("DELETE", "/volumes/used", expect=409)
    assert answer["message"] == f"remove used: volume is in use - [{container_id}]"
    engine.json("DELETE", "/volumes/used?force=1", expect=409)
    create(engine, "unused")
    create(engine, "elsewhere", DriverOpts={"type": "none", "device": "/var/empty", "o": "bind"})
    pruned = engine.json("POST", f"/volumes/prune?filters={ALL}")["VolumesDeleted"]
    assert "unused" in pruned
    assert not {"used", "elsewhere"} & set(pruned), "what options name is not the engine's to lose"
    engine.json("DELETE", "/volumes/elsewhere", expect=204)
    engine.json("DELETE", "/containers/user", expect=204)
    engine.json("DELETE", "/volumes/used", expect=204)


def test_anonymous_volumes_go_with_the_container_only_when_asked(engine: EngineProcess) -> None:
    before = set(names(engine))
    engine.create("plain", "true", Volumes={"/one": {}}, host={"Binds": ["/two", "named:/three"]})
    mounts = {mount["Destination"]: mount for mount in engine.inspect("plain")["Mounts"]}
    assert set(mounts) == {"/one", "/two", "/three"}
    assert len(mounts["/one"]["Name"]) == 64
    anonymous = engine.json("GET", f"/volumes/{mounts['/one']['Name']}")
    assert anonymous["Labels"] == {"com.docker.volume.anonymous": ""}
    engine.json("DELETE", "/containers/plain", expect=204)
    assert len(set(names(engine)) - before) == 3
    engine.json("POST", "/volumes/prune")
    assert set(names(engine)) - before == {"named"}
    engine.create("plain", "true", Volumes={"/one": {}}, host={"Binds": ["named:/three"]})
    engine.json("DELETE", "/containers/plain?v=1", expect=204)
    assert set(names(engine)) - before == {"named"}


def test_a_container_that_removes_itself_takes_its_anonymous_volumes_along(engine: EngineProcess) -> None:
    before = set(names(engine))
    engine.create("fleeting", "true", Volumes={"/one": {}}, host={"AutoRemove": True, "Binds": ["staying:/two"]})
    engine.json("POST", "/containers/fleeting/start", expect=204)
    engine.request("POST", "/containers/fleeting/wait?condition=removed")
    assert set(names(engine)) - before == {"staying"}


def test_a_create_that_fails_leaves_no_anonymous_volume(engine: EngineProcess) -> None:
    before = set(names(engine))
    body = {"Image": "host", "Cmd": ["true"], "Volumes": {"/etc/passwd": {}}, "HostConfig": {"NetworkMode": "none"}}
    answer = engine.json("POST", "/containers/create", body, expect=400)
    assert answer["message"] == "cannot mount volume over existing file, file exists /etc/passwd"
    assert set(names(engine)) == before


def test_volumes_from_brings_another_s_and_can_make_them_read_only(engine: EngineProcess) -> None:
    shell(engine, "giver", "echo given > /data/x", "given:/data")
    assert shell(engine, "taker", "cat /data/x", host={"VolumesFrom": ["giver"]}) == ["given"]
    output = shell(engine, "barred-taker", "touch /data/y || echo refused", host={"VolumesFrom": ["giver:ro"]})
    assert output[-1] == "refused"
    engine.create("labelled-taker", host={"VolumesFrom": ["giver:ro,z"]})
    (taken,) = engine.inspect("labelled-taker")["Mounts"]
    assert (taken["RW"], taken["Mode"]) == (False, "")
    engine.json("DELETE", "/containers/labelled-taker", expect=204)
    for mode in ("nocopy", "rslave", "ro,rw"):
        body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"VolumesFrom": [f"giver:{mode}"]}}
        assert engine.json("POST", "/containers/create", body, expect=400)["message"] == f"invalid mode: {mode}"


def test_a_new_volume_has_the_image_s_content_with_owners_modes_links_and_attributes(
    engine: EngineProcess, tmp_path: Path
) -> None:
    # /usr/share/zoneinfo would be big; /etc/alternatives has links, /var/cache has owners and modes
    shell(engine, "filled", "true", "filled:/var/lib/dpkg/info", "untouched:/etc/apt:nocopy")
    volume = Path(engine.json("GET", "/volumes/filled")["Mountpoint"])
    there = Path("/var/lib/dpkg/info")
    assert sorted(os.listdir(volume)) == sorted(os.listdir(there))
    for name in sorted(os.listdir(there))[:200]:
        old, new = (there / name).lstat(), (volume / name).lstat()
        assert (old.st_mode, old.st_uid, old.st_gid, old.st_mtime_ns, old.st_size) == (
            new.st_mode,
            new.st_uid,
            new.st_gid,
            new.st_mtime_ns,
            new.st_size,
        )
        assert (there / name).read_bytes() == (volume / name).read_bytes()
    assert os.listdir(engine.json("GET", "/volumes/untouched")["Mountpoint"]) == []


def test_a_volume_with_something_in_it_is_not_filled(engine: EngineProcess) -> None:
    volume = Path(create(engine, "occupied")["Mountpoint"])
    (volume / "mine").write_text("mine\n")
    shell(engine, "visitor", "true", "occupied:/etc/apt")
    assert os.listdir(volume) == ["mine"]


def test_an_empty_directory_gives_the_volume_its_owner_and_mode(engine: EngineProcess) -> None:
    assert shell(engine, "dressed", "stat -c '%a %u' /tmp", "dressed:/tmp") == ["1777 0"]


def test_what_the_image_host_hides_is_not_copied_into_a_volume(engine: EngineProcess) -> None:
    lines = shell(engine, "curious", "cat /etc/shadow", "etc:/etc")
    assert all(line.split(":")[1] in {"", "*", "!", "!!", "!*"} for line in lines)


def test_a_subpath_of_a_volume_is_mounted_and_never_leaves_it(engine: EngineProcess) -> None:
    volume = Path(create(engine, "parts")["Mountpoint"])
    (volume / "sub" / "deep").mkdir(parents=True)
    (volume / "sub" / "deep" / "file").write_text("deep\n")
    (volume / "out").symlink_to("/etc")
    (volume / "up").symlink_to("../../..")

    def mounts(subpath: str) -> dict[str, Any]:
        options = {"Subpath": subpath}
        return {"Mounts": [{"Type": "volume", "Source": "parts", "Target": "/data", "VolumeOptions": options}]}

    assert shell(engine, "inside", "cat /data/file", host=mounts("sub/deep")) == ["deep"]
    leads_out = "it leads out of there"
    refused = (("out", leads_out), ("up", leads_out), ("../..", leads_out), ("missing", "no such file or directory"))
    for number, (subpath, why) in enumerate(refused):
        engine.create(f"outside{number}", "ls", "/data", host=mounts(subpath))
        status, body = engine.request("POST", f"/containers/outside{number}/start")
        assert status >= 400
        assert f"subpath {subpath} of {volume}: {why}" in body.decode()


def test_a_tmpfs_volume_is_one_for_all_that_run_and_is_on_no_mount_table_of_the_host(engine: EngineProcess) -> None:
    before = mounts_seen_from(engine.data_root, engine.exec_root)
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7"}
    create(engine, "memory", DriverOpts=options)
    assert engine.json("GET", "/volumes/memory")["Options"] == options
    engine.run("first", "sh", "-c", "echo shared > /m/x; sleep 60", host={"Binds": ["memory:/m"]})
    script = "until [ -e /n/x ]; do sleep 0.02; done; cat /n/x; stat -c %u /n; grep -c 'size=1024k' /proc/mounts"
    assert shell(engine, "second", script, "memory:/n") == ["shared", "7", "1"]
    assert shell(engine, "third", "touch /n/y || echo refused", "memory:/n:ro")[-1] == "refused"
    assert mounts_seen_from(engine.data_root, engine.exec_root) == before
    engine.json("DELETE", "/containers/first?force=1", expect=204)


def test_a_volume_may_be_a_bind_of_a_directory(engine: EngineProcess, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host\n")
    create(engine, "elsewhere", DriverOpts={"type": "none", "device": str(tmp_path), "o": "bind,ro"})
    assert shell(engine, "looker", "cat /b/file; touch /b/x || echo refused", "elsewhere:/b")[0] == "of the host"
    assert os.listdir(tmp_path) == ["file"]
    engine.json("DELETE", "/containers/looker", expect=204)
    engine.json("DELETE", "/volumes/elsewhere", expect=204)
    assert (tmp_path / "file").read_text() == "of the host\n"


def test_a_missing_source_of_a_bind_is_made_a_directory(engine: EngineProcess, tmp_path: Path) -> None:
    shell(engine, "maker", "touch /b/x", f"{tmp_path}/new/dir:/b")
    assert (tmp_path / "new" / "dir" / "x").exists()


def test_shared_memory_is_that_of_the_container_whose_ipc_is_joined(engine: EngineProcess) -> None:
    engine.run("owner", "sh", "-c", "echo shared > /dev/shm/x; sleep 60", host={"IpcMode": "shareable"})
    script = "until [ -e /dev/shm/x ]; do sleep 0.02; done; cat /dev/shm/x"
    assert shell(engine, "joiner", script, host={"IpcMode": "container:owner"}) == ["shared"]
    engine.json("DELETE", "/containers/owner?force=1", expect=204)


@pytest.mark.parametrize("mode", ["", "private", "none"])
def test_shared_memory_of_a_container_that_keeps_it_to_itself_is_not_joined(engine: EngineProcess, mode: str) -> None:
    engine.run("keeper", "sleep", "60", host={"IpcMode": mode})
    engine.create("intruder", "true", host={"IpcMode": "container:keeper"})
    answer = engine.json("POST", "/containers/intruder/start", expect=409)
    assert "non-shareable IPC (hint: use IpcMode:shareable for the donor container)" in answer["message"]
    engine.json("POST", "/containers/keeper/kill", expect=204)
    assert "keeper: it is not running" in engine.json("POST", "/containers/intruder/start", expect=409)["message"]
    for name in ("keeper", "intruder"):
        engine.json("DELETE", f"/containers/{name}?force=1", expect=204)


def test_volumes_are_there_again_after_the_daemon_was_killed(engine: EngineProcess) -> None:
    volume = Path(create(engine, "lasting", Labels={"a": "b"})["Mountpoint"])
    (volume / "file").write_text("content")
    half = volume.parent / "filling"
    half.mkdir()
    (half / "rubbish").write_text("half a copy")
    whole = Path(create(engine, "whole")["Mountpoint"]).parent
    (whole / "filled").mkdir()
    (whole / "filled" / "entry").write_text("copied")
    engine.kill()
    engine.start()
    assert engine.json("GET", "/volumes/lasting")["Labels"] == {"a": "b"}
    assert (volume / "file").read_text() == "content"
    assert not half.exists()
    assert (whole / "_data" / "entry").read_text() == "copied"
    assert not (whole / "filled").exists()


def test_a_volume_s_directory_without_a_record_is_a_volume(engine: EngineProcess) -> None:
    data = Path(engine.data_root) / "volumes" / "found" / "_data"
    data.mkdir(parents=True)
    (data / "file").write_text("precious")
    engine.stop()
    engine.start()
    assert engine.json("GET", "/volumes/found")["Mountpoint"] == str(data)
