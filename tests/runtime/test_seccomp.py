"""A container with a system call filter, loaded as the last act before its program."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.runtime.conftest import BIND

from sampan.errors import Kind
from sampan.linux.seccomp import Profile, Rule, compile_profile, filter_flags
from sampan.runtime import launched
from sampan.runtime.handshake import StepFailed
from sampan.runtime.launch_plan import HookPlan, HooksPlan, MountPlan, RlimitPlan, SeccompPlan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runtime.conftest import Boat

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"


def seccomp(*rules: Rule, default: str = ALLOW, flags: tuple[str, ...] = (), **changes: Any) -> SeccompPlan:
    profile = Profile(default_action=default, default_errno=None, architectures=(), flags=flags, rules=rules)
    return SeccompPlan(compile_profile(profile), int(filter_flags(profile)), **changes)


def denied(*names: str) -> SeccompPlan:
    return seccomp(Rule(names, ERRNO, 1, ()))


@pytest.mark.parametrize("no_new_privileges", [False, True])
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_denied_call_fails_and_the_filter_needs_no_privilege_of_the_program(
    boat: Boat, uid: int, *, no_new_privileges: bool
) -> None:
    own = boat.process(
        "mkdir /tmp/x; grep -E '^(Seccomp|NoNew|CapEff|CapPrm)' /proc/self/status",
        uid=uid,
        gid=uid,
        seccomp=denied("mkdir", "mkdirat"),
        no_new_privileges=no_new_privileges,
    )
    outcome = boat.run(boat.plan(own))
    found = dict(line.split(":\t") for line in outcome.lines)
    assert "Operation not permitted" in outcome.err
    assert (found["Seccomp"], found["NoNewPrivs"]) == ("2", str(int(no_new_privileges)))
    wanted = "0000000000000000" if uid else "00000000a80425fb"
    assert found["CapEff"] == found["CapPrm"] == wanted  # nothing is left of what loading it needed


def test_a_filter_may_deny_everything_that_a_start_needs_but_execve(boat: Boat) -> None:
    """Nothing but execve(2) is called behind the filter."""
    script = "/bin/busybox echo still here"
    calls = (
        "capset",
        "setresuid",
        "setgroups",
        "sendmsg",
        "recvmsg",
        "prctl",
        "chdir",
        "fchdir",
        "unshare",
        "mount",
        "clone3",
    )
    own = boat.process("/bin/busybox", "sh", "-c", script, seccomp=denied(*calls))
    assert boat.run(boat.plan(own)).out == "still here\n"


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_a_hook_inside_runs_behind_the_filter_and_without_new_privileges(
    boat: Boat, *, no_new_privileges: bool
) -> None:
    hook = HookPlan(
        "/bin/sh", ("sh", "-c", "mkdir /x 2>/told; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status >>/told")
    )
    own = boat.process("cat /told", seccomp=denied("mkdir", "mkdirat"), no_new_privileges=no_new_privileges)
    refusal, *lines = boat.run(boat.plan(own, hooks=HooksPlan(start_container=(hook,)))).lines
    assert "Operation not permitted" in refusal
    assert dict(line.split(":\t") for line in lines) == {"Seccomp": "2", "NoNewPrivs": str(int(no_new_privileges))}


def test_a_hook_inside_that_calls_what_the_filter_kills_for_stops_the_start(boat: Boat) -> None:
    hook = HookPlan("/bin/sh", ("sh", "-c", "exec mkdir /x"))
    own = boat.process("true", seccomp=seccomp(Rule(("mkdir", "mkdirat"), "SCMP_ACT_KILL_PROCESS", None, ())))
    with pytest.raises(StepFailed, match=r"hook /bin/sh: it was killed by signal 31 \(bad system call\)"):
        boat.run(boat.plan(own, hooks=HooksPlan(start_container=(hook,))))


def test_a_filter_may_deny_a_hook_inside_everything_but_what_it_calls_itself(boat: Boat) -> None:
    """Between the filter and the hook nothing but execve(2) is called, nor for the program what only its hook needs."""
    calls = (
        "fork",
        "vfork",
        "clone",
        "clone3",
        "memfd_create",
        "pipe2",
        "pidfd_open",
        "poll",
        "waitid",
        "dup2",
        "dup3",
    )
    hook = HookPlan("/bin/busybox", ("busybox", "true"))
    own = boat.process("/bin/busybox", "echo", "ran", seccomp=denied(*calls))
    assert boat.run(boat.plan(own, hooks=HooksPlan(start_container=(hook,)))).out == "ran\n"


def test_a_filter_that_kills_execve_ends_the_container(boat: Boat) -> None:
    own = boat.process("true", seccomp=seccomp(Rule(("execve",), "SCMP_ACT_KILL_PROCESS", None, ())))
    assert boat.run(boat.plan(own)).code == 128 + 31


def test_a_filter_that_denies_execve_is_told(boat: Boat) -> None:
    own = boat.process("true", seccomp=denied("execve"))
    with pytest.raises(StepFailed, match="exec /bin/sh: operation not permitted") as caught:
        boat.run(boat.plan(own))
    assert caught.value.step == "execute"


def test_a_program_the_kernel_refuses_is_named(boat: Boat) -> None:
    own = boat.process("true", seccomp=SeccompPlan(b"\xff" * 8))
    with pytest.raises(StepFailed, match="invalid argument") as caught:
        boat.run(boat.plan(own))
    assert caught.value.step == "load_filter"


def listen(path: Path, answers: list[dict[str, Any]]) -> threading.Thread:
    """Take one listener's descriptor, note what came with it, and let its system calls fail with EXDEV."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen(1)

    def serve() -> None:
        from fcntl import ioctl

        with server, server.accept()[0] as agent:
            told, fds, _, _ = socket.recv_fds(agent, 65536, 4)
            answers.append(json.loads(told) | {"received": len(fds)})
        request = bytearray(80)
        ioctl(fds[0], 0xC0502100, request)
        number, pid = struct.unpack_from("=QI", request)
        answers.append({"pid": pid})
        ioctl(fds[0], 0xC0182101, bytearray(struct.pack("=QqiI", number, 0, -18, 0)))
        os.close(fds[0])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_a_listener_gets_the_descriptor_and_the_state(boat: Boat) -> None:
    answers: list[dict[str, Any]] = []
    path = boat.directory / "agent"
    thread = listen(path, answers)
    plan = seccomp(Rule(("mkdir",), "SCMP_ACT_NOTIFY", None, ()), listener_path=str(path), metadata="rigging")
    outcome = boat.run(boat.plan(boat.process("mkdir /tmp/x; echo done", seccomp=plan)))
    thread.join(60)
    assert "Cross-device link" in outcome.err or "Invalid cross-device link" in outcome.err
    state, request = answers
    assert (state["fds"], state["metadata"], state["received"]) == (["seccompFd"], "rigging", 1)
    assert state["state"]["id"] == boat.cgroups[0].strip("/")
    assert state["pid"] == state["state"]["pid"]
    assert request["pid"] >= state["pid"]


