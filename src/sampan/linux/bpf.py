"""Device rules of a cgroup v2 group: an eBPF program made of them, and bpf(2) to load, attach, query and replace it.

A rule is about kinds of access ("r", "w", "m" for mknod) to some devices. For each kind the last rule that matches
decides; what no rule matches has the default; a request passes when every kind it asks for does. That is the order of
the OCI runtime specification and what the devices controller of cgroup v1 does. Source: linux/bpf.h
(bpf_cgroup_dev_ctx), the kernel's bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from sampan.errors import InvalidArgument
from sampan.linux.libc import syscall

_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_PROG_TYPE_CGROUP_DEVICE = 15
_CGROUP_DEVICE = 6  # enum bpf_attach_type
_ALLOW_MULTI, _REPLACE = 2, 4  # BPF_F_*
_MOST_PROGRAMS = 64  # BPF_CGROUP_MAX_PROGS
_NAME = b"sampan_devices"
_LOG_SIZE = 65536

_MKNOD, _READ, _WRITE = 1, 2, 4  # BPF_DEVCG_ACC_*
_ACCESS = {"m": _MKNOD, "r": _READ, "w": _WRITE}
_KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_INSTRUCTION = struct.Struct("=BBhi")

_LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
_MOVE = 0xB7  # BPF_ALU64 | BPF_MOV | BPF_K
_MOVE_REGISTER = 0xBF
_AND = 0x57
_SHIFT_RIGHT = 0x77
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_NOT_EQUAL = 0x55
_EXIT = 0x95
_RESULT, _CONTEXT, _WANTED, _KIND, _MAJOR, _MINOR, _SCRATCH = range(7)  # registers


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """Allow or deny: `kind` is "a" (both), "b" or "c"; -1 is any number; `access` is of "rwm", empty means all."""

    allow: bool
    kind: str = "a"
    major: int = -1
    minor: int = -1
    access: str = "rwm"


def compile_devices(rules: Iterable[DeviceRule], *, default_allow: bool = False) -> bytes:
    """The program for `rules` in the order given, an array of struct bpf_insn.

    Raises InvalidArgument for a rule with an unknown kind or access or a number out of range.
    """
    program = [
        _instruction(_LOAD_WORD, _WANTED | _CONTEXT << 4, 0),
        _instruction(_MOVE_REGISTER, _KIND | _WANTED << 4),
        _instruction(_AND, _KIND, 0, 0xFFFF),
        _instruction(_SHIFT_RIGHT, _WANTED, 0, 16),
        _instruction(_LOAD_WORD, _MAJOR | _CONTEXT << 4, 4),
        _instruction(_LOAD_WORD, _MINOR | _CONTEXT << 4, 8),
    ]
    for rule in reversed([_checked(rule) for rule in rules]):
        conditions = _conditions(rule)
        verdict = _verdict(rule)
        length = len(conditions) + len(verdict)
        for position, (register, value) in enumerate(conditions):
            program.append(_instruction(_JUMP_NOT_EQUAL, register, length - position - 1, value))
        program += verdict
        if not conditions and len(verdict) == 2:  # it decides everything, and the kernel refuses what can't be reached
            return b"".join(program)
    return b"".join((*program, *_exit_with(allow=default_allow)))


def load(program: bytes) -> int:
    """bpf(BPF_PROG_LOAD): a descriptor of the program (close-on-exec).

    Raises OSError; when the verifier refuses, with the last words of its log in the message.
    """
    text = ctypes.create_string_buffer(program, len(program))
    try:
        return _load(text, len(program), b"")
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EACCES, errno.E2BIG}:
            raise
        log = bytearray(_LOG_SIZE)
        try:
            return _load(text, len(program), log)
        except OSError as again:
            text_of_log = bytes(log).split(b"\0")[0].decode(errors="replace")
            said = [line for line in text_of_log.splitlines() if not line.startswith("processed ")]
            raise OSError(again.errno, ": ".join((str(again.strerror), *said[-1:]))) from again


def attach(cgroup_fd: int, program_fd: int, *, instead_of: int = -1) -> None:
    """bpf(BPF_PROG_ATTACH, BPF_F_ALLOW_MULTI): at once in force for every process of the group and below.

    With `instead_of`, the descriptor of an attached program, takes its place in one step (Linux 5.6).
    """
    flags = _ALLOW_MULTI | (_REPLACE if instead_of >= 0 else 0)
    attributes = struct.pack("=IIIII", cgroup_fd, program_fd, _CGROUP_DEVICE, flags, max(instead_of, 0))
    _bpf(_PROG_ATTACH, attributes)


def detach(cgroup_fd: int, program_fd: int) -> None:
    """bpf(BPF_PROG_DETACH); OSError ENOENT when the program is not attached there."""
    _bpf(_PROG_DETACH, struct.pack("=III", cgroup_fd, program_fd, _CGROUP_DEVICE))


def attached(cgroup_fd: int) -> tuple[int, ...]:
    """bpf(BPF_PROG_QUERY): the ids of the device programs attached to the group itself, oldest first."""
    ids = (ctypes.c_uint32 * _MOST_PROGRAMS)()
    attributes = struct.pack("=IIIIQI4x", cgroup_fd, _CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), _MOST_PROGRAMS)
    answer = _bpf(_PROG_QUERY, attributes)[1]
    (count,) = struct.unpack_from("=I", answer, 24)
    return tuple(ids[:count])


def by_id(program_id: int) -> int:
    """bpf(BPF_PROG_GET_FD_BY_ID): a descriptor (close-on-exec); OSError ENOENT when the program is gone."""
    return _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", program_id, 0, 0))[0]


def set_devices(cgroup_fd: int, rules: Iterable[DeviceRule], *, default_allow: bool = False) -> None:
    """Make `rules` those of the group, in the place of all programs there, without a moment of neither.

    Raises InvalidArgument before anything is done, or OSError.
    """
    program_fd = load(compile_devices(rules, default_allow=default_allow))
    try:
        former = [by_id(each) for each in attached(cgroup_fd)]
        try:
            attach(cgroup_fd, program_fd, instead_of=former[0] if former else -1)
            for descriptor in former[1:]:
                detach(cgroup_fd, descriptor)
        finally:
            for descriptor in former:
                os.close(descriptor)
    finally:
        os.close(program_fd)


def _instruction(code: int, registers: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, registers, offset, value)


def _exit_with(*, allow: bool) -> list[bytes]:
    return [_instruction(_MOVE, _RESULT, 0, int(allow)), _instruction(_EXIT)]


def _conditions(rule: DeviceRule) -> list[tuple[int, int]]:
    """Registers and what they must hold for the rule to be about the request's device."""
    found = [(_KIND, _KINDS[rule.kind])] if rule.kind != "a" else []
    found += [(_MAJOR, rule.major)] if rule.major >= 0 else []
    return found + ([(_MINOR, rule.minor)] if rule.minor >= 0 else [])


