"""What the verbs answer: state, list, ps, events, features, spec, help, and how errors are told."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.runtime.commands.line import VERBS

from .conftest import Runtime


@contextlib.contextmanager
def watching(runtime: Runtime, *words: str) -> Iterator[Iterator[str]]:
    """The lines of `events`, as they come; their end is the end of the command."""
    command = [*runtime.program, "--root", str(runtime.root), "events", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield iter(process.stdout)
    finally:
        process.kill()
        process.communicate()


def test_the_list_has_three_forms(runtime: Runtime) -> None:
    assert runtime.ok("list") == "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    assert runtime.ok("list", "-f", "json") == "[]\n"
    first, second = sorted([runtime.running(), runtime.running()])
    assert runtime.ok("list", "-q") == f"{first}\n{second}\n"
    (one, two) = json.loads(runtime.ok("list", "--format", "json"))
    assert list(one) == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"]
    assert (one["id"], two["id"], one["rootfs"]) == (first, second, f"{runtime.bundle}/rootfs")
    lines = runtime.ok("list").splitlines()
    assert lines[1].split()[:3] == [first, str(one["pid"]), "running"]
    assert "invalid format" in runtime.refused("list", "-f", "xml")


def test_annotations_are_part_of_the_state(runtime: Runtime) -> None:
    name = runtime.running(annotations={"a.b": "c"})
    assert runtime.state(name)["annotations"] == {"a.b": "c"}


def test_a_paused_container_says_so(runtime: Runtime) -> None:
    name = runtime.running()
    runtime.ok("pause", name)
    assert runtime.state(name)["status"] == "paused"
    runtime.ok("resume", name)
    assert runtime.state(name)["status"] == "running"


def test_a_specification_that_is_nested_without_end_is_refused(runtime: Runtime) -> None:
    (runtime.bundle / "config.json").write_text('{"ociVersion": "1.2.0", "a": ' + "[" * 100_000)
    refusal = runtime.refused("run", runtime.new_id())
    assert "config.json: " in refusal
    assert "Traceback" not in refusal


def test_a_created_container_that_is_paused_says_so(runtime: Runtime) -> None:
    name = runtime.new_id()
    runtime.ok("create", name)
    runtime.ok("pause", name)
    assert runtime.state(name)["status"] == "paused"
    assert "cannot exec in a paused container" in runtime.refused("exec", name, "true", code=255)
    runtime.ok("resume", name)
    assert runtime.state(name)["status"] == "created"


def test_ps_shows_the_containers_processes_only(runtime: Runtime) -> None:
    name = runtime.running("sleep", "4321")
    pid = runtime.state(name)["pid"]
    assert json.loads(runtime.ok("ps", "-f", "json", name)) == [pid]
    head, line = runtime.ok("ps", name).splitlines()
    assert head.split()[:2] == ["UID", "PID"]
    assert line.split()[1] == str(pid)
    assert "sleep 4321" in runtime.ok("ps", name, "-e", "-o", "pid,args")
    assert "has no column PID" in runtime.refused("ps", name, "-e", "-o", "comm")
    assert "failed" in runtime.refused("ps", name, "--nonsense")


def test_statistics_come_once_or_until_the_end(runtime: Runtime) -> None:
    name = runtime.running()
    event = json.loads(runtime.ok("events", "--stats", name))
    assert (event["type"], event["id"]) == ("stats", name)
    assert event["data"]["pids"]["current"] == 1
    assert event["data"]["cpu"]["usage"]["total"] > 0
    assert event["data"]["memory"]["usage"]["usage"] > 0
    with watching(runtime, "--interval", "10ms", name) as lines:
        assert [json.loads(next(lines))["type"] for _ in range(3)] == ["stats"] * 3
        runtime.ok("kill", name, "KILL")
        assert all(json.loads(line)["type"] == "stats" for line in lines)  # and then it ends


def test_running_out_of_memory_is_told(runtime: Runtime) -> None:
    name = runtime.running(
        "until [ -e /go ]; do sleep 0.05; done; x=$(head -c 100000000 /dev/zero | cat -v) || sleep 1",
        linux__resources={"memory": {"limit": 16 << 20, "swap": 16 << 20}},
    )
    with watching(runtime, "--interval", "3600s", name) as lines:
        next(lines)  # it watches now
        (runtime.bundle / "rootfs" / "go").touch()
        assert json.loads(next(lines)) == {"type": "oom", "id": name}


def test_limits_are_changed_by_words_and_by_documents(runtime: Runtime) -> None:
    name = runtime.running(linux__resources={"pids": {"limit": 20}})

    def now() -> int:
        limit: int = json.loads(runtime.ok("events", "--stats", name))["data"]["pids"]["limit"]
        return limit

    assert now() == 20
    runtime.ok("update", "--pids-limit", "30", name)
    assert now() == 30
    runtime.ok("update", "--resources", "-", name, input='{"pids": {"limit": 40}}')
    assert now() == 40
    (runtime.bundle / "r.json").write_text('{"pids": {"limit": 50}}')
    runtime.ok("update", name, "-r", "r.json")
    assert now() == 50
    runtime.ok("update", "--memory", "64M", name)
    memory = json.loads(runtime.ok("events", "--stats", name))["data"]["memory"]["usage"]["limit"]
    assert memory == 64 << 20
    assert "expected `object | null`" in runtime.refused("update", "-r", "-", name, input='{"pids": 5}')
    assert "Intel RDT" in runtime.refused("update", "--l3-cache-schema", "L3:0=7", name)
    assert "invalid size" in runtime.refused("update", "--memory", "lots", name)


def test_the_features_are_a_document(runtime: Runtime) -> None:
    features = json.loads(runtime.ok("features"))
    assert (features["ociVersionMin"], features["ociVersionMax"]) == ("1.0.0", "1.2.0")
    assert {"rbind", "rro", "idmap", "tmpcopyup"} <= set(features["mountOptions"])
    assert features["linux"]["intelRdt"] == {"enabled": False}
    assert "time" in features["linux"]["namespaces"]
    assert features["hooks"][0] == "prestart"


@pytest.mark.parametrize("options", [(), ("--rootless",)])
def test_the_spec_to_start_from_can_be_run(runtime: Runtime, options: tuple[str, ...]) -> None:
    path = runtime.bundle / "config.json"
    path.unlink()
    runtime.ok("spec", *options)
    assert "exists" in runtime.refused("spec")
    document = json.loads(path.read_text())
    document["process"]["terminal"] = False
    document["process"]["args"] = ["sh", "-c", "hostname; cat /proc/self/uid_map"]
    path.write_text(json.dumps(document))
    words = runtime.ok("run", runtime.new_id()).split()
    assert words[0] == "sampan"
    assert words[3] == ("1" if options else "4294967295")


def test_the_spec_goes_where_it_is_wanted(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    runtime.ok("spec", "--bundle", str(tmp_path / "b"), "--file", "x.json")
    assert os.listdir(tmp_path / "b") == ["x.json"]


def test_help_and_version_are_there_for_all(runtime: Runtime) -> None:
    text = runtime.ok("--help")
    assert text == runtime.ok("help") == runtime.ok()
    for verb in VERBS:
        assert f"\n   {verb} " in text
        about = runtime.ok(verb, "--help")
        assert about == runtime.ok("help", verb) == runtime.ok(verb, "-h")
        assert f" {verb} - " in about.splitlines()[1]
        assert "--help" in about
    assert "spec: 1.2.0" in runtime.ok("--version")
    assert "No help topic for 'sail'" in runtime("sail", "-h").stderr
    assert runtime("sail").returncode == 3
    assert runtime("help", "sail").returncode == 3


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--systemd-cgroup", "list"], "cannot be managed by systemd"),
        (["--cgroup-manager", "systemd", "list"], "cannot be managed by systemd"),
        (["--cgroup-manager", "disabled", "list"], "cgroup manager 'disabled' is not supported"),
        (["--log-format", "xml", "list"], "unknown log-format"),
        (["--log", "/no/where/log", "list"], "/no/where/log"),
        (["checkpoint", "x"], "checkpoint and restore are not supported"),
        (["restore", "x"], "checkpoint and restore are not supported"),
        (["--nonsense", "list"], "flag provided but not defined"),
        (["list", "--nonsense"], "flag provided but not defined"),
        (["state", "a", "b"], "there is more"),
        (["kill", "a", "KILL", "b"], "at most one signal"),
        (["kill", "a/b"], "invalid container id"),
        (["state", "../x"], "invalid container id"),
    ],
)
def test_what_cannot_be_is_refused_in_words(runtime: Runtime, words: list[str], error: str) -> None:
    assert error in runtime.refused(*words)


def test_what_other_runtimes_take_is_taken(runtime: Runtime) -> None:
    words = ("--cgroup-manager", "cgroupfs", "--rootless", "auto", "--criu", "criu", "--log-level=error", "list", "-q")
    assert runtime.ok(*words) == ""


def test_an_error_is_in_the_log_and_on_the_standard_error(runtime: Runtime, tmp_path: Path) -> None:
    log = tmp_path / "log"
    said = runtime.refused("--log", str(log), "--log-format", "json", "state", "nobody")
    entry = json.loads(log.read_text())
    assert entry["level"] == "error"
    assert entry["msg"] == "container does not exist: nobody"
    assert entry["msg"] in said
    runtime.refused("--log", str(log), "state", "nobody")
    assert 'level=error msg="container does not exist: nobody"' in log.read_text()
    assert json.loads(runtime.refused("--log-format", "json", "state", "nobody"))["level"] == "error"


def test_debug_tells_what_is_done(runtime: Runtime) -> None:
    for option in ("--debug", "--log-level=debug"):
        done = runtime(option, "run", runtime.new_id())
        assert done.returncode == 0
        assert "level=debug" in done.stderr
    assert runtime("run", runtime.new_id()).stderr == ""
