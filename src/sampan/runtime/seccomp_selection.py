"""Seccomp profiles in Docker's form: rules that count only with some capabilities, architectures or kernels.

A profile of that form is a JSON document like the OCI runtime specification's, with `archMap` for the architectures and
with `includes` and `excludes` at a rule. Selecting leaves a plain `Profile`. The default profile's content is the
matter of default_seccomp.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sampan.errors import InvalidArgument
from sampan.linux.seccomp import Argument, Profile, Rule, compile_profile, filter_flags
from sampan.runtime.launch_plan import SeccompPlan

Kernel = tuple[int, int]
# What Docker calls a machine, and the SCMP name of its own architecture.
_MACHINES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}
_REMEDY = "pass a profile as Docker documents it, or seccomp=unconfined"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule depends on; empty fields say nothing. Architectures are Docker's names: "amd64", "arm64"."""

    capabilities: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    min_kernel: Kernel | None = None


@dataclass(frozen=True, slots=True)
class ConditionalRule:
    """A rule that counts when all of `includes` holds and nothing of `excludes` does."""

    rule: Rule
    includes: Condition = Condition()
    excludes: Condition = Condition()


def select(
    rules: Iterable[ConditionalRule], capabilities: frozenset[str], machine: str, kernel: Kernel
) -> tuple[Rule, ...]:
    """The rules that count for a process with these capabilities ("CAP_CHOWN", …) in its bounding set."""
    architecture, _ = _MACHINES.get(machine, ("", ""))
    return tuple(
        each.rule
        for each in rules
        if _includes(each.includes, capabilities, architecture, kernel)
        and not _excludes(each.excludes, capabilities, architecture, kernel)
    )


def _includes(condition: Condition, capabilities: frozenset[str], architecture: str, kernel: Kernel) -> bool:
    return (
        capabilities.issuperset(condition.capabilities)
        and (not condition.architectures or architecture in condition.architectures)
        and (condition.min_kernel is None or kernel >= condition.min_kernel)
    )


def _excludes(condition: Condition, capabilities: frozenset[str], architecture: str, kernel: Kernel) -> bool:
    return (
        not capabilities.isdisjoint(condition.capabilities)
        or architecture in condition.architectures
        or (condition.min_kernel is not None and kernel >= condition.min_kernel)
    )


def plan_profile(text: str, capabilities: frozenset[str], machine: str, kernel: Kernel) -> SeccompPlan | None:
    """The compiled filter of a profile's JSON text in Docker's or the OCI's form; None when it asks for none.

    Raises InvalidArgument for what is no profile or can't be compiled.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"Decoding seccomp profile failed: {error}", remedy=_REMEDY) from error
    top = _object(document, "the profile")
    if not top.get("defaultAction") and not top.get("syscalls"):
        return None
    flags = top.get("flags")
    profile = Profile(
        default_action=_text(top, "defaultAction"),
        default_errno=_number(top, "defaultErrnoRet"),
        architectures=_architectures(top, machine),
        flags=None if flags is None else _texts(top, "flags"),
        rules=select((_rule(each) for each in _list(top, "syscalls")), capabilities, machine, kernel),
    )
    notifies = any(rule.action == "SCMP_ACT_NOTIFY" for rule in profile.rules)
    listener_path, metadata = _text(top, "listenerPath"), _text(top, "listenerMetadata")
    if (notifies or metadata) and not listener_path.startswith("/"):
        raise InvalidArgument(
            f"seccomp profile: SCMP_ACT_NOTIFY needs a listenerPath that is absolute, not {listener_path!r}",
            remedy="name the unix socket of a seccomp agent",
        )
    return SeccompPlan(
        compile_profile(profile, machine),
        int(filter_flags(profile)),
        listener_path if notifies else "",
        metadata,
    )


def _architectures(top: dict[str, Any], machine: str) -> tuple[str, ...]:
    if top.get("architectures") and top.get("archMap"):
        raise InvalidArgument("seccomp profile: use either 'architectures' or 'archMap', not both", remedy=_REMEDY)
    _, own = _MACHINES.get(machine, ("", ""))
    for each in _list(top, "archMap"):
        entry = _object(each, "archMap")
        if _text(entry, "architecture") == own:
            return (own, *_texts(entry, "subArchitectures"))
    return _texts(top, "architectures")


def _rule(found: object) -> ConditionalRule:
    call = _object(found, "syscalls")
    name, names = _text(call, "name"), _texts(call, "names")
    if name and names:
        raise InvalidArgument("seccomp profile: use either 'name' or 'names', not both", remedy=_REMEDY)
    if not name and not names:
        raise InvalidArgument("seccomp profile: a rule names no system call", remedy=_REMEDY)
    rule = Rule(
        (name,) if name else names,
        _text(call, "action"),
        _number(call, "errnoRet"),
        tuple(_argument(each) for each in _list(call, "args")),
    )
    return ConditionalRule(rule, _condition(call, "includes"), _condition(call, "excludes"))


def _argument(found: object) -> Argument:
    content = _object(found, "args")
    index, value, value_two = (_number(content, key) or 0 for key in ("index", "value", "valueTwo"))
    return Argument(index, value, value_two, _text(content, "op"))


def _condition(call: dict[str, Any], key: str) -> Condition:
    content = _object(call.get(key) or {}, key)
    version = _text(content, "minKernel")
    numbers = version.split(".")
    if version and not (len(numbers) == 2 and all(number.isdecimal() for number in numbers)):
        raise InvalidArgument(f"seccomp profile: minKernel {version!r} is not like '4.8'", remedy=_REMEDY)
    return Condition(
        _texts(content, "caps"),
        _texts(content, "arches"),
        (int(numbers[0]), int(numbers[1])) if version else None,
    )


# What JSON holds, by kind; absent and null are empty.


def _object(found: object, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _wrong(where, found, "an object")
    return found


def _list(content: dict[str, Any], key: str) -> list[Any]:
    found = content.get(key) or []
    if not isinstance(found, list):
        raise _wrong(key, found, "a list")
    return found


def _text(content: dict[str, Any], key: str) -> str:
    found = content.get(key) or ""
    if not isinstance(found, str):
        raise _wrong(key, found, "a string")
    return found


def _texts(content: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(_text({key: each}, key) for each in _list(content, key))


def _number(content: dict[str, Any], key: str) -> int | None:
    found = content.get(key)
    if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
        raise _wrong(key, found, "a whole number")
    return found


def _wrong(key: str, found: object, kind: str) -> InvalidArgument:
    return InvalidArgument(f"seccomp profile: {key} is not {kind} but {found!r:.60}", remedy=_REMEDY)
