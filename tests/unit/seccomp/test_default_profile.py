"""What the default profile allows, and what brings the rest back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sampan.linux.seccomp import Profile, compile_profile
from sampan.linux.syscall_numbers import numbers
from sampan.runtime.default_seccomp import default_profile

AUDIT = {"x86_64": 0xC000003E, "x86": 0x40000003, "x32": 0xC000003E, "aarch64": 0xC00000B7, "arm": 0x40000028}
MACHINES = {"x86_64": ("x86_64", "x86", "x32"), "aarch64": ("aarch64", "arm")}
ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
DOCKER = frozenset(
    f"CAP_{name}"
    for name in (
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    )
)
Judge = Callable[..., int]


@pytest.fixture
def judge(decide: Any) -> Judge:
    """The decision of the default profile for a call by its name."""

    def judged(
        name: str, *arguments: int, table: str = "x86_64", extra: tuple[str, ...] = (), dropped: tuple[str, ...] = ()
    ) -> int:
        machine = next(machine for machine, tables in MACHINES.items() if table in tables)
        profile = default_profile((DOCKER | set(extra)) - set(dropped), machine, (6, 12))
        words = (*arguments, *[0] * (6 - len(arguments)))
        return int(decide(compiled(profile, machine), AUDIT[table], numbers(table)[name], words))

    return judged


_programs: dict[tuple[Profile, str], bytes] = {}


def compiled(profile: Profile, machine: str) -> bytes:
    if (profile, machine) not in _programs:
        _programs[profile, machine] = compile_profile(profile, machine)
    return _programs[profile, machine]


@pytest.mark.parametrize("table", AUDIT)
@pytest.mark.parametrize(
    "name", ["read", "openat", "execve", "mmap", "futex", "statx", "rseq", "socketpair", "rt_sigaction"]
)
def test_an_ordinary_program_gets_what_it_needs(judge: Judge, table: str, name: str) -> None:
    name = {"mmap": "mmap2"}.get(name, name) if table == "arm" else name
    assert judge(name, table=table) == ALLOW


@pytest.mark.parametrize("table", AUDIT)
@pytest.mark.parametrize(
    "name",
    [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "keyctl",
        "add_key",
        "request_key",
        "bpf",
        "userfaultfd",
        "mount",
        "unshare",
        "setns",
        "open_by_handle_at",
        "init_module",
        "kexec_load",
        "ptrace_but_not",
        "pivot_root",
        "swapon",
        "reboot",
        "move_mount",
        "fsopen",
        "perf_event_open",
        "syslog",
        "quotactl",
        "lookup_dcookie",
        "nfsservctl",
        "clock_settime",
    ],
)
def test_what_widens_the_kernel_is_denied(judge: Judge, table: str, name: str) -> None:
    if name not in numbers(table):
        assert name in {"nfsservctl", "ptrace_but_not"} or table == "aarch64"
        return
    assert judge(name, table=table) == EPERM


@pytest.mark.parametrize("table", ["x86_64", "x32", "x86", "aarch64", "arm"])
@pytest.mark.parametrize(
    ("family", "expected"),
    [(1, ALLOW), (2, ALLOW), (10, ALLOW), (16, ALLOW), (17, ALLOW), (12, EPERM), (38, EPERM), (40, EPERM), (46, EPERM)],
)
def test_socket_families_are_chosen(judge: Judge, table: str, family: int, expected: int) -> None:
    assert judge("socket", family, 1, 0, table=table) == expected


@pytest.mark.parametrize("persona", [0, 8, 0x20000, 0x20008, 0xFFFFFFFF])
def test_known_personalities_are_allowed(judge: Judge, persona: int) -> None:
    assert judge("personality", persona) == ALLOW
    assert judge("personality", persona | 0x0040000) == (ALLOW if persona == 0xFFFFFFFF else EPERM)  # no randomisation


NAMESPACES = [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000]


@pytest.mark.parametrize("table", AUDIT)
def test_clone_makes_threads_and_processes_but_no_namespaces(judge: Judge, table: str) -> None:
    assert judge("clone", 0x003D0F00, table=table) == ALLOW
    assert judge("clone", 0x00000011, table=table) == ALLOW
    assert {judge("clone", 0x11 | flag, table=table) for flag in NAMESPACES} == {EPERM}
    assert judge("clone3", table=table) == ENOSYS


BROUGHT_BACK = {
    "CAP_SYS_ADMIN": ["clone3", "mount", "unshare", "setns", "bpf", "fsopen", "sethostname", "perf_event_open"],
    "CAP_SYS_PTRACE": ["kcmp", "pidfd_getfd", "process_madvise"],
    "CAP_SYS_TIME": ["settimeofday", "clock_settime"],
    "CAP_SYS_MODULE": ["init_module", "finit_module", "delete_module"],
    "CAP_SYS_BOOT": ["reboot"],
    "CAP_SYS_PACCT": ["acct"],
    "CAP_SYS_RAWIO": ["iopl", "ioperm"],
    "CAP_SYS_TTY_CONFIG": ["vhangup"],
    "CAP_SYS_NICE": ["mbind", "set_mempolicy", "get_mempolicy", "set_mempolicy_home_node"],
    "CAP_SYSLOG": ["syslog"],
    "CAP_BPF": ["bpf"],
    "CAP_PERFMON": ["perf_event_open"],
    "CAP_DAC_READ_SEARCH": ["open_by_handle_at"],
}


@pytest.mark.parametrize("capability", BROUGHT_BACK)
def test_a_capability_brings_back_the_calls_it_is_about(judge: Judge, capability: str) -> None:
    for name in BROUGHT_BACK[capability]:
        assert judge(name) in {EPERM, ENOSYS}
        assert judge(name, extra=(capability,)) == ALLOW


def test_chroot_goes_with_its_capability(judge: Judge) -> None:
    assert judge("chroot") == ALLOW
    assert judge("chroot", dropped=("CAP_SYS_CHROOT",)) == EPERM


def test_clone_may_make_namespaces_with_sys_admin(judge: Judge) -> None:
    assert judge("clone", 0x10000000, extra=("CAP_SYS_ADMIN",)) == ALLOW


def test_tracing_is_allowed_from_linux_4_8_on(decide: Any) -> None:
    for kernel, expected in (((4, 7), EPERM), ((4, 8), ALLOW), ((6, 1), ALLOW)):
        program = compile_profile(default_profile(DOCKER, "x86_64", kernel), "x86_64")
        assert decide(program, AUDIT["x86_64"], numbers("x86_64")["ptrace"], (0,) * 6) == expected


def test_calls_of_one_architecture_are_allowed_there(judge: Judge) -> None:
    assert judge("arch_prctl") == judge("modify_ldt") == judge("modify_ldt", table="x86") == ALLOW
    assert (
        judge("set_tls", table="arm") == judge("cacheflush", table="arm") == judge("breakpoint", table="arm") == ALLOW
    )
    assert judge("sync_file_range2", table="arm") == ALLOW


@pytest.mark.parametrize("table", AUDIT)
def test_calls_newer_than_the_profile_fail_with_enosys(judge: Judge, table: str) -> None:
    assert judge("open_tree_attr", table=table) == judge("file_getattr", table=table) == ENOSYS


def test_a_foreign_architecture_is_killed(decide: Any) -> None:
    program = compile_profile(default_profile(DOCKER, "x86_64", (6, 12)), "x86_64")
    assert decide(program, AUDIT["aarch64"], 63, (0,) * 6) == 0


@pytest.mark.parametrize("machine", MACHINES)
def test_the_program_is_small(machine: str) -> None:
    everything = frozenset(BROUGHT_BACK) | DOCKER
    for capabilities in (DOCKER, everything):
        assert len(compile_profile(default_profile(capabilities, machine, (6, 12)), machine)) // 8 < 700


def test_every_name_of_the_profile_is_a_system_call_somewhere() -> None:
    known = {name for table in AUDIT for name in numbers(table)}
    elsewhere = {"getsid", "riscv_hwprobe", "fstatat64", "recv", "send", "semop", "msgctl"}
    for machine in MACHINES:
        profile = default_profile(frozenset(BROUGHT_BACK) | DOCKER, machine, (6, 12))
        assert {name for rule in profile.rules for name in rule.names} - known - elsewhere == set()
