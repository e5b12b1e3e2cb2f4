"""A seccomp profile in the form and the words of the OCI runtime specification (config-linux.md, "Seccomp").

The types, the words with the kernel's numbers behind them, and what can be refused by looking at a profile alone.
Turning a profile into a program is the matter of `seccomp`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sampan.errors import InvalidArgument


class FilterFlag(enum.IntFlag):
    """SECCOMP_FILTER_FLAG_* (linux/seccomp.h)."""

    NONE = 0
    TSYNC = 1
    LOG = 2
    SPEC_ALLOW = 4
    NEW_LISTENER = 8
    TSYNC_ESRCH = 16
    WAIT_KILLABLE_RECV = 32


KILL_THREAD = 0x00000000  # SECCOMP_RET_KILL_THREAD
ERRNO = 0x00050000  # SECCOMP_RET_ERRNO
ACTIONS = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
OPERATORS = (
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
)
# TSYNC is taken and does nothing: whoever starts a container's program has one thread, and TSYNC excludes NEW_LISTENER.
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": FilterFlag.NONE,
    "SECCOMP_FILTER_FLAG_LOG": FilterFlag.LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": FilterFlag.SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": FilterFlag.WAIT_KILLABLE_RECV,
}


_ARCHITECTURES = """
    X86 X86_64 X32 ARM AARCH64 LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PARISC PARISC64
    PPC PPC64 PPC64LE RISCV64 S390 S390X SH SHEB
"""
ARCHITECTURES = tuple(f"SCMP_ARCH_{name}" for name in _ARCHITECTURES.split())


@dataclass(frozen=True, slots=True)
class Argument:
    """A condition on argument `index`; for SCMP_CMP_MASKED_EQ `value` is the mask and `value_two` what must be left."""

    index: int
    value: int
    value_two: int = 0
    op: str = "SCMP_CMP_EQ"


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do with these system calls; `errno` is for SCMP_ACT_ERRNO and SCMP_ACT_TRACE, EPERM when None."""

    names: tuple[str, ...]
    action: str
    errno: int | None = None
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """linux.seccomp of the OCI runtime specification; hashable, so compiled programs can be kept by it.

    `flags` None means that the profile says nothing about flags; then SPEC_ALLOW is set, as runc does.
    """

    default_action: str
    default_errno: int | None = None
    architectures: tuple[str, ...] = ()
    flags: tuple[str, ...] | None = None
    rules: tuple[Rule, ...] = ()


def filter_flags(profile: Profile) -> FilterFlag:
    """The flags to load `profile`'s program with; NEW_LISTENER when a rule notifies."""
    if profile.flags is None:
        flags = FilterFlag.SPEC_ALLOW
    else:
        flags = FilterFlag.NONE
        for name in profile.flags:
            if name not in FLAGS:
                raise InvalidArgument(f"unknown seccomp flag {name!r}", remedy=f"known flags: {', '.join(FLAGS)}")
            flags |= FLAGS[name]
    if any(rule.action == "SCMP_ACT_NOTIFY" for rule in profile.rules):
        return flags | FilterFlag.NEW_LISTENER
    return flags & ~FilterFlag.WAIT_KILLABLE_RECV  # EINVAL without a listener


def check(profile: Profile) -> None:
    """Raise InvalidArgument for what no program can be made of; actions are seen to by `returned`."""
    filter_flags(profile)
    for name in profile.architectures:
        if name not in ARCHITECTURES:
            raise InvalidArgument(
                f"unknown seccomp architecture {name!r}", remedy="architectures are named SCMP_ARCH_X86_64, …"
            )
    if profile.default_action == "SCMP_ACT_NOTIFY":
        raise InvalidArgument(
            "SCMP_ACT_NOTIFY cannot be the default seccomp action",
            remedy="name the system calls to be notified of in a rule",
        )
    for rule in profile.rules:
        if rule.action == "SCMP_ACT_NOTIFY" and "write" in rule.names:
            raise InvalidArgument(
                "SCMP_ACT_NOTIFY cannot be used for the write syscall",
                remedy="no one could hand over the listener then",
            )
        for argument in rule.arguments:
            _check_argument(argument)


def _check_argument(argument: Argument) -> None:
    if not 0 <= argument.index <= 5:
        raise InvalidArgument(f"seccomp argument index {argument.index} is not between 0 and 5")
    if argument.op not in OPERATORS:
        raise InvalidArgument(
            f"unknown seccomp operator {argument.op!r}", remedy=f"known operators: {', '.join(OPERATORS)}"
        )
    if not (0 <= argument.value < 1 << 64 and 0 <= argument.value_two < 1 << 64):
        raise InvalidArgument(
            f"seccomp argument value {argument.value}, {argument.value_two} is not an unsigned 64-bit number"
        )


def returned(action: str, errno: int | None) -> int:
    """The filter's return value for an action of the profile."""
    value = ACTIONS.get(action)
    if value is None:
        raise InvalidArgument(f"unknown seccomp action {action!r}", remedy=f"known actions: {', '.join(ACTIONS)}")
    if action in {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}:
        number = 1 if errno is None else errno  # EPERM
        if not 0 <= number <= 0xFFFF:
            raise InvalidArgument(f"seccomp errno {number} of {action} is not between 0 and 65535")
        return value | number
    if errno is not None:
        raise InvalidArgument(f"seccomp action {action} takes no errno, {errno} was given", remedy="leave errnoRet out")
    return value
