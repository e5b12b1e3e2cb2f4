"""Filters that the kernel takes and obeys, and system calls that a supervisor answers."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sampan.errors import SampanError
from sampan.linux import libc, process, seccomp_notify
from sampan.linux.seccomp import Argument, FilterFlag, Profile, Rule, compile_profile, filter_flags, load
from sampan.linux.syscall_numbers import numbers
from sampan.runtime.default_seccomp import default_profile

if libc.MACHINE not in {"x86_64", "aarch64"}:
    pytest.skip(f"seccomp profiles are not supported on {libc.MACHINE}", allow_module_level=True)


def use(profile: Profile) -> int | None:
    return load(compile_profile(profile), filter_flags(profile))


def deny(
    *names: str, action: str = "SCMP_ACT_ERRNO", number: int | None = None, arguments: tuple[Argument, ...] = ()
) -> Profile:
    return Profile("SCMP_ACT_ALLOW", rules=(Rule(names, action, number, arguments),))


def status_of(function: Callable[[], Any]) -> int:
    """The wait status of a child that calls `function`."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


def call(name: str, *arguments: int) -> int:
    """Make a system call by its number; minus errno when it fails."""
    words = [ctypes.c_long(argument) for argument in arguments]
    result = libc.libc.syscall(ctypes.c_long(numbers(libc.MACHINE)[name]), *words)
    return result if result >= 0 else -ctypes.get_errno()


def test_a_denied_call_fails_with_the_profile_s_errno(host: Any) -> None:
    def inside() -> tuple[int, int]:
        use(deny("sethostname", number=errno.EXFULL))
        return call("sethostname", 0, 0), call("getpid")

    denied, pid = host.run(inside, mnt=False)
    assert denied == -errno.EXFULL
    assert pid > 0


def test_arguments_decide(host: Any) -> None:
    def inside() -> tuple[int, int]:
        use(deny("socket", number=errno.EAFNOSUPPORT, arguments=(Argument(0, 38),)))  # AF_ALG
        return call("socket", 38, 5, 0), call("socket", 1, 1, 0)

    denied, allowed = host.run(inside, mnt=False)
    assert denied == -errno.EAFNOSUPPORT
    assert allowed > 0


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_actions_that_kill_end_the_process_by_sigsys(host: Any, action: str) -> None:
    def inside() -> int:
        def die() -> None:
            use(deny("getppid", action=action))
            os.getppid()

        return status_of(die)

    assert os.WTERMSIG(host.run(inside, mnt=False)) == signal.SIGSYS


def test_a_call_through_another_architecture_kills_unless_the_profile_names_it(host: Any) -> None:
    if libc.MACHINE != "x86_64":
        pytest.skip("int 0x80 is x86_64's")
    machine_code = bytes.fromhex("b814000000cd80c3")  # mov eax, 20 (getpid of i386); int 0x80; ret

    def i386_getpid() -> int:
        page = libc.libc.mmap
        page.restype = ctypes.c_void_p
        address = page(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0))
        ctypes.memmove(address, machine_code, len(machine_code))
        return int(ctypes.CFUNCTYPE(ctypes.c_int)(address)())

    def inside(architectures: tuple[str, ...]) -> int:
        def try_it() -> None:
            use(Profile("SCMP_ACT_ALLOW", architectures=architectures))
            os._exit(7 if i386_getpid() == os.getpid() else 8)

        return status_of(try_it)

    if host.run(
        lambda: os.waitstatus_to_exitcode(status_of(lambda: os._exit(i386_getpid() != os.getpid()))), mnt=False
    ):
        pytest.skip("this kernel has no i386 system calls")
    assert os.WTERMSIG(host.run(lambda: inside(()), mnt=False)) == signal.SIGSYS
    assert os.waitstatus_to_exitcode(host.run(lambda: inside(("SCMP_ARCH_X86",)), mnt=False)) == 7


def test_an_unknown_newer_call_fails_with_enosys_as_on_an_older_kernel(host: Any) -> None:
    everything = tuple(name for name in numbers(libc.MACHINE) if name not in {"mseal", "sethostname"})
    older = tuple(name for name in everything if numbers(libc.MACHINE)[name] < 462)

    def inside() -> tuple[int, int]:
        use(Profile("SCMP_ACT_ERRNO", 1, rules=(Rule(older, "SCMP_ACT_ALLOW"),)))
        return call("mseal", 1, 1, 1), call("sethostname", 0, 0)

    assert host.run(inside, mnt=False) == (-errno.ENOSYS, -errno.EPERM)


