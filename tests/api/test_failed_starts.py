"""A start that fails in the container's own processes says why, and what can be done about it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.building import need_busybox
from tests.engine_process import EngineProcess


def refusal(engine: EngineProcess, *command: str, host: dict[str, Any] | None = None, **config: Any) -> tuple[int, str]:
    """Status of the start, and its sentence and remedy as the command shows them."""
    container = engine.create("", *command, host=host, **config)
    status, _ = engine.request("POST", f"/containers/{container}/start")
    answer = engine.json("POST", f"/containers/{container}/start", expect=status)
    engine.json("DELETE", f"/containers/{container}?force=1", expect=204)
    return status, f"{answer['message']} / {answer.get('remedy', '')}"


def script(folder: Path, content: bytes) -> dict[str, Any]:
    (folder / "program").write_bytes(content)
    os.chmod(folder / "program", 0o755)
    return {"Binds": [f"{folder}:/x:ro"]}


def test_a_source_that_cannot_be_made_is_named_with_what_is_in_the_way(engine: EngineProcess, tmp_path: Path) -> None:
    status, answer = refusal(engine, "true", host={"Binds": ["/proc/nobody/x:/y"]})
    assert status == 500
    assert "creating mount source path '/proc/nobody/x': mkdir /proc/nobody: no such file or directory" in answer
    assert answer.endswith("name a path of the host that is there, or can be made")
    (tmp_path / "file").touch()
    status, answer = refusal(engine, "true", host={"Binds": [f"{tmp_path}/file/x:/y"]})
    assert status == 500
    assert answer.endswith("a part of this one is a file")


def test_a_part_of_an_image_that_is_not_there_is_named(engine: EngineProcess) -> None:
    need_busybox()
    engine.json("POST", "/images/busybox/tag?repo=tools", expect=201)
    options = {"Subpath": "no/such"}
    mount = {"Type": "image", "Source": "tools", "Target": "/opt", "ImageOptions": options}
    _, answer = refusal(engine, "true", host={"Mounts": [mount]})
    assert "subpath no/such of the image at /opt: no such file or directory" in answer
    assert answer.endswith("name a path that is in it, or mount it as a whole")


def test_a_directory_deeper_than_any_path_gives_the_devices_that_can_be_reached(
    engine: EngineProcess, tmp_path: Path
) -> None:
    deep = tmp_path / "deep"
    deep.mkdir()
    os.mknod(deep / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    fd = os.open(deep, os.O_RDONLY)
    for _ in range(25):  # of 200 characters: more than PATH_MAX
        os.mkdir("d" * 200, dir_fd=fd)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    try:
        devices = [{"PathOnHost": str(deep), "PathInContainer": "/dev/few", "CgroupPermissions": "rwm"}]
        engine.run("few", "stat", "-c", "%t:%T", "/dev/few/zero", host={"Devices": devices})
        assert engine.wait("few") == 0
        assert engine.output("few") == ["1:5"]
        engine.json("DELETE", "/containers/few", expect=204)
    finally:
        shutil.rmtree(deep)


def test_a_source_that_has_gone_since_create_is_told_in_the_words_of_docker(
    engine: EngineProcess, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    mount = {"Type": "bind", "Source": str(source), "Target": "/x"}
    engine.create("bereft", "true", host={"Mounts": [mount]})
    source.rmdir()
    answer = engine.json("POST", "/containers/bereft/start", expect=500)
    assert answer["message"].endswith(f"bind source path does not exist: {source}")
    assert answer["remedy"] == "make it again, or create the container without it"


def test_an_option_of_a_tmpfs_that_there_is_not_is_told_with_the_path_of_the_mount(engine: EngineProcess) -> None:
    _, answer = refusal(engine, "true", host={"Tmpfs": {"/x": "foo"}})
    assert "mount tmpfs on /x: " in answer
    assert answer.endswith(" / man 5 tmpfs lists the options of a tmpfs")


def test_what_marks_a_deleted_name_in_an_overlay_is_no_device(engine: EngineProcess, tmp_path: Path) -> None:
    os.mknod(tmp_path / "gone", stat.S_IFCHR)
    os.mknod(tmp_path / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    devices = [{"PathOnHost": str(tmp_path), "PathInContainer": "/dev/upper", "CgroupPermissions": "rwm"}]
    engine.run("upper", "ls", "/dev/upper", host={"Devices": devices})
    assert engine.wait("upper") == 0
    assert engine.output("upper") == ["zero"]


@pytest.mark.parametrize(
    ("content", "said", "remedy"),
    [
        (b"#!/no/such/interpreter\n", "exec /x/program: no such file or directory", "what runs it"),
        (b"#!/bin/sh\r\necho dos\r\n", "exec /x/program: no such file or directory", "DOS line ends"),
        (b"neither ELF nor a script", "exec /x/program: exec format error", "#! line"),
    ],
)
def test_a_file_that_cannot_be_executed_is_told_with_what_it_lacks(
    engine: EngineProcess, tmp_path: Path, content: bytes, said: str, remedy: str
) -> None:
    status, answer = refusal(engine, "/x/program", host=script(tmp_path, content))
    assert status == 400
    assert said in answer.partition(" / ")[0]
    assert remedy in answer.partition(" / ")[2]


@pytest.mark.parametrize("program", ["/no/such/program", "/etc/hostname/below", "/etc"])
def test_a_program_that_is_none_has_a_remedy(engine: EngineProcess, program: str) -> None:
    _, answer = refusal(engine, program)
    assert f'exec: "{program}": ' in answer
    assert " / name a program" in answer


@pytest.mark.parametrize(("source", "target"), [("file", "/etc"), ("", "/etc/group"), ("file", "/etc/group/below")])
def test_a_file_and_a_directory_that_do_not_fit_are_told_in_words_that_people_search_for(
    engine: EngineProcess, tmp_path: Path, source: str, target: str
) -> None:
    (tmp_path / "file").touch()
    status, answer = refusal(engine, "true", host={"Binds": [f"{tmp_path / source}:{target}"]})
    assert status == 500
    assert "Are you trying to mount a directory onto a file (or vice-versa)?" in answer
    assert " / mount a directory on a directory, a file on a file" in answer
    assert "is a directory" not in answer, "docker would leave with 126, as for a program that cannot be executed"


@pytest.mark.parametrize(
    ("host", "remedy"),
    [
        ({"Tmpfs": {"/mnt": "wings=2"}}, "man 5 tmpfs"),
        ({"Sysctls": {"net.ipv4.ip_forward": "perhaps"}, "NetworkMode": "none"}, "another kind of value"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 1 << 40, "Hard": 1 << 40}]}, "ask for less"),
    ],
)
def test_what_the_kernel_refuses_has_a_remedy(engine: EngineProcess, host: dict[str, Any], remedy: str) -> None:
    assert remedy in refusal(engine, "true", host=host)[1]


def test_an_environment_that_is_too_long_has_a_remedy(engine: EngineProcess) -> None:
    answer = refusal(engine, "true", Env=[f"A={'a' * 200_000}"])[1]
    assert "argument list too long" in answer
    assert " / arguments and environment have a bound" in answer


def test_a_working_directory_that_is_a_file_has_a_remedy(engine: EngineProcess) -> None:
    assert "name a directory with -w" in refusal(engine, "true", WorkingDir="/etc/hostname")[1]
