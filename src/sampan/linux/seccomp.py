"""seccomp(2): from a profile in the form of the OCI runtime specification to a BPF program, and loading it.

Profiles are given in the specification's own words (SCMP_ACT_*, SCMP_ARCH_*, SCMP_CMP_*) and mean what they mean to
runc and crun, which go through libseccomp:

- The machine's own architecture is always covered; architectures this machine can't run are ignored. A system call
  from an architecture that the profile doesn't name kills the thread. x32 shares x86_64's architecture number and is
  told apart by a bit of the system call's number; without SCMP_ARCH_X32 such a call is of an unnamed architecture.
- A name that no table knows is ignored, since profiles name calls newer than the runtime. A rule that says what the
  default says is ignored too.
- A rule without arguments beats all rules with arguments for the same system call; among equals the first one counts.
  All argument conditions of a rule must hold, but when two of them look at the same argument, each of the rule's
  conditions counts alone.
- On 32-bit architectures and x32 only the low 32 bits of arguments and values are compared.
- On i386 a rule for `socket` (or another of its family, or of System V IPC) also covers socketcall(2) (ipc(2)); those
  hold the real arguments in memory, which a filter can't see, so a condition on the first argument is dropped there.
- A system call whose number is higher than all numbers that the profile names was added to the kernel after the
  profile was written: unless the default lets it through, it fails with ENOSYS and not with the default action,
  because C libraries fall back to older calls on ENOSYS only (runc does the same; crun does not).

What a good profile is, is not the matter of this module; neither are notifications (seccomp_notify).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.linux import classic_bpf as bpf
from sampan.linux.libc import MACHINE, syscall
from sampan.linux.seccomp_profile import (
    ERRNO,
    KILL_THREAD,
    Argument,
    FilterFlag,
    Profile,
    Rule,
    check,
    filter_flags,
    returned,
)
from sampan.linux.syscall_numbers import ARM_PRIVATE, X32_SYSCALL_BIT, multiplexed, numbers

__all__ = ["Argument", "FilterFlag", "Profile", "Rule", "compile_profile", "filter_flags", "load"]

_ENOSYS = 38
_LETS_THROUGH = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"})


@dataclass(frozen=True, slots=True)
class _Abi:
    """A way to make system calls: its table in syscall_numbers, its AUDIT_ARCH_* number, the width of arguments.

    `apart` are numbers high above the others that are old all the same.
    """

    table: str
    audit: int
    wide: bool
    apart: range = range(0)


_X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64
_ABIS = {
    "SCMP_ARCH_X86_64": _Abi("x86_64", _X86_64, wide=True),
    "SCMP_ARCH_X32": _Abi("x32", _X86_64, wide=False, apart=range(X32_SYSCALL_BIT + 512, X32_SYSCALL_BIT + 548)),
    "SCMP_ARCH_X86": _Abi("x86", 0x40000003, wide=False),
    "SCMP_ARCH_AARCH64": _Abi("aarch64", 0xC00000B7, wide=True),
    "SCMP_ARCH_ARM": _Abi("arm", 0x40000028, wide=False, apart=range(ARM_PRIVATE, ARM_PRIVATE + 7)),
}
_OF_MACHINE = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}
# Conditions that must all hold, and the filter's return value then.
_Alternative = tuple[tuple[Argument, ...], int]
_Body = tuple[_Alternative, ...]


def compile_profile(profile: Profile, machine: str = MACHINE) -> bytes:
    """The filter program of `profile` for a kernel on `machine` ("x86_64", "aarch64"): an array of struct sock_filter.

    Raises InvalidArgument for a profile that can't be, NotImplementedHere for another machine. Deterministic.
    """
    own = _OF_MACHINE.get(machine)
    if own is None:
        raise NotImplementedHere(
            f"seccomp profiles are not supported on {machine}",
            remedy="run without one: --security-opt seccomp=unconfined",
        )
    check(profile)
    abis = [_ABIS[name] for name in own if name == own[0] or name in profile.architectures]
    assembler = bpf.Assembler()
    unknown = assembler.returns(KILL_THREAD)
    sections: dict[int, int] = {}
    for abi in reversed(abis):  # x32 before x86_64, which jumps to it
        entry = _section(assembler, profile, abi)
        if abi.table == "x86_64":
            # A tracer skips a system call by making its number -1: that must not kill (seccomp(2)).
            x32 = sections.pop(abi.audit, 0) or assembler.branch(
                bpf.JUMP_EQUAL,
                0xFFFFFFFF,
                assembler.returns(returned(profile.default_action, profile.default_errno)),
                unknown,
            )
            entry = assembler.branch(bpf.JUMP_GREATER_EQUAL, X32_SYSCALL_BIT, x32, entry)
        sections[abi.audit] = entry
    for audit, entry in sections.items():
        unknown = assembler.branch(bpf.JUMP_EQUAL, audit, assembler.load(0, entry), unknown)
    assembler.load(4, unknown)
    if len(assembler) > bpf.MAX_INSTRUCTIONS:
        raise InvalidArgument(
            f"the seccomp profile needs {len(assembler)} instructions, the kernel takes {bpf.MAX_INSTRUCTIONS}",
            remedy="use fewer rules with argument conditions",
        )
    return assembler.program()


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def load(program: bytes, flags: int = 0) -> int | None:
    """seccomp(SECCOMP_SET_MODE_FILTER) for the calling thread; the descriptor of NEW_LISTENER (close-on-exec), or None.

    Raises OSError: EACCES without no_new_privs and CAP_SYS_ADMIN, EINVAL for a program or flags the kernel refuses,
    EBUSY when there is a listener already.
    """
    argument = _Program(len(program) // 8, program)
    result = syscall("seccomp", 1, int(flags), ctypes.byref(argument), about=f"{len(program) // 8} instructions")
    return result if flags & FilterFlag.NEW_LISTENER else None


def _alternatives(profile: Profile, abi: _Abi) -> tuple[dict[int, list[_Alternative]], int]:
    """Number -> the rules for it in order, and the highest number, of those not apart, that the profile names."""
    default = returned(profile.default_action, profile.default_errno)
    table, families = numbers(abi.table), multiplexed(abi.table)
    found: dict[int, list[_Alternative]] = {}
    highest = -1
    for rule in profile.rules:
        value = returned(rule.action, rule.errno)
        for name in rule.names:
            number = table.get(name, -1)
            if number not in abi.apart:
                highest = max(highest, number)
            if value == default:
                continue
            for conditions in _conjunctions(rule.arguments):
                if number >= 0:
                    found.setdefault(number, []).append((_telling(conditions, abi), value))
                if name in families:
                    family, call = families[name]
                    highest = max(highest, family)
                    others = tuple(condition for condition in conditions if condition.index != 0)
                    found.setdefault(family, []).append(((Argument(0, call), *_telling(others, abi)), value))
    return found, highest


def _conjunctions(arguments: tuple[Argument, ...]) -> Iterator[tuple[Argument, ...]]:
    if len({argument.index for argument in arguments}) == len(arguments):
        yield arguments
    else:
        yield from ((argument,) for argument in arguments)


def _telling(conditions: tuple[Argument, ...], abi: _Abi) -> tuple[Argument, ...]:
    """The conditions without those that always hold: a mask without bits."""
    seen = 0xFFFFFFFFFFFFFFFF if abi.wide else 0xFFFFFFFF
    return tuple(
        condition for condition in conditions if condition.op != "SCMP_CMP_MASKED_EQ" or condition.value & seen
    )


def _intervals(profile: Profile, abi: _Abi) -> list[tuple[int, _Body]]:
    """The number line cut into pieces of one fate: (first number, what happens), from 0 on."""
    default = returned(profile.default_action, profile.default_errno)
    found, highest = _alternatives(profile, abi)
    newer = default if highest < 0 or profile.default_action in _LETS_THROUGH else ERRNO | _ENOSYS
    first_newer = highest + 1

    def rest(number: int) -> _Body:
        return (((), newer if number >= first_newer and number not in abi.apart else default),)

    pieces = {number: rest(number) for number in (0, first_newer, abi.apart.start, abi.apart.stop)}
    for number in sorted(found):
        unconditional = [alternative for alternative in found[number] if not alternative[0]]
        pieces[number] = tuple(unconditional[:1]) or (*dict.fromkeys(found[number]), ((), default))
        if number + 1 not in found:
            pieces[number + 1] = rest(number + 1)
    joined: list[tuple[int, _Body]] = []
    for start in sorted(pieces):
        if not joined or joined[-1][1] != pieces[start]:
            joined.append((start, pieces[start]))
    return joined


def _section(assembler: bpf.Assembler, profile: Profile, abi: _Abi) -> int:
    """Write the decision for one architecture; it expects the system call's number loaded."""
    intervals = _intervals(profile, abi)
    written: dict[_Body, int] = {}

    def decide(low: int, high: int) -> int:
        if high - low > 1:
            middle = (low + high) // 2
            above = decide(middle, high)
            return assembler.branch(bpf.JUMP_GREATER_EQUAL, intervals[middle][0], above, decide(low, middle))
        body = intervals[low][1]
        if len(body) == 1:
            return assembler.returns(body[0][1])
        if body not in written:
            written[body] = _body(assembler, body, wide=abi.wide)
        return written[body]

    return decide(0, len(intervals))


