"""What a container could get hold of from the process that starts it: 1, 5, 13, 16 and 30 of the known escapes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.linux.mount import MountFlag
from sampan.runtime import init
from sampan.runtime.child import Child
from sampan.runtime.handshake import StepFailed
from sampan.runtime.launch_plan import CapabilitiesPlan, MountPlan

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat

SOURCE = str(Path(init.__file__).parents[2])
# For each process but its own: names of its descriptors, where they lead, its binary, memory, environment and root.
SPY = """
touch /spying
while [ ! -e /enough ]; do
  for process in /proc/[0-9]*; do
    number=${process#/proc/}
    [ $number -gt 1 ] && [ $number != $$ ] || continue
    case $(cat $process/comm 2>/dev/null) in sampan*|python*) ;; *) continue ;; esac
    found=
    for entry in $process/fd/* $process/exe $process/cwd $process/root; do
      target=$(readlink $entry) && found="$found $target"
    done
    head -c 1 $process/mem && found="$found memory"
    [ -n "$(head -c 1 $process/environ)$(head -c 1 $process/maps)" ] && found="$found maps"
    # a process that has become the program meanwhile may be read
    case $(cat $process/comm 2>/dev/null) in sampan*|python*) echo "SAW $number READ:$found" ;; esac
  done
done >> /log 2>/dev/null
"""


def pause_for(log: Path) -> Callable[[Child], None]:
    """A step that waits until the spy has looked at this process, seen from the host or from inside."""

    def pause(_: Child) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for path in (log, "/log"):
                with suppress(OSError):
                    if os.stat(path).st_size:
                        return
            time.sleep(0.01)

    return pause


@pytest.mark.parametrize("index", range(len(init.JOIN_STEPS)), ids=[step.__name__ for step in init.JOIN_STEPS])
def test_an_exec_shows_nothing_of_the_host_at_any_step(boat: Boat, index: int) -> None:
    """CVE-2016-9962: before each step the container's root looks at the process that enters."""

    def both() -> str:
        launched = boat.start(boat.plan(SPY))
        while not (boat.root / "spying").exists():
            time.sleep(0.01)
        init.JOIN_STEPS = (*init.JOIN_STEPS[:index], pause_for(boat.root / "log"), *init.JOIN_STEPS[index:])
        boat.exec_here(launched, boat.process("true"))
        (boat.root / "enough").touch()
        boat.finish(launched)
        return (boat.root / "log").read_text()

    lines = boat.call(both).splitlines()
    assert lines
    assert [line for line in lines if not line.endswith("READ:")] == []


def test_the_programs_own_descriptors_are_all_that_an_exec_has(boat: Boat) -> None:
    def both() -> list[str]:
        launched = boat.start(boat.plan("sleep 100"))
        script = "for fd in /proc/self/fd/*; do readlink $fd; done; ls /proc/self/fd | wc -l"
        lines = boat.exec_here(launched, boat.process("/bin/sh", "-c", script)).lines
        boat.end(launched)
        return lines

    lines = boat.call(both)
    assert [line.split()[0] for line in lines[:3]] == ["/memfd:in", "/memfd:out", "/memfd:err"]
    assert lines[-1] == "4"


# Changing the mode to what it is goes the way of a write, but is not stopped by another process that runs the binary.
EXPLOIT = """#!/proc/self/exe
import os
fd = os.open("/proc/self/exe", os.O_RDONLY)
mode = os.fstat(fd).st_mode & 0o7777
for name, attempt in (
    ("own", lambda: os.chmod(fd, mode)),
    ("path", lambda: os.chmod("/proc/self/exe", mode)),
    ("pid 1", lambda: os.chmod("/proc/1/exe", mode)),
    ("opened", lambda: os.close(os.open("/proc/self/exe", os.O_WRONLY))),
):
    try:
        attempt()
        print(name, "changed")
    except OSError as error:
        print(name, error.strerror)
"""
LAUNCH = """
import pickle, sys
sys.path[:0] = [{source!r}]
from sampan.runtime.sealed import run_sealed
{seal}
from sampan.runtime.launch import launch, release
from sampan.linux.process import wait_pidfd
with open({plan!r}, "rb") as file:
    plan = pickle.load(file)
launched = launch(plan, None)
launched.go()
ended = wait_pidfd(launched.pidfd)
release(plan.cgroup.path)
sys.exit(ended.status)
"""


def launch_in_interpreter(boat: Boat, *, init: bool, sealed: bool = True) -> subprocess.CompletedProcess[str]:
    """Launch the exploit from an interpreter of its own, with the host's libraries inside for it to run at all."""
    import pickle

    (boat.root / "exploit").write_text(EXPLOIT)
    (boat.root / "exploit").chmod(0o755)
    shown = [path for path in ("/lib", "/lib64", "/usr") if Path(path).is_dir()]
    read_only = int(MountFlag.BIND | MountFlag.RDONLY)
    binds = tuple(MountPlan(path.strip("/"), os.path.realpath(path), "", read_only) for path in shown)
    plan = boat.plan(boat.process("/exploit"), init=init)
    path = boat.directory / "plan"
    path.write_bytes(pickle.dumps(replace(plan, mounts=(*plan.mounts, *binds))))
    seal = "run_sealed()" if sealed else ""
    program = LAUNCH.format(source=SOURCE, plan=str(path), seal=seal)
    return subprocess.run(
        [sys.executable, "-IS", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("init", [False, True])
def test_the_binary_of_the_runtime_cannot_be_written_from_inside(boat: Boat, *, init: bool) -> None:
    """CVE-2019-5736: the program is our own binary, by way of /proc/self/exe."""
    binary = Path(sys.executable).resolve()
    before = hashlib.sha256(binary.read_bytes()).hexdigest()
    done = launch_in_interpreter(boat, init=init)
    lines = done.stdout.splitlines()
    assert len(lines) == 4, done.stderr
    assert lines[:2] == ["own Read-only file system", "path Read-only file system"]
    assert lines[2] == ("pid 1 Permission denied" if init else "pid 1 Read-only file system")
    assert "changed" not in done.stdout
    assert hashlib.sha256(binary.read_bytes()).hexdigest() == before


def test_without_the_seal_the_same_exploit_reaches_the_hosts_binary(boat: Boat) -> None:
    done = launch_in_interpreter(boat, init=False, sealed=False)
    assert "own changed" in done.stdout, done.stderr


# 13: CVE-2022-24769 and others


def test_the_inheritable_set_is_empty(boat: Boat) -> None:
    def both() -> tuple[str, str]:
        script = "grep -E '^Cap(Inh|Amb)' /proc/self/status | cut -f2 | sort -u"
        launched = boat.start(boat.plan("sleep 100"))
        inside = boat.exec_here(launched, boat.process(script)).out
        boat.end(launched)
        return boat.run_here(boat.plan(script)).out, inside

    assert boat.call(both) == ("0000000000000000\n", "0000000000000000\n")


def test_inheritable_capabilities_of_the_caller_do_not_pass(boat: Boat) -> None:
    def inherited() -> str:
        from sampan.linux import capability

        sets = capability.get_capabilities()
        capability.set_capabilities(sets.effective, sets.permitted, 0x400)
        capability.raise_ambient(0x400)
        own = boat.process(
            "grep -E '^Cap(Inh|Amb|Eff)' /proc/self/status | cut -f2 | sort -u",
            uid=1000,
            gid=1000,
            capabilities=CapabilitiesPlan(0x401, 0x1, 0x1, 0, 0),
        )
        return boat.run_here(boat.plan(own)).out

    assert boat.call(inherited) == "0000000000000000\n"


# 16: CVE-2024-21626


@pytest.mark.parametrize("create_cwd", [True, False])
def test_a_working_directory_by_way_of_a_descriptor_never_is_the_hosts(boat: Boat, *, create_cwd: bool) -> None:
    """The caller is in a directory of the host and has it open many times; nothing of it is ever seen inside."""
    (boat.directory / "outside").mkdir()
    (boat.directory / "outside" / "marker").touch()
    for number in range(20):
        (boat.root / f"link{number}").symlink_to(f"/proc/self/fd/{number}")

    def attempts() -> list[str]:
        os.chdir(boat.directory / "outside")
        for _ in range(4):
            os.open(".", os.O_RDONLY)
        launched = boat.start(boat.plan("sleep 100"))
        seen = []
        for number in range(20):
            for path in (f"/proc/self/fd/{number}", f"/proc/self/fd/{number}/..", f"/link{number}"):
                own = boat.process("ls . .. ../.. ; pwd", cwd=path, create_cwd=create_cwd)
                for inside in (True, False):
                    try:
                        out = boat.exec_here(launched, own).out if inside else boat.run_here(boat.plan(own)).out
                    except StepFailed as error:
                        out = "" if error.step == "enter_cwd" else str(error)
                    seen.append(out)
        boat.end(launched)
        return seen

    seen = boat.call(attempts)
    assert [out for out in seen if "marker" in out or "unreachable" in out] == []
    assert seen.count("") > len(seen) * 0.9 if create_cwd else set(seen) == {""}


def test_proc_self_cwd_and_root_are_no_way_out(boat: Boat) -> None:
    for path in ("/proc/self/cwd", "/proc/1/cwd", "/proc/self/root/..", "/proc/1/root"):
        with pytest.raises(StepFailed) as caught:
            boat.run(boat.plan(boat.process("ls", cwd=path)))
        assert caught.value.step == "enter_cwd"


# 30: CVE-2023-25809


@pytest.mark.parametrize("mapped", [False, True])
def test_the_cgroup_tree_is_readonly_with_and_without_a_namespace_of_its_own(boat: Boat, *, mapped: bool) -> None:
    script = (
        "for place in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $place/x && echo made;"
        " echo 1 > $place/cgroup.procs && echo written; done 2>/dev/null;"
        " for file in /sys/fs/cgroup/*/release_agent; do echo /x > $file && echo agent; done 2>/dev/null; true"
    )
    for less in ((), ("cgroup",)):
        plan = boat.mapped(script) if mapped else boat.plan(script)
        names = replace(plan.namespaces, new=plan.namespaces.new - set(less))
        assert boat.run(replace(plan, namespaces=names)).out == ""