def test_what_a_listener_would_answer_is_not_there_for_a_hook_inside(boat: Boat) -> None:
    path = boat.directory / "agent"
    thread = listen(path, [])
    rule = Rule(("mkdir", "mkdirat"), "SCMP_ACT_NOTIFY", None, ())
    plan = seccomp(rule, flags=("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",), listener_path=str(path))
    hook = HookPlan("/bin/sh", ("sh", "-c", "! mkdir /x 2>/told"))
    own = boat.process("mkdir /x; cat /told", seccomp=plan)
    outcome = boat.run(boat.plan(own, hooks=HooksPlan(start_container=(hook,))))
    thread.join(60)
    assert "Function not implemented" in outcome.out
    assert "ross-device link" in outcome.err


@pytest.mark.parametrize("ahead", [False, True], ids=["cloned with its plan", "cloned before"])
def test_many_mounts_leave_room_for_a_listener_below_a_low_limit_of_descriptors(boat: Boat, *, ahead: bool) -> None:
    boat.ahead = ahead
    path = boat.directory / "agent"
    thread = listen(path, [])
    plan = seccomp(Rule(("mkdir",), "SCMP_ACT_NOTIFY", None, ()), listener_path=str(path))
    own = boat.process("mkdir /tmp/x; ls /proc/self/fd; ulimit -n", seccomp=plan, rlimits=(RlimitPlan(7, 6, 6),))
    more = tuple(MountPlan(f"tmp/{number}", str(boat.directory), "bind", BIND) for number in range(20))
    model = boat.plan(own)
    outcome = boat.run(replace(model, mounts=(*model.mounts, *more)))
    thread.join(60)
    assert outcome.lines == ["0", "1", "2", "3", "6"]  # the third is that of the directory


def test_a_filter_that_holds_back_its_own_listener_is_given_up(boat: Boat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launched, "LISTENER_PATIENCE_S", 0.2)
    plan = seccomp(Rule(("sendmsg",), "SCMP_ACT_NOTIFY", None, ()), listener_path="/no/agent")
    with pytest.raises(StepFailed, match="holds back the message") as caught:
        boat.run(boat.plan(boat.process("true", seccomp=plan)))
    assert caught.value.kind is Kind.INVALID


def test_a_listener_that_is_not_there_stops_the_start(boat: Boat) -> None:
    plan = seccomp(Rule(("mkdir",), "SCMP_ACT_NOTIFY", None, ()), listener_path="/no/agent")
    with pytest.raises(StepFailed, match="failed to connect with seccomp agent /no/agent: no such file or directory"):
        boat.run(boat.plan(boat.process("true", seccomp=plan)))