def _body(assembler: bpf.Assembler, body: _Body, *, wide: bool) -> int:
    """Write one system call's alternatives; the first whose conditions hold decides."""
    label = 0
    for conditions, value in reversed(body):
        otherwise = label
        label = assembler.returns(value)
        for condition in reversed(conditions):
            label = _condition(assembler, condition, label, otherwise, wide=wide)
    return label


def _condition(assembler: bpf.Assembler, condition: Argument, yes: int, no: int, *, wide: bool) -> int:
    """Compare an argument of struct seccomp_data, low word first in memory, with 32-bit words."""
    offset = 16 + 8 * condition.index
    mask, value, code = 0xFFFFFFFFFFFFFFFF, condition.value, bpf.JUMP_EQUAL
    match condition.op:
        case "SCMP_CMP_NE":
            yes, no = no, yes
        case "SCMP_CMP_GT":
            code = bpf.JUMP_GREATER
        case "SCMP_CMP_GE":
            code = bpf.JUMP_GREATER_EQUAL
        case "SCMP_CMP_LT":
            code, yes, no = bpf.JUMP_GREATER_EQUAL, no, yes
        case "SCMP_CMP_LE":
            code, yes, no = bpf.JUMP_GREATER, no, yes
        case "SCMP_CMP_MASKED_EQ":
            mask, value = condition.value, condition.value & condition.value_two
    label = _word(assembler, offset, mask & 0xFFFFFFFF, code, value & 0xFFFFFFFF, yes, no)
    if not wide:
        return label
    mask, value = mask >> 32, value >> 32
    if code == bpf.JUMP_EQUAL:
        return _word(assembler, offset + 4, mask, code, value, label, no)
    same = assembler.branch(bpf.JUMP_EQUAL, value, label, no)
    return assembler.load(offset + 4, assembler.branch(bpf.JUMP_GREATER, value, yes, same))


def _word(assembler: bpf.Assembler, offset: int, mask: int, code: int, value: int, yes: int, no: int) -> int:
    if mask == 0:
        return yes
    label = assembler.branch(code, value, yes, no)
    if mask != 0xFFFFFFFF:
        label = assembler.masks(mask, label)
    return assembler.load(offset, label)
