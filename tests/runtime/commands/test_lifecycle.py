"""create, start, run, kill, delete: the lifecycle of runtime.md, and what is left when it goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from sampan.cgroup import hierarchies

from .conftest import Runtime, wait_until


def test_a_created_container_runs_its_program_only_after_start(runtime: Runtime) -> None:
    runtime.write("echo ran > /ran; sleep 1000")
    name = runtime.new_id()
    runtime.ok("create", name)
    ran = runtime.bundle / "rootfs/ran"
    state = runtime.state(name)
    assert state["status"] == "created"
    assert state["id"] == name
    assert state["bundle"] == str(runtime.bundle)
    assert state["ociVersion"] == "1.2.0"
    assert not ran.exists()
    runtime.ok("start", name)
    assert runtime.state(name)["status"] == "running"
    wait_until(ran.exists, "the program ran")
    runtime.ok("kill", name, "KILL")
    runtime.wait_for(name, "stopped")
    assert runtime.state(name)["pid"] == 0
    runtime.ok("delete", name)
    assert "container does not exist" in runtime.refused("state", name)


def test_what_does_not_fit_the_status_is_refused_and_changes_nothing(runtime: Runtime) -> None:
    name = runtime.running()
    assert "already running" in runtime.refused("start", name)
    assert "not stopped: running" in runtime.refused("delete", name)
    assert "not paused" in runtime.refused("resume", name)
    assert runtime.state(name)["status"] == "running"
    runtime.ok("kill", name, "9")
    runtime.wait_for(name, "stopped")
    assert "has stopped" in runtime.refused("start", name)
    assert "container not running" in runtime.refused("kill", name, "TERM")
    assert "not running" in runtime.refused("pause", name)
    assert "not running" in runtime.refused("update", "--pids-limit", "5", name)
    assert "is not running" in runtime.refused("events", "--stats", name)
    assert "cannot exec in a stopped container" in runtime.refused("exec", name, "true", code=255)


def test_a_created_container_is_not_stopped_and_can_be_deleted_by_force_only(runtime: Runtime) -> None:
    name = runtime.new_id()
    runtime.ok("create", name)
    assert "not stopped: created" in runtime.refused("delete", name)
    runtime.ok("delete", "--force", name)
    runtime.ok("delete", "--force", name)


@pytest.mark.parametrize("verb", ["state", "start", "kill", "delete", "pause", "resume", "ps", "events", "update"])
def test_a_container_that_does_not_exist_is_named(runtime: Runtime, verb: str) -> None:
    assert "container does not exist: nobody" in runtime.refused(verb, "nobody")


@pytest.mark.parametrize(
    "verb", ["state", "start", "kill", "delete", "pause", "resume", "ps", "events", "update", "run"]
)
def test_an_id_is_needed(runtime: Runtime, verb: str) -> None:
    assert "container id" in runtime.refused(verb)


def test_an_id_is_taken_once(runtime: Runtime) -> None:
    name = runtime.running()
    pid = runtime.state(name)["pid"]
    refusal = runtime.refused("create", name)
    assert f"container with id exists: {name}" in refusal
    assert "warning" not in refusal
    assert "container with id exists" in runtime.refused("run", name)
    assert runtime.state(name) | {"status": "running"} == runtime.state(name)
    assert runtime.state(name)["pid"] == pid


def test_an_id_is_free_again_after_a_create_that_was_killed_before_its_state_and_a_forced_delete(
    runtime: Runtime,
) -> None:
    name = runtime.new_id()
    (runtime.root / name).mkdir(parents=True)
    (runtime.root / name / "config.json.17").write_text("{")
    assert "container does not exist" in runtime.refused("delete", name)
    runtime.ok("delete", "--force", name)
    runtime.ok("run", name)


def test_later_changes_of_the_bundle_do_not_reach_the_container(runtime: Runtime) -> None:
    runtime.write("echo first > /out")
    name = runtime.new_id()
    runtime.ok("create", name)
    runtime.write("echo second > /out")
    runtime.ok("start", name)
    runtime.wait_for(name, "stopped")
    assert (runtime.bundle / "rootfs/out").read_text() == "first\n"


def test_the_config_may_have_another_name_and_the_bundle_be_elsewhere(runtime: Runtime, tmp_path: Path) -> None:
    runtime.write("echo here")
    (runtime.bundle / "config.json").rename(runtime.bundle / "other.json")
    name = runtime.new_id()
    done = subprocess.run(
        [*runtime.program, "--root", str(runtime.root), "run", "-b", str(runtime.bundle), "-f", "other.json", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "here\n"
    assert "JSON specification file" in runtime.refused("run", runtime.new_id())


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)],
)
def test_run_has_the_exit_code_of_the_program_and_leaves_nothing(runtime: Runtime, script: str, code: int) -> None:
    runtime.write(script, linux__namespaces=[{"type": "mount"}], hostname="")
    name = runtime.new_id()
    assert runtime("run", name).returncode == code
    assert "container does not exist" in runtime.refused("state", name)


def test_a_program_that_is_not_there_is_told_and_leaves_nothing(runtime: Runtime) -> None:
    runtime.write("/no/such", "program")
    for verb in ("run", "create"):
        name = runtime.new_id()
        assert "/no/such" in runtime.refused(verb, name)
        assert "container does not exist" in runtime.refused("state", name)


def test_a_wrong_document_is_refused_with_all_its_faults(runtime: Runtime) -> None:
    runtime.write(process__cwd="here", linux__intelRdt={}, hostname="h" * 99)
    error = runtime.refused("run", runtime.new_id())
    for part in ("process.cwd", "intelRdt", "hostname"):
        assert part in error


def test_run_keeps_the_stopped_container_when_asked(runtime: Runtime) -> None:
    name = runtime.new_id()
    runtime.ok("run", "--keep", name)
    assert runtime.state(name)["status"] == "stopped"
    runtime.ok("delete", name)


def test_run_passes_signals_on(runtime: Runtime) -> None:
    runtime.write("trap 'exit 42' TERM; echo ready; while :; do sleep 0.1; done")
    command = [*runtime.program, "--root", str(runtime.root), "run", runtime.new_id()]
    with subprocess.Popen(command, cwd=runtime.bundle, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 42


def test_a_detached_container_outlives_its_runner_and_has_its_pid_file(runtime: Runtime, tmp_path: Path) -> None:
    runtime.write("sleep", "1000")
    name = runtime.new_id()
    runtime.ok("run", "--detach", "--pid-file", str(tmp_path / "pid"), name)
    pid = int((tmp_path / "pid").read_text())
    assert runtime.state(name)["pid"] == pid
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\x00"
    assert os.listdir(tmp_path).count("pid") == 1


def test_a_pid_file_that_cannot_be_written_ends_the_start(runtime: Runtime) -> None:
    name = runtime.new_id()
    assert "/no/where" in runtime.refused("create", "--pid-file", "/no/where/pid", name)
    assert "container does not exist" in runtime.refused("state", name)


def test_when_its_runner_is_killed_a_container_goes_on_and_can_be_deleted(runtime: Runtime) -> None:
    runtime.write("echo ready; sleep 1000")
    name = runtime.new_id()
    command = [*runtime.program, "--root", str(runtime.root), "run", name]
    with subprocess.Popen(command, cwd=runtime.bundle, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    assert runtime.state(name)["status"] == "running"
    pid = runtime.state(name)["pid"]
    runtime.ok("delete", "-f", name)
    assert not Path(f"/proc/{pid}/exe").exists()


def test_kill_reaches_everyone_with_all(runtime: Runtime) -> None:
    name = runtime.running("sleep 1000 & sleep 1000 & wait")
    wait_until(lambda: len(json.loads(runtime.ok("ps", "-f", "json", name))) == 3, "all have started")
    pids = json.loads(runtime.ok("ps", "-f", "json", name))
    runtime.ok("kill", "--all", name, "KILL")
    runtime.wait_for(name, "stopped")
    assert not [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]
    runtime.ok("kill", "--all", name, "0")


def test_several_containers_are_meant_by_a_regular_expression(runtime: Runtime) -> None:
    first, second = runtime.running(), runtime.running()
    common = f"({first}|{second})$"
    runtime.ok("kill", "--regex", common, "KILL")
    for name in (first, second):
        runtime.wait_for(name, "stopped")
    runtime.ok("delete", "--regex", common)
    assert runtime.ok("list", "-q") == ""
    assert "invalid regular expression" in runtime.refused("delete", "--regex", "[")


def test_delete_by_force_ends_a_paused_container(runtime: Runtime) -> None:
    name = runtime.running()
    runtime.ok("pause", name)
    runtime.ok("delete", "--force", name)


def test_a_cgroup_that_was_there_before_stays_when_someone_else_is_in_it(runtime: Runtime) -> None:
    first = runtime.running()
    runtime.write("sleep", "1000", linux__cgroupsPath=f"/{first}")
    second = runtime.new_id()
    assert "cgroup is not empty" in runtime("run", "-d", second).stderr
    runtime.ok("delete", "--force", second)
    assert runtime.state(first)["status"] == "running"
    assert len(json.loads(runtime.ok("ps", "-f", "json", first))) == 1


def test_groups_that_were_made_above_the_cgroup_go_with_the_last_container(runtime: Runtime) -> None:
    top = runtime.new_id()
    names = [runtime.new_id(), runtime.new_id()]
    for name in names:
        runtime.write("sleep", "1000", linux__cgroupsPath=f"/{top}/middle/{name}")
        runtime.ok("run", "-d", name)

    there = directories_of(f"{top}/middle")
    assert there
    runtime.ok("delete", "-f", names[1])
    assert directories_of(f"{top}/middle") == there
    runtime.ok("delete", "-f", names[0])
    assert not directories_of(top)


def directories_of(group: str) -> list[Path]:
    """The group's directories, in whichever hierarchies it is."""
    roots = [Path(one.mount_point) for one in hierarchies().hierarchies]
    return [root / group for root in roots if (root / group).is_dir()]


