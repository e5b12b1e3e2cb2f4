"""Terminals, hooks, descriptors and the host's own network: where a container meets what is around it."""

from __future__ import annotations

import array
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

from .conftest import Runtime, with_descriptor


def hook(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def receive(listener: socket.socket) -> int:
    connection, _ = listener.accept()
    with connection:
        name, ancillary, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4))
        assert name
        return array.array("i", ancillary[0][2])[0]


def test_the_master_of_a_detached_terminal_goes_to_the_console_socket(runtime: Runtime, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        fd = os.open(deep, os.O_PATH)
        listener.bind(f"/proc/self/fd/{fd}/s")
        os.close(fd)
        listener.listen()
        runtime.write(
            "tty; stty size; sleep 1000", process__terminal=True, process__consoleSize={"height": 7, "width": 9}
        )
        name = runtime.new_id()
        runtime.ok("run", "-d", "--console-socket", str(deep / "s"), name)
        master = receive(listener)
        said = b""
        while said.count(b"\n") < 2:
            said += os.read(master, 100)
        assert said.split() == [b"/dev/pts/0", b"7", b"9"]
        runtime.ok("exec", "-d", "-t", "--console-socket", str(deep / "s"), name, "sh", "-c", "echo further; sleep 1")
        second = receive(listener)
        assert os.read(second, 100).startswith(b"further")
        for number in (master, second):
            os.close(number)


def test_a_console_nobody_holds_is_refused(runtime: Runtime, tmp_path: Path) -> None:
    name = runtime.new_id()
    assert "--console-socket is for containers with a terminal" in runtime.refused(
        "run", "--console-socket", "/x", name
    )
    runtime.write("true", process__terminal=True)
    assert "use --console-socket" in runtime.refused("create", name)
    assert "use --console-socket" in runtime.refused("run", "-d", name)
    (tmp_path / "file").touch()
    assert "is not a unix socket" in runtime.refused("create", "--console-socket", str(tmp_path / "file"), name)
    assert "container does not exist" in runtime.refused("state", name)


def test_output_of_a_terminal_that_goes_to_a_pipe_has_plain_line_feeds(runtime: Runtime) -> None:
    runtime.write("tty; read x; echo got $x; exit 5", process__terminal=True)
    done = runtime("run", runtime.new_id(), input="word\n")
    assert done.returncode == 5
    assert "/dev/pts/0\n" in done.stdout
    assert "got word\n" in done.stdout
    assert "\r" not in done.stdout


def test_hooks_get_the_state_and_poststop_runs_after_delete(runtime: Runtime, tmp_path: Path) -> None:
    kinds = ("prestart", "createRuntime", "poststart", "poststop")
    hooks = {kind: [hook(f"cat > {tmp_path}/{kind}")] for kind in kinds}
    runtime.write("sleep", "1000", hooks=hooks, annotations={"a": "b"})
    name = runtime.new_id()
    runtime.ok("create", name)
    assert not (tmp_path / "poststart").exists()
    runtime.ok("start", name)
    assert not (tmp_path / "poststop").exists()
    runtime.ok("delete", "-f", name)
    states = {kind: json.loads((tmp_path / kind).read_text()) for kind in kinds}
    assert {state["id"] for state in states.values()} == {name}
    assert {state["bundle"] for state in states.values()} == {str(runtime.bundle)}
    assert all(state["annotations"] == {"a": "b"} for state in states.values())
    assert (states["poststart"]["status"], states["poststop"]["status"]) == ("running", "stopped")


def test_a_failing_hook_of_create_ends_it_and_one_of_start_or_stop_warns(runtime: Runtime) -> None:
    runtime.write("sleep", "1000", hooks={"createRuntime": [hook("echo no >&2; exit 3")]})
    name = runtime.new_id()
    error = runtime.refused("create", name)
    assert "createRuntime hook" in error
    assert "no" in error
    assert "container does not exist" in runtime.refused("state", name)
    runtime.write("sleep", "1000", hooks={kind: [hook("exit 3")] for kind in ("poststart", "poststop")})
    done = runtime("run", "-d", name)
    assert done.returncode == 0
    assert "level=warning" in done.stderr
    assert "poststart" in done.stderr
    gone = runtime("delete", "-f", name)
    assert gone.returncode == 0
    assert "poststop" in gone.stderr


def test_sockets_that_were_activated_for_us_are_the_containers(runtime: Runtime, tmp_path: Path) -> None:
    runtime.write("echo $LISTEN_FDS $LISTEN_PID; cat /proc/self/fd/3")
    (tmp_path / "file").write_text("from outside")
    runtime.program = with_descriptor(tmp_path / "file")
    out = runtime.ok("run", runtime.new_id(), env={**os.environ, "LISTEN_FDS": "1"})
    assert out == "1 1\nfrom outside"


def test_only_descriptors_that_are_asked_for_reach_the_program(runtime: Runtime, tmp_path: Path) -> None:
    runtime.write("ls -l /proc/self/fd")
    (tmp_path / "secret").touch()
    runtime.program = with_descriptor(tmp_path / "secret")
    assert "secret" not in runtime.ok("run", runtime.new_id())
    assert "secret" in runtime.ok("run", "--preserve-fds=1", runtime.new_id())


def test_network_parameters_of_the_host_are_out_of_reach(runtime: Runtime) -> None:
    runtime.write(
        linux__namespaces=[{"type": "mount"}, {"type": "network", "path": "/proc/self/ns/net"}],
        linux__sysctl={"net.ipv4.ip_forward": "0"},
    )
    del_hostname = json.loads((runtime.bundle / "config.json").read_text())
    del del_hostname["hostname"]
    (runtime.bundle / "config.json").write_text(json.dumps(del_hostname))
    assert "host's network namespace" in runtime.refused("run", runtime.new_id())


def test_the_interpreter_cannot_be_written_through(runtime: Runtime) -> None:
    name = runtime.new_id()
    runtime.ok("create", name)
    pid = runtime.state(name)["pid"]
    exe = os.open(f"/proc/{pid}/exe", os.O_PATH)
    try:
        assert stat.S_ISREG(os.fstat(exe).st_mode)
        assert os.fstatvfs(exe).f_flag & os.ST_RDONLY
    finally:
        os.close(exe)
