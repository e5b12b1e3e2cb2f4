"""Kinds of mounts and their options: images, binds with ids mapped or recursively read-only, tmpfs; and refusals."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.building import build
from tests.engine_process import EngineProcess

MS_PRIVATE, MS_REC = 1 << 18, 1 << 14


def run(engine: EngineProcess, name: str, script: str, *mounts: dict[str, Any], image: str = "host") -> list[str]:
    """What a script writes in a container with these mounts."""
    container_id = engine.create(name, "sh", "-c", script, image=image, host={"Mounts": list(mounts)})
    engine.json("POST", f"/containers/{container_id}/start", expect=204)
    code = engine.wait(name)
    output: list[str] = engine.output(name)
    assert code == 0, output
    return output


def refusal(engine: EngineProcess, expect: int, **mount: Any) -> str:
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", "Mounts": [mount]}}
    return str(engine.json("POST", "/containers/create", body, expect=expect)["message"])


@pytest.fixture
def tools(engine: EngineProcess) -> Iterator[str]:
    """An image of two layers."""
    engine.create("maker", "sh", "-c", "mkdir -p /tools/sub; echo a tool > /tools/sub/one", image="busybox")
    engine.json("POST", "/containers/maker/start", expect=204)
    engine.wait("maker")
    engine.json("POST", "/commit?container=maker&repo=tools", {})
    engine.json("DELETE", "/containers/maker", expect=204)
    yield "tools"
    engine.request("DELETE", "/images/tools?force=1")


def test_an_image_is_mounted_read_only_whole_or_in_part(engine: EngineProcess, tools: str) -> None:
    whole = {"Type": "image", "Source": tools, "Target": "/mnt/whole"}
    part = {"Type": "image", "Source": tools, "Target": "/mnt/part", "ImageOptions": {"Subpath": "tools/sub"}}
    file = {"Type": "image", "Source": tools, "Target": "/mnt/file", "ImageOptions": {"Subpath": "tools/sub/one"}}
    script = "cat /mnt/whole/tools/sub/one /mnt/part/one /mnt/file; touch /mnt/part/new 2>/dev/null || echo read-only"
    assert run(engine, "uses", script, whole, part, file) == ["a tool"] * 3 + ["read-only"]
    shown = engine.inspect("uses")
    assert shown["HostConfig"]["Mounts"] == [whole, part, file]
    assert {(point["Type"], point["Source"], point["RW"]) for point in shown["Mounts"]} == {("image", tools, False)}
    assert "is using its referenced image" in engine.json("DELETE", f"/images/{tools}", expect=409)["message"]
    engine.json("DELETE", "/containers/uses", expect=204)
    engine.json("DELETE", f"/images/{tools}", expect=200)


def test_an_image_without_layers_is_mounted_as_an_empty_folder(engine: EngineProcess) -> None:
    build(engine, {"Dockerfile": "FROM scratch\nENV A=b\n"}, t="empty-image")
    mount = {"Type": "image", "Source": "empty-image", "Target": "/mnt"}
    assert run(engine, "looks", "ls -A /mnt; touch /mnt/new 2>/dev/null || echo read-only", mount) == ["read-only"]
    engine.json("DELETE", "/containers/looks", expect=204)
    engine.json("DELETE", "/images/empty-image", expect=200)


def test_an_image_comes_into_a_running_container_too(engine: EngineProcess, tools: str) -> None:
    engine.run(
        "running", "sh", "-c", "until [ -e /mnt/in/tools/sub/one ]; do sleep 0.05; done; cat /mnt/in/tools/sub/one"
    )
    mount = {"Type": "image", "Source": tools, "Target": "/mnt/in"}
    engine.json("POST", "/containers/running/update", {"Mounts": [mount]}, expect=200)
    assert engine.wait("running") == 0
    assert engine.output("running") == ["a tool"]
    engine.json("DELETE", "/containers/running", expect=204)


def test_an_image_that_cannot_be_mounted_is_refused(engine: EngineProcess, tools: str) -> None:
    assert "No such image" in refusal(engine, 404, Type="image", Source="nosuch", Target="/mnt")
    assert "must not be empty" in refusal(engine, 400, Type="image", Target="/mnt")
    assert "this machine itself" in refusal(engine, 501, Type="image", Source="host", Target="/mnt")
    outside = {"Type": "image", "Source": tools, "Target": "/mnt", "ImageOptions": {"Subpath": "../../../etc/nothing"}}
    engine.create("lost", "true", host={"Mounts": [outside]})
    assert "no such file" in engine.json("POST", "/containers/lost/start", expect=500)["message"]
    engine.json("DELETE", "/containers/lost", expect=204)


@pytest.mark.parametrize(
    ("kind", "words"), [("npipe", "named pipes are Windows' own"), ("cluster", "there is no swarm")]
)
def test_kinds_that_cannot_be_here_are_refused_by_name(engine: EngineProcess, kind: str, words: str) -> None:
    assert words in refusal(engine, 501, Type=kind, Source="x", Target="/mnt")
    assert "mount type unknown" in refusal(engine, 400, Type="floppy", Target="/mnt")


def test_ids_of_a_bind_are_mapped_by_the_kernel_and_on_disk_stay_as_they_are(
    engine: EngineProcess, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        os.chown(path, 1000, 1001)
    maps = {
        "UidMappings": [{"ContainerID": 1000, "HostID": 0, "Size": 1}],
        "GidMappings": [{"ContainerID": 1001, "HostID": 0, "Size": 1}],
    }
    mount = {"Type": "bind", "Source": str(tmp_path), "Target": "/mnt", "BindOptions": maps}
    assert run(engine, "mapped", "stat -c %u:%g /mnt/file; touch /mnt/new", mount) == ["0:0"]
    assert ((tmp_path / "new").stat().st_uid, (tmp_path / "new").stat().st_gid) == (1000, 1001)
    assert engine.inspect("mapped")["HostConfig"]["Mounts"] == [mount]
    engine.json("DELETE", "/containers/mapped", expect=204)


@pytest.mark.parametrize(
    ("name", "user", "mapping", "seen"),
    [
        ("as-root", "", {"Source": "match-user"}, "0:0"),
        ("as-user", "daemon", {"Source": "match-user"}, "1:1"),
        ("as-another", "0", {"Source": "match-user", "User": "7:9"}, "7:9"),
    ],
)
def test_the_owner_of_a_bind_is_the_container_s_user(
    engine: EngineProcess, tmp_path: Path, name: str, user: str, mapping: dict[str, str], seen: str
) -> None:
    os.chown(tmp_path, 1000, 1001)
    tmp_path.chmod(0o770)
    mount = {"Type": "bind", "Source": str(tmp_path), "Target": "/mnt", "BindOptions": {"IDMapping": mapping}}
    engine.run(name, "sh", "-c", "stat -c %u:%g /mnt; touch /mnt/new || true", host={"Mounts": [mount]}, User=user)
    assert engine.wait(name) == 0
    assert engine.output(name)[0] == seen
    if not mapping.get("User"):
        assert ((tmp_path / "new").stat().st_uid, (tmp_path / "new").stat().st_gid) == (1000, 1001)
    assert engine.inspect(name)["HostConfig"]["Mounts"] == [mount]
    engine.json("DELETE", f"/containers/{name}", expect=204)


def test_an_id_mapping_that_cannot_be_is_refused(engine: EngineProcess, tmp_path: Path) -> None:
    mount = {"Type": "bind", "Source": str(tmp_path), "Target": "/mnt"}
    assert "invalid id mapping" in refusal(engine, 400, **mount, BindOptions={"IDMapping": {"Source": "guess"}})
    unknown = {**mount, "BindOptions": {"IDMapping": {"Source": "match-user", "User": "nosuchuser"}}}
    engine.create("odd", "true", host={"Mounts": [unknown]})
    assert "unable to find user" in engine.json("POST", "/containers/odd/start", expect=400)["message"]
    engine.json("DELETE", "/containers/odd", expect=204)


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Path]:
    """A directory with another mount in it."""
    outer = tmp_path / "outer"
    (outer / "inner").mkdir(parents=True)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"tmpfs", os.fsencode(outer / "inner"), b"tmpfs", 0, b"") == 0
    (outer / "inner" / "there").touch()
    yield outer
    subprocess.run(["umount", str(outer / "inner")], check=True)


@pytest.mark.parametrize(
    ("name", "readonly", "options", "expected"),
    [
        ("plain", False, {}, ["there", "outer", "inner"]),
        ("readonly", True, {}, ["there"]),
        ("outer-only", True, {"ReadOnlyNonRecursive": True}, ["there", "inner"]),
        ("forced", True, {"ReadOnlyForceRecursive": True, "Propagation": "rprivate"}, ["there"]),
        ("alone", False, {"NonRecursive": True}, ["outer", "inner"]),
    ],
)
def test_a_bind_is_as_recursive_as_it_is_asked(
    engine: EngineProcess,
    nested: Path,
    name: str,
    readonly: bool,  # noqa: FBT001
    options: dict[str, Any],
    expected: list[str],
) -> None:
    mount = {"Type": "bind", "Source": str(nested), "Target": "/mnt", "ReadOnly": readonly, "BindOptions": options}
    script = "ls /mnt/inner; touch /mnt/x 2>&- && echo outer; touch /mnt/inner/x 2>&- && echo inner; true"
    assert run(engine, name, script, mount) == expected
    engine.json("DELETE", f"/containers/{name}", expect=204)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A directory that is a shared mount, with an empty one in it."""
    place = tmp_path / "shared"
    (place / "inner").mkdir(parents=True)
    subprocess.run(["mount", "--bind", place, place], check=True)
    subprocess.run(["mount", "--make-shared", place], check=True)
    yield place
    subprocess.run(["umount", "--recursive", place], check=True)


