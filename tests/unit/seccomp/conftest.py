"""What judges a seccomp filter: an interpreter of its own, and libseccomp as the oracle."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import pytest

from sampan.linux.seccomp import Profile, Rule

Decide = Callable[[bytes, int, int, tuple[int, ...]], int]
_MEMORY = struct.Struct("=IIQ6Q")


def _compare(code: int, accumulator: int, value: int) -> bool:
    match code:
        case 0x15:
            return accumulator == value
        case 0x25:
            return accumulator > value
        case 0x35:
            return accumulator >= value
        case 0x45:
            return bool(accumulator & value)
    raise AssertionError(f"instruction {code:#x} is not one that seccomp takes")


@lru_cache(maxsize=8)
def _decoded(program: bytes) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("=HBBI", program))


def interpret(program: bytes, arch: int, number: int, arguments: tuple[int, ...]) -> int:
    """The return value of a filter for one system call, executed as kernel/seccomp.c would."""
    memory = _MEMORY.pack(number & 0xFFFFFFFF, arch, 0, *arguments)
    instructions = _decoded(program)
    accumulator = position = 0
    while True:
        code, yes, no, value = instructions[position]
        position += 1
        match code:
            case 0x06:
                return int(value)
            case 0x20:
                assert value % 4 == 0
                (accumulator,) = struct.unpack_from("=I", memory, value)
            case 0x54:
                accumulator &= value
            case 0x05:
                position += value
            case _:
                position += yes if _compare(code, accumulator, value) else no


@pytest.fixture(scope="session")
def decide() -> Decide:
    return interpret


class _Condition(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_ACTIONS = {
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
TOKENS = {
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_X32": 0x4000003E,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_ARM": 0x40000028,
}
_OWN = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}


class ContradictoryError(Exception):
    """libseccomp refuses a rule with EEXIST, because an equal one has another action."""


@dataclass(frozen=True)
class Libseccomp:
    """libseccomp through ctypes, driven the way runc drives it."""

    library: ctypes.CDLL
    contradictory = ContradictoryError

    def resolve(self, architecture: str, name: str) -> int:
        return int(self.library.seccomp_syscall_resolve_name_arch(TOKENS[architecture], name.encode()))

    def name(self, architecture: str, number: int) -> str:
        found = self.library.seccomp_syscall_resolve_num_arch(TOKENS[architecture], number)
        return ctypes.string_at(found).decode() if found else ""

    def compile(self, profile: Profile, machine: str) -> bytes:
        context = self.library.seccomp_init(_value(profile.default_action, profile.default_errno))
        assert context
        try:
            own = self.library.seccomp_arch_native()
            if own != TOKENS[_OWN[machine]]:
                assert self.library.seccomp_arch_remove(context, own) == 0
                assert self.library.seccomp_arch_add(context, TOKENS[_OWN[machine]]) == 0
            for architecture in profile.architectures:
                assert self.library.seccomp_arch_add(context, TOKENS[architecture]) in {0, -17}
            for rule in profile.rules:
                self._add(context, rule, _value(profile.default_action, profile.default_errno))
            return self._exported(context)
        finally:
            self.library.seccomp_release(context)

    def _add(self, context: int, rule: Rule, default: int) -> None:
        action = _value(rule.action, rule.errno)
        if action == default:
            return
        conditions = [_Condition(a.index, _OPERATORS[a.op], a.value, a.value_two) for a in rule.arguments]
        alone = len({a.index for a in rule.arguments}) < len(rule.arguments)
        for name in rule.names:
            number = self.library.seccomp_syscall_resolve_name(name.encode())
            if number == -1:
                continue
            for group in [[condition] for condition in conditions] if alone else [conditions]:
                array = (_Condition * len(group))(*group)
                result = self.library.seccomp_rule_add_array(context, action, number, len(group), array)
                if result == -17:
                    raise ContradictoryError(name)
                assert result == 0

    def _exported(self, context: int) -> bytes:
        memory = os.memfd_create("filter")
        try:
            assert self.library.seccomp_export_bpf(context, memory) == 0
            return os.pread(memory, 1 << 20, 0)
        finally:
            os.close(memory)


def _value(action: str, errno: int | None) -> int:
    value = _ACTIONS[action]
    if action in {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}:
        value |= 1 if errno is None else errno
    return value


@pytest.fixture(scope="session")
def libseccomp() -> Libseccomp:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp.so.2, the oracle, is not installed (apt-get install libseccomp2)")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_release.restype = None
    library.seccomp_arch_native.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_arch_remove.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_void_p,
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    library.seccomp_syscall_resolve_num_arch.argtypes = [ctypes.c_uint32, ctypes.c_int]
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    return Libseccomp(library)