def _verdict(rule: DeviceRule) -> list[bytes]:
    """What to do when the device matches; falls through when accesses are left to decide about."""
    access = sum(_ACCESS[letter] for letter in set(rule.access or "rwm"))
    if access == _MKNOD | _READ | _WRITE:
        return _exit_with(allow=rule.allow)
    if rule.allow:
        return [
            _instruction(_AND, _WANTED, 0, ~access),
            _instruction(_JUMP_NOT_EQUAL, _WANTED, 2, 0),
            *_exit_with(allow=True),
        ]
    return [
        _instruction(_MOVE_REGISTER, _SCRATCH | _WANTED << 4),
        _instruction(_AND, _SCRATCH, 0, access),
        _instruction(_JUMP_EQUAL, _SCRATCH, 2, 0),
        *_exit_with(allow=False),
    ]


def _checked(rule: DeviceRule) -> DeviceRule:
    in_range = all(-1 <= number < 1 << 31 for number in (rule.major, rule.minor))
    if rule.kind not in {"a", "b", "c"} or not set(rule.access) <= set("rwm") or not in_range:
        raise InvalidArgument(
            f"not a device rule: {rule.kind} {rule.major}:{rule.minor} {rule.access}",
            remedy="a kind of a, b or c, numbers or -1, and an access of r, w and m",
        )
    return rule


def _load(text: ctypes.Array[ctypes.c_char], size: int, log: bytes | bytearray) -> int:
    license_text = ctypes.create_string_buffer(b"GPL")
    log_text = (ctypes.c_char * len(log)).from_buffer(log) if isinstance(log, bytearray) else None
    attributes = struct.pack(
        "=IIQQIIQII16s",
        _PROG_TYPE_CGROUP_DEVICE,
        size // _INSTRUCTION.size,
        ctypes.addressof(text),
        ctypes.addressof(license_text),
        1 if log_text else 0,
        len(log),
        ctypes.addressof(log_text) if log_text else 0,
        0,
        0,
        _NAME,
    )
    return _bpf(_PROG_LOAD, attributes)[0]


def _bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    """bpf(2): its result, and the attributes as the kernel left them."""
    memory = ctypes.create_string_buffer(attributes, len(attributes))
    result = syscall("bpf", command, ctypes.byref(memory), len(attributes))
    return result, memory.raw