def test_a_group_above_that_was_there_stays_where_it_was_and_nowhere_else(runtime: Runtime) -> None:
    top, name = runtime.new_id(), runtime.new_id()
    first, *others = [Path(one.mount_point, top) for one in hierarchies().hierarchies]
    first.mkdir()
    try:
        runtime.write("sleep", "1000", linux__cgroupsPath=f"/{top}/{name}")
        runtime.ok("run", "-d", name)
        assert directories_of(top) == [first, *others]
        runtime.ok("delete", "-f", name)
        assert directories_of(top) == [first]
    finally:
        first.rmdir()


def test_a_start_that_fails_leaves_no_group_above_its_own(runtime: Runtime) -> None:
    top, name = runtime.new_id(), runtime.new_id()
    runtime.write(linux__cgroupsPath=f"/{top}/middle/{name}", process__args=["/not/there"])
    assert "no such file" in runtime.refused("create", name)
    assert not directories_of(top)


def test_a_frozen_cgroup_is_refused(runtime: Runtime) -> None:
    first = runtime.running()
    runtime.ok("pause", first)
    runtime.write("true", linux__cgroupsPath=f"/{first}")
    assert "unexpectedly frozen" in runtime.refused("create", runtime.new_id())
    runtime.ok("resume", first)


def test_a_very_long_root_directory_is_fine(runtime: Runtime) -> None:
    runtime.root = runtime.root / ("x" * 120)
    name = runtime.new_id()
    runtime.ok("create", name)
    runtime.ok("start", name)
    runtime.wait_for(name, "stopped")
    runtime.ok("delete", name)
    runtime.root.rmdir()
    runtime.root = runtime.root.parent
    runtime.root.rmdir()