@pytest.mark.parametrize(
    ("propagation", "is_seen"), [("rshared", True), ("shared", True), ("rslave", False), ("rprivate", False)]
)
def test_what_a_container_mounts_is_seen_outside_where_that_is_shared(
    engine: EngineProcess, shared: Path, propagation: str, *, is_seen: bool
) -> None:
    binds = [f"{shared}:/mnt:{propagation}"]
    engine.run("mounting", "mount", "-t", "tmpfs", "mine", "/mnt/inner", host={"Binds": binds, "Privileged": True})
    assert engine.wait("mounting") == 0
    assert os.path.ismount(shared / "inner") == is_seen
    engine.json("DELETE", "/containers/mounting", expect=204)


def test_a_missing_source_is_made_only_when_asked(engine: EngineProcess, tmp_path: Path) -> None:
    missing = {"Type": "bind", "Source": f"{tmp_path}/a/b", "Target": "/mnt"}
    assert "bind source path does not exist" in refusal(engine, 400, **missing)
    run(engine, "making", "touch /mnt/x", {**missing, "BindOptions": {"CreateMountpoint": True}})
    assert (tmp_path / "a" / "b" / "x").exists()
    engine.json("DELETE", "/containers/making", expect=204)


def test_a_tmpfs_has_its_size_and_mode(engine: EngineProcess) -> None:
    mount = {"Type": "tmpfs", "Target": "/mnt", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1750}}
    script = "stat -c %a /mnt; stat -f -c '%T %b %S' /mnt; grep ' /mnt ' /proc/self/mountinfo | cut -d' ' -f6"
    mode, sizes, options = run(engine, "memory", script, mount)
    assert mode == "1750"
    kind, blocks, size = sizes.split()
    assert (kind, int(blocks) * int(size)) == ("tmpfs", 1 << 20)
    assert {"nosuid", "nodev", "noexec"} <= set(options.split(","))
    readonly = {"Type": "tmpfs", "Target": "/mnt", "ReadOnly": True}
    assert run(engine, "frozen", "touch /mnt/x 2>/dev/null || echo read-only", readonly) == ["read-only"]
    engine.json("DELETE", "/containers/memory", expect=204)
    engine.json("DELETE", "/containers/frozen", expect=204)


def test_a_read_only_root_has_the_engines_files_read_only_too(engine: EngineProcess) -> None:
    script = "for file in hosts hostname resolv.conf; do echo x 2>/dev/null >> /etc/$file && echo $file; done; true"
    for name, readonly, written in (("ro", True, []), ("rw", False, ["hosts", "hostname", "resolv.conf"])):
        engine.run(name, "bash", "-c", script, host={"ReadonlyRootfs": readonly})
        assert engine.wait(name) == 0
        assert engine.output(name) == written