def test_a_logged_call_is_done(host: Any) -> None:
    def inside() -> bool:
        use(deny("getppid", action="SCMP_ACT_LOG"))
        return call("getppid") == os.getppid()

    assert host.run(inside, mnt=False)


def test_a_traced_call_without_a_tracer_does_not_exist(host: Any) -> None:
    def inside() -> int:
        use(deny("getppid", action="SCMP_ACT_TRACE"))
        return call("getppid")

    assert host.run(inside, mnt=False) == -errno.ENOSYS


def test_the_kernel_takes_every_flag_and_shows_the_filter(host: Any) -> None:
    def inside() -> str:
        load(compile_profile(Profile("SCMP_ACT_ALLOW")), FilterFlag.LOG | FilterFlag.SPEC_ALLOW | FilterFlag.TSYNC)
        return Path("/proc/self/status").read_text()

    status = host.run(inside, mnt=False)
    assert "\nSeccomp:\t2\n" in status
    assert "\nSeccomp_filters:\t1\n" in status


def test_without_privilege_or_no_new_privs_loading_is_refused(host: Any) -> None:
    program = compile_profile(Profile("SCMP_ACT_ALLOW"))

    def inside() -> int:
        process.set_ids(65534, 65534, ())
        try:
            load(program)
        except OSError as error:
            process.set_no_new_privileges()
            load(program)
            return error.errno or 0
        return 0

    assert host.run(inside, mnt=False) == errno.EACCES


@pytest.mark.parametrize("program", [b"", b"\0" * 8, b"\xff" * 8])
def test_a_program_that_is_none_is_refused_by_the_kernel(host: Any, program: bytes) -> None:
    with pytest.raises(OSError, match="seccomp") as refusal:
        host.run(lambda: load(program), mnt=False)
    assert refusal.value.errno == errno.EINVAL


