"""exec: further processes, from words and from a process.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Runtime, end, wait_until, with_descriptor


@pytest.fixture
def name(runtime: Runtime) -> str:
    return runtime.running()


def test_a_process_is_in_the_container_and_its_code_is_ours(runtime: Runtime, name: str) -> None:
    assert runtime.ok("exec", name, "hostname") == "boat\n"
    assert runtime("exec", name, "sh", "-c", "exit 42").returncode == 42
    assert runtime("exec", name, "sh", "-c", "kill -KILL $$").returncode == 137


def test_what_cannot_be_started_is_255(runtime: Runtime, name: str) -> None:
    assert "no-such-program" in runtime.refused("exec", name, "no-such-program", code=255)
    assert "container does not exist" in runtime.refused("exec", "nobody", "true", code=255)
    assert "--pid-file" in runtime.refused("exec", "--pid-file", "/no/where/pid", name, "true", code=255)
    assert "wants the program" in runtime.refused("exec", name, code=255)
    assert "must be numbers" in runtime.refused("exec", "--user", "someone", name, "true", code=255)
    assert "unknown capability" in runtime.refused("exec", "--cap", "CAP_NONE", name, "true", code=255)


def test_options_stand_on_top_of_the_containers_own_process(runtime: Runtime, name: str) -> None:
    assert runtime.ok("exec", name, "sh", "-c", "echo $COLOUR") == "blue\n"
    assert runtime.ok("exec", "--env", "COLOUR=red", "-e", "X=1", name, "sh", "-c", "echo $COLOUR $X") == "red 1\n"
    assert runtime.ok("exec", "--cwd", "/tmp", name, "pwd") == "/tmp\n"
    out = runtime.ok("exec", "--user", "1000:1001", "-g", "5", "--additional-gids", "6", name, "id")
    assert "uid=1000" in out
    assert "gid=1001" in out
    assert runtime.ok("exec", "--user", "1000:1001", "-g", "5", "-g", "6", name, "id", "-G") == "1001 5 6\n"


def test_words_after_the_program_are_its_own(runtime: Runtime, name: str) -> None:
    assert runtime.ok("exec", name, "echo", "-t", "--env", "x") == "-t --env x\n"


def test_capabilities_are_added_to_three_sets(runtime: Runtime, name: str) -> None:
    def sets(*options: str) -> dict[str, int]:
        lines = runtime.ok("exec", *options, name, "grep", "Cap", "/proc/self/status").split()
        return {key: int(value, 16) for key, value in zip(lines[::2], lines[1::2], strict=True)}

    kill, chown = 1 << 5, 1
    assert sets()["CapEff:"] == kill
    more = sets("--cap", "CAP_CHOWN")
    assert more["CapBnd:"] == more["CapEff:"] == more["CapPrm:"] == kill | chown
    assert more["CapInh:"] == 0


def test_a_process_json_says_all_but_what_keeps_the_container_safe(runtime: Runtime, name: str, tmp_path: Path) -> None:
    path = tmp_path / "process.json"
    path.write_text(
        json.dumps(
            {
                "args": ["/bin/sh", "-c", "export PATH=/bin; pwd; id -u; grep -E 'CapEff|NoNew' /proc/self/status"],
                "cwd": "/tmp",
            }
        )
    )
    words = runtime.ok("exec", "--process", str(path), name).split()
    assert words[:2] == ["/tmp", "0"]
    assert int(words[words.index("CapEff:") + 1], 16) == 1 << 5
    assert words[words.index("NoNewPrivs:") + 1] == "1"
    path.write_text('{"args": "sh"}')
    assert "process.json: expected `array`" in runtime.refused("exec", "-p", str(path), name, code=255)


def test_a_detached_process_goes_on_and_has_its_pid_file(runtime: Runtime, name: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    runtime.ok("exec", "-d", "--pid-file", str(pid_file), name, "sleep", "1234")
    pid = int(pid_file.read_text())
    try:
        assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001234\x00"
        assert pid in json.loads(runtime.ok("ps", "--format", "json", name))
    finally:
        end(pid)


def test_a_paused_container_takes_no_process_unless_told(runtime: Runtime, name: str) -> None:
    runtime.ok("pause", name)
    assert "cannot exec in a paused container" in runtime.refused("exec", name, "true", code=255)
    runtime.ok("resume", name)
    assert runtime.ok("exec", "--ignore-paused", name, "echo", "ok") == "ok\n"


def test_a_process_may_run_before_the_container_is_started(runtime: Runtime) -> None:
    created = runtime.new_id()
    runtime.ok("create", created)
    assert runtime.ok("exec", created, "echo", "early") == "early\n"
    assert runtime.state(created)["status"] == "created"


def test_a_cgroup_above_the_containers_or_of_one_controller_is_refused(runtime: Runtime, name: str) -> None:
    assert ".. is not a sub cgroup path" in runtime.refused("exec", "--cgroup", "..", name, "true", code=255)
    assert "single controllers" in runtime.refused("exec", "--cgroup", "cpu:x", name, "true", code=255)
    assert runtime.refused("exec", "--cgroup", "nowhere", name, "true", code=255)
    assert runtime.ok("exec", "--cgroup", "/", name, "echo", "ok") == "ok\n"


def test_descriptors_are_passed_on_when_asked_for(runtime: Runtime, name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    runtime.program = with_descriptor(tmp_path / "file")
    assert runtime.ok("exec", "--preserve-fds", "1", name, "cat", "/proc/self/fd/3") == "hello"
    assert "is not open" in runtime.refused("exec", "--preserve-fds=50", name, "true", code=255)


def test_a_process_that_ends_is_gone_from_the_container(runtime: Runtime, name: str) -> None:
    runtime.ok("exec", name, "true")
    wait_until(lambda: len(json.loads(runtime.ok("ps", "-f", "json", name))) == 1, "only the first is left")
