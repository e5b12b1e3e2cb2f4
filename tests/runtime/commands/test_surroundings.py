"""What is around a container while it is made: mounts in order, hooks at the host's paths, shared namespaces."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import SPEC, Runtime, interpreter

LINUX = tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])


def hook(script: str) -> list[dict[str, Any]]:
    return [{"path": "/bin/sh", "args": ["sh", "-c", script]}]


def test_mounts_are_listed_in_the_order_of_the_specification(runtime: Runtime, tmp_path: Path) -> None:
    mounts = [
        *SPEC["mounts"],
        {"destination": "/first", "type": "bind", "source": str(tmp_path), "options": ["rbind"]},
        {"destination": "/second", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/third", "type": "bind", "source": str(tmp_path), "options": ["bind", "ro"]},
    ]
    runtime.write("cat", "/proc/self/mountinfo", mounts=mounts)
    targets = [line.split()[4] for line in runtime.ok("run", runtime.new_id()).splitlines()]
    wanted = [mount["destination"] for mount in mounts]
    assert [target for target in targets if target in wanted] == wanted


def test_early_hooks_find_the_root_at_its_own_path_in_the_containers_mount_namespace(runtime: Runtime) -> None:
    root = runtime.bundle / "rootfs"
    (root / "given").mkdir()
    enter = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')"
    mount = f"nsenter -m -t $pid mount -t tmpfs -o size=1m from-hook {root}/given"
    runtime.write(
        "grep from-hook /proc/self/mountinfo; ls /made",
        hooks={"createRuntime": hook(f"{enter}; {mount}"), "createContainer": hook("pwd > ./made; mkdir -p ./tmp/x")},
    )
    words = runtime.ok("run", runtime.new_id())
    assert " /given " in words
    assert (root / "made").read_text() == f"{root}\n"
    assert "from-hook" not in Path("/proc/self/mountinfo").read_text()


def test_a_working_directory_is_made_below_a_read_only_root(runtime: Runtime) -> None:
    runtime.write("pwd; touch x 2>&1", process__cwd="/not/there", root__readonly=True)
    done = runtime("run", runtime.new_id())
    assert done.stdout.splitlines()[0] == "/not/there"
    assert "Read-only file system" in done.stdout


def test_a_bind_has_the_ids_that_its_own_mappings_give_it(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    maps = [{"containerID": 0, "hostID": 1000, "size": 10}]
    bind = {"destination": "/given", "type": "bind", "source": str(tmp_path / "given"), "options": ["bind"]}
    runtime.write("stat -c %u:%g /given", mounts=[*SPEC["mounts"], {**bind, "uidMappings": maps, "gidMappings": maps}])
    assert runtime.ok("run", runtime.new_id()) == "1000:1000\n"


@pytest.mark.skipif(LINUX < (6, 15), reason="needs Linux 6.15: mounts inside of a detached tree")
def test_a_mount_namespace_can_be_joined(runtime: Runtime) -> None:
    with subprocess.Popen(["unshare", "-m", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            path = f"/proc/{other.pid}/ns/mnt"
            others = [{"type": kind} for kind in ("pid", "uts", "ipc")]
            runtime.write(
                "readlink /proc/self/ns/mnt; ls /", linux__namespaces=[*others, {"type": "mount", "path": path}]
            )
            words = runtime.ok("run", runtime.new_id()).split()
            assert words[0] == os.readlink(path)
            assert "bin" in words
            assert "boot" not in words
            assert str(runtime.bundle) not in Path(f"/proc/{other.pid}/mountinfo").read_text()
        finally:
            other.kill()


def test_capabilities_that_the_runtime_lacks_are_left_out(runtime: Runtime) -> None:
    sets = {name: ["CAP_KILL", "CAP_CHOWN"] for name in ("bounding", "effective", "permitted")}
    runtime.write("grep", "CapEff", "/proc/self/status", process__capabilities=sets)
    name = runtime.new_id()
    command = ["setpriv", "--bounding-set", "-chown", *runtime.program, "--root", str(runtime.root), "run", name]
    done = subprocess.run(
        command, cwd=runtime.bundle, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    assert int(done.stdout.split()[1], 16) == 1 << 5


def test_a_profile_of_a_module_that_is_not_there_is_named(runtime: Runtime) -> None:
    runtime.write(process__apparmorProfile="no-such-profile")
    assert "no-such-profile" in runtime.refused("run", runtime.new_id())


def test_prestart_hooks_are_told_that_the_container_is_created(runtime: Runtime, tmp_path: Path) -> None:
    runtime.write("true", hooks={kind: hook(f"cat > {tmp_path}/{kind}") for kind in ("prestart", "createRuntime")})
    runtime.ok("run", runtime.new_id())
    assert json.loads((tmp_path / "prestart").read_text())["status"] == "created"
    assert json.loads((tmp_path / "createRuntime").read_text())["status"] == "creating"


def test_cgroup2_that_the_host_has_not_mounted_is_named(runtime: Runtime) -> None:
    mounted = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if not any(words[words.index("-") + 1] == "cgroup" for words in mounted):
        pytest.skip("no cgroups of version 1")
    unified = [words[4] for words in mounted if words[words.index("-") + 1] == "cgroup2"]
    hidden = ["unshare", "-m", "sh", "-c", 'for one in $0; do umount "$one"; done; exec "$@"', " ".join(unified)]
    runtime.program = [*hidden, *interpreter()]
    runtime.write(mounts=[*SPEC["mounts"], {"destination": "/two", "type": "cgroup2", "source": "cgroup"}])
    refusal = runtime.refused("run", runtime.new_id())
    assert "no cgroup2 for /two: this host has mounted cgroups of version 1 alone" in refusal


def test_a_root_that_is_a_file_is_named(runtime: Runtime) -> None:
    file = runtime.bundle / "rootfs/etc/passwd"
    runtime.write(root__path=str(file))
    assert f"the root is not a directory: {file}" in runtime.refused("run", runtime.new_id())


def test_a_user_namespace_gets_device_nodes_of_its_own(runtime: Runtime) -> None:
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    spec = json.loads(json.dumps(SPEC))
    runtime.write(
        "stat -c '%a %u %g %t:%T' /dev/own /dev/null; echo x > /dev/null",
        linux__namespaces=[*spec["linux"]["namespaces"], {"type": "user"}],
        linux__uidMappings=maps,
        linux__gidMappings=maps,
        linux__devices=[
            {"path": "/dev/own", "type": "b", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8}
        ],
    )
    subprocess.run(["chown", "-R", "100000:100000", str(runtime.bundle / "rootfs")], check=True)
    for directory in (runtime.bundle, *runtime.bundle.parents):
        if str(directory).startswith("/tmp/"):
            directory.chmod(0o755)
    before = os.stat("/dev/null")
    assert runtime.ok("run", runtime.new_id()).splitlines() == ["640 7 8 1:5", "666 0 0 1:3"]
    assert os.stat("/dev/null").st_ctime_ns == before.st_ctime_ns