def supervised(profile: Profile, function: Callable[[], int]) -> tuple[int, int]:
    """A child under `profile` that exits with `function`'s result; its listener and its pid."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            listener = use(profile)
            os.write(theirs, str(listener).encode())
            os._exit(function() & 0xFF)
        finally:
            os._exit(99)
    pidfd = os.pidfd_open(pid)
    try:
        return process.pidfd_getfd(pidfd, int(os.read(ours, 16))), pid
    finally:
        for descriptor in (ours, theirs, pidfd):
            os.close(descriptor)


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


NOTIFYING = Profile("SCMP_ACT_ALLOW", flags=(), rules=(Rule(("sethostname", "openat"), "SCMP_ACT_NOTIFY"),))


def test_a_supervisor_sees_the_call_and_answers_with_a_value(host: Any) -> None:
    def inside() -> tuple[bool, bool, int]:
        listener, pid = supervised(NOTIFYING, lambda: call("sethostname", 11, 22, 33))
        seen = seccomp_notify.receive(listener)
        waits = seccomp_notify.is_waiting(listener, seen.id)
        seccomp_notify.respond(listener, seen.id, value=42)
        matches = (seen.pid, seen.number, seen.arguments[:3]) == (
            pid,
            numbers(libc.MACHINE)["sethostname"],
            (11, 22, 33),
        )
        return matches, waits, exit_code(pid)

    assert host.run(inside, mnt=False) == (True, True, 42)


def test_a_supervisor_answers_with_an_errno(host: Any) -> None:
    def inside() -> int:
        listener, pid = supervised(NOTIFYING, lambda: -call("sethostname", 0, 0))
        seccomp_notify.respond(listener, seccomp_notify.receive(listener).id, errno=errno.EXFULL)
        return exit_code(pid)

    assert host.run(inside, mnt=False) == errno.EXFULL


def test_a_supervisor_lets_the_call_through(host: Any) -> None:
    def inside() -> int:
        listener, pid = supervised(NOTIFYING, lambda: -call("sethostname", 0, -1))
        seccomp_notify.wake_on_same_cpu(listener)
        seccomp_notify.let_through(listener, seccomp_notify.receive(listener).id)
        return exit_code(pid)

    assert host.run(inside, mnt=False) == errno.EINVAL  # the kernel's own word for a length of -1


@pytest.mark.parametrize(
    "flags", [seccomp_notify.AddFlag.SEND, seccomp_notify.AddFlag.SEND | seccomp_notify.AddFlag.SETFD]
)
def test_a_supervisor_answers_an_open_with_its_own_descriptor(host: Any, flags: seccomp_notify.AddFlag) -> None:
    def inside() -> int:
        ours, theirs = os.pipe()
        os.write(theirs, b"k")
        listener, pid = supervised(NOTIFYING, lambda: os.read(call("openat", -100, 0, 0), 1)[0])
        seen = seccomp_notify.receive(listener)
        number = 200 if flags & seccomp_notify.AddFlag.SETFD else 0
        given = seccomp_notify.add_descriptor(listener, seen.id, ours, number=number, flags=flags, close_on_exec=True)
        assert given == number or not number
        return exit_code(pid)

    assert host.run(inside, mnt=False) == ord("k")


def test_a_call_whose_process_is_gone_waits_no_more(host: Any) -> None:
    def inside() -> tuple[bool, bool, int]:
        listener, pid = supervised(NOTIFYING, lambda: call("sethostname", 0, 0))
        seen = seccomp_notify.receive(listener)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        hung_up = bool(poll.poll(0)[0][1] & select.POLLHUP)
        try:
            seccomp_notify.respond(listener, seen.id)
        except OSError as error:
            return hung_up, seccomp_notify.is_waiting(listener, seen.id), error.errno or 0
        return hung_up, True, 0

    assert host.run(inside, mnt=False) == (True, False, errno.ENOENT)


def test_a_second_listener_is_refused(host: Any) -> None:
    def inside() -> None:
        use(deny("sethostname", action="SCMP_ACT_NOTIFY"))
        use(deny("sethostname", action="SCMP_ACT_NOTIFY"))

    with pytest.raises(OSError, match="seccomp") as refusal:
        host.run(inside, mnt=False)
    assert refusal.value.errno == errno.EBUSY


def test_a_refused_profile_loads_nothing(host: Any) -> None:
    def inside() -> str:
        try:
            use(Profile("SCMP_ACT_MAYBE"))
        except SampanError:
            return Path("/proc/self/status").read_text()
        return ""

    assert "\nSeccomp:\t0\n" in host.run(inside, mnt=False)


ORDINARY = """
import os, socket, subprocess, sys, tempfile, threading
threading.Thread(target=lambda: None).start()
assert subprocess.run(["/bin/sh", "-c", "ls / | wc -l"], capture_output=True, check=True).stdout.strip() != b"0"
with tempfile.NamedTemporaryFile() as file:
    os.chmod(file.name, 0o600)
one, other = socket.socketpair()
one.send(b"x"); assert other.recv(1) == b"x"
socket.socket(socket.AF_INET, socket.SOCK_STREAM).bind(("127.0.0.1", 0))
"""


def test_ordinary_programs_run_under_the_default_profile(host: Any) -> None:
    def inside() -> int:
        def become() -> None:
            use(default_profile(frozenset({"CAP_CHOWN"}), libc.MACHINE, (6, 1)))
            os.execv(sys.executable, [sys.executable, "-c", ORDINARY])

        return os.waitstatus_to_exitcode(status_of(become))

    assert host.run(inside, mnt=False) == 0


def test_the_default_profile_keeps_root_from_what_widens_the_kernel(host: Any) -> None:
    def inside() -> dict[str, int]:
        use(default_profile(frozenset({"CAP_CHOWN"}), libc.MACHINE, (6, 1)))
        met = {
            name: call(name, 0, 0, 0, 0, 0)
            for name in ("io_uring_setup", "keyctl", "add_key", "request_key", "bpf", "userfaultfd", "unshare", "setns")
        }
        met |= {"AF_ALG": call("socket", 38, 5, 0), "AF_VSOCK": call("socket", 40, 1, 0)}
        return met | {"new user namespace": call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)}

    assert set(host.run(inside, mnt=False).values()) == {-errno.EPERM}


def test_clone3_falls_back_to_clone_under_the_default_profile(host: Any) -> None:
    def inside() -> int:
        use(default_profile(frozenset(), libc.MACHINE, (6, 1)))
        return call("clone3", 0, 0)

    assert host.run(inside, mnt=False) == -errno.ENOSYS
