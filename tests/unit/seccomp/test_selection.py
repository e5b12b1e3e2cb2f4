"""Profiles in Docker's JSON form: what is read, what is selected, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sampan.errors import InvalidArgument
from sampan.linux.seccomp import FilterFlag, Profile, Rule, compile_profile
from sampan.runtime.seccomp_selection import Condition, ConditionalRule, plan_profile, select

NONE: frozenset[str] = frozenset()


def read(document: Any, capabilities: frozenset[str] = NONE, machine: str = "x86_64") -> Any:
    return plan_profile(json.dumps(document), capabilities, machine, (6, 1))


ALWAYS = Condition()


def rule_for(includes: Condition = ALWAYS, excludes: Condition = ALWAYS) -> list[ConditionalRule]:
    return [ConditionalRule(Rule(("bpf",), "SCMP_ACT_ALLOW"), includes, excludes)]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (Condition(capabilities=("CAP_BPF",)), True),
        (Condition(capabilities=("CAP_BPF", "CAP_KILL")), False),
        (Condition(architectures=("amd64", "s390x")), True),
        (Condition(architectures=("arm64",)), False),
        (Condition(min_kernel=(6, 1)), True),
        (Condition(min_kernel=(5, 99)), True),
        (Condition(min_kernel=(6, 2)), False),
        (Condition(("CAP_BPF",), ("amd64",), (7, 0)), False),
    ],
)
def test_a_rule_counts_when_all_it_includes_holds(condition: Condition, *, holds: bool) -> None:
    assert bool(select(rule_for(includes=condition), frozenset({"CAP_BPF"}), "x86_64", (6, 1))) == holds


@pytest.mark.parametrize(
    ("condition", "counts"),
    [
        (Condition(), True),
        (Condition(capabilities=("CAP_KILL",)), True),
        (Condition(capabilities=("CAP_BPF", "CAP_KILL")), False),
        (Condition(architectures=("amd64",)), False),
        (Condition(architectures=("arm64",)), True),
        (Condition(min_kernel=(4, 8)), False),
        (Condition(min_kernel=(9, 0)), True),
    ],
)
def test_a_rule_does_not_count_when_anything_it_excludes_holds(condition: Condition, *, counts: bool) -> None:
    assert bool(select(rule_for(excludes=condition), frozenset({"CAP_BPF"}), "x86_64", (6, 1))) == counts


DOCUMENT = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 5,
    "archMap": [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
    ],
    "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls": [
        {"names": ["read", "write", "mseal"], "action": "SCMP_ACT_ALLOW", "comment": "words"},
        {
            "name": "ioctl",
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 25,
            "args": [{"index": 1, "value": 7, "op": "SCMP_CMP_EQ"}],
        },
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"], "minKernel": "5.8"}},
        {"names": ["clone3"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
    ],
}


def test_a_document_is_read_whole(decide: Any) -> None:
    plan = read(DOCUMENT)
    judged = [
        decide(plan.program, 0xC000003E, number, (0, argument, 0, 0, 0, 0))
        for number, argument in ((0, 0), (16, 7), (16, 8), (321, 0), (435, 0))
    ]
    assert judged == [0x7FFF0000, 0x00050019, 0x00050005, 0x00050005, 0x00050005]
    assert plan.flags == FilterFlag.LOG
    assert decide(plan.program, 0x40000003, 3, (0,) * 6) == 0x7FFF0000
    assert decide(read(DOCUMENT, frozenset({"CAP_BPF"})).program, 0xC000003E, 321, (0,) * 6) == 0x7FFF0000


def test_architectures_come_from_the_machine_s_entry(decide: Any) -> None:
    program = read(DOCUMENT, machine="aarch64").program
    assert decide(program, 0x40000028, 3, (0,) * 6) == 0x7FFF0000
    assert decide(program, 0xC000003E, 0, (0,) * 6) == 0


def test_a_document_without_content_asks_for_no_filter() -> None:
    assert read({}) is None
    assert read({"syscalls": []}) is None


def test_a_plain_document_without_flags_has_the_runtime_s() -> None:
    plan = read({"defaultAction": "SCMP_ACT_ALLOW"})
    assert plan.program == compile_profile(Profile("SCMP_ACT_ALLOW"), "x86_64")
    assert plan.flags == FilterFlag.SPEC_ALLOW


def test_notifications_keep_their_listener() -> None:
    rules = [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]
    plan = read(
        {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/a", "listenerMetadata": "m", "syscalls": rules}
    )
    assert (plan.listener_path, plan.metadata) == ("/run/a", "m")
    assert plan.flags & FilterFlag.NEW_LISTENER
    for missing in ({}, {"listenerPath": "agent.sock"}):
        with pytest.raises(InvalidArgument, match="listenerPath"):
            read({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules} | missing)
    with pytest.raises(InvalidArgument, match="listenerPath"):
        read({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "m"})
    assert read({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/a"}).listener_path == ""


def with_rule(**fields: Any) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL"} | fields],
    }


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "an object"),
        ({"defaultAction": 7}, "defaultAction"),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": "EPERM"}, "defaultErrnoRet"),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": True}, "defaultErrnoRet"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{}]}, "archMap"),
        ({"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}, "''"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}, "flags": "x"}, "flags"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": ["read"]}, "syscalls"),
        (with_rule(name="write"), "'name'"),
        (with_rule(names=[]), "names no system call"),
        (with_rule(names=[5]), "names"),
        (with_rule(args=[7]), "args"),
        (with_rule(args=[{"index": "0"}]), "index"),
        (with_rule(args=[{"index": 0, "value": 1, "op": "EQ"}]), "EQ"),
        (with_rule(includes=[1]), "includes"),
        (with_rule(includes={"minKernel": "5"}), "minKernel"),
        (with_rule(excludes={"minKernel": "5.x"}), "minKernel"),
        (with_rule(excludes={"caps": "CAP_BPF"}), "caps"),
    ],
)
def test_what_is_no_profile_is_refused_by_name(document: Any, named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        read(document)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="Decoding seccomp profile failed"):
        plan_profile("{", NONE, "x86_64", (6, 1))
