"""What a compiled filter decides, judged by reading the profile as the documentation says."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.linux.classic_bpf import JUMP_EQUAL, Assembler
from sampan.linux.seccomp import Argument, FilterFlag, Profile, Rule, compile_profile, filter_flags
from sampan.linux.syscall_numbers import numbers

X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
ALLOW, LOG, KILL, NOSYS = 0x7FFF0000, 0x7FFC0000, 0, 0x00050026
NOTHING = (0,) * 6
NUMBERS = numbers("x86_64")
ALL_OF_X86 = ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32")


def errno(number: int) -> int:
    return 0x00050000 | number


def allow(*names: str, arguments: tuple[Argument, ...] = ()) -> Rule:
    return Rule(names, "SCMP_ACT_ALLOW", None, arguments)


OPERATORS: dict[str, Callable[[int, int, int], bool]] = {
    "SCMP_CMP_NE": lambda argument, a, _b: argument != a,
    "SCMP_CMP_LT": lambda argument, a, _b: argument < a,
    "SCMP_CMP_LE": lambda argument, a, _b: argument <= a,
    "SCMP_CMP_EQ": lambda argument, a, _b: argument == a,
    "SCMP_CMP_GE": lambda argument, a, _b: argument >= a,
    "SCMP_CMP_GT": lambda argument, a, _b: argument > a,
    "SCMP_CMP_MASKED_EQ": lambda argument, a, b: argument & a == b & a,
}
words = st.one_of(
    st.sampled_from([0, 1, 2, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, (1 << 64) - 1]), st.integers(0, (1 << 64) - 1)
)
arguments = st.builds(Argument, st.integers(0, 5), words, words, st.sampled_from(list(OPERATORS)))


def holds(argument: Argument, call: tuple[int, ...]) -> bool:
    return OPERATORS[argument.op](call[argument.index], argument.value, argument.value_two)


def says(rules: list[Rule], call: tuple[int, ...]) -> int:
    for rule in rules:
        shared = len({argument.index for argument in rule.arguments}) < len(rule.arguments)
        if (any if shared else all)(holds(argument, call) for argument in rule.arguments):
            return errno(rule.errno or 0)
    return KILL


@given(
    conditions=st.lists(st.lists(arguments, min_size=1, max_size=4), min_size=1, max_size=12),
    calls=st.lists(st.tuples(*[words] * 6), min_size=1, max_size=20),
)
@settings(max_examples=300, deadline=None)
def test_conditions_compare_whole_64_bit_arguments(
    conditions: list[list[Argument]], calls: list[tuple[int, ...]], decide: Any
) -> None:
    tells = [
        [each for each in some if each.op != "SCMP_CMP_MASKED_EQ" or each.value] or [Argument(0, 0)]
        for some in conditions
    ]
    rules = [Rule(("read",), "SCMP_ACT_ERRNO", 2 + i, tuple(some)) for i, some in enumerate(tells)]
    program = compile_profile(Profile("SCMP_ACT_KILL", rules=(*rules, allow("mseal"))), "x86_64")
    for call in calls:
        assert decide(program, X86_64, 0, call) == says(rules, call)


def test_a_rule_without_arguments_beats_those_with_arguments(decide: Any) -> None:
    conditional = Rule(("read",), "SCMP_ACT_ERRNO", 5, (Argument(0, 1),))
    for rules in ((conditional, allow("read")), (allow("read"), conditional)):
        program = compile_profile(Profile("SCMP_ACT_KILL", rules=rules), "x86_64")
        assert decide(program, X86_64, 0, (1, 0, 0, 0, 0, 0)) == ALLOW


def test_a_mask_without_bits_is_no_condition(decide: Any) -> None:
    rule = allow("read", arguments=(Argument(0, 0, 5, "SCMP_CMP_MASKED_EQ"),))
    program = compile_profile(Profile("SCMP_ACT_KILL", rules=(rule,)), "x86_64")
    assert decide(program, X86_64, 0, (9, 0, 0, 0, 0, 0)) == ALLOW


def test_an_architecture_that_the_profile_does_not_name_kills(decide: Any) -> None:
    program = compile_profile(Profile("SCMP_ACT_ALLOW"), "x86_64")
    assert decide(program, X86_64, 0, NOTHING) == ALLOW
    assert decide(program, I386, 3, NOTHING) == KILL
    assert decide(program, AARCH64, 63, NOTHING) == KILL


def test_x32_is_not_let_in_by_the_number_of_an_x86_64_call(decide: Any) -> None:
    program = compile_profile(Profile("SCMP_ACT_ALLOW"), "x86_64")
    assert decide(program, X86_64, 0x40000000, NOTHING) == KILL
    with_x32 = compile_profile(Profile("SCMP_ACT_ERRNO", architectures=ALL_OF_X86, rules=(allow("ioctl"),)), "x86_64")
    assert decide(with_x32, X86_64, 16, NOTHING) == ALLOW
    assert decide(with_x32, X86_64, 0x40000000 | 514, NOTHING) == ALLOW
    assert decide(with_x32, X86_64, 0x40000000 | 16, NOTHING) != ALLOW


def test_a_tracer_may_skip_a_call_by_the_number_minus_one(decide: Any) -> None:
    program = compile_profile(Profile("SCMP_ACT_ERRNO", 5, rules=(allow("read"),)), "x86_64")
    assert decide(program, X86_64, -1, NOTHING) == errno(5)
    assert decide(program, X86_64, -2, NOTHING) == KILL


def test_calls_newer_than_the_profile_fail_with_enosys(decide: Any) -> None:
    profile = Profile("SCMP_ACT_ERRNO", 1, ALL_OF_X86, rules=(allow("read", "openat2", "execveat"),))
    program = compile_profile(profile, "x86_64")
    assert decide(program, X86_64, NUMBERS["openat2"], NOTHING) == ALLOW
    assert decide(program, X86_64, NUMBERS["openat2"] - 1, NOTHING) == errno(1)
    assert decide(program, X86_64, NUMBERS["openat2"] + 1, NOTHING) == NOSYS
    assert decide(program, X86_64, 0x3FFFFFFF, NOTHING) == NOSYS
    assert decide(program, I386, NUMBERS["openat2"] + 1, NOTHING) == NOSYS
    assert decide(program, X86_64, 0x40000000 | 545, NOTHING) == ALLOW  # execveat
    assert decide(program, X86_64, 0x40000000 | 520, NOTHING) == errno(1)  # execve: a high number, but old
    assert decide(program, X86_64, 0x40000000 | 438, NOTHING) == NOSYS


@pytest.mark.parametrize("default", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"])
def test_a_default_that_lets_through_lets_newer_calls_through(default: str, decide: Any) -> None:
    program = compile_profile(Profile(default, rules=(Rule(("read",), "SCMP_ACT_ERRNO"),)), "x86_64")
    assert decide(program, X86_64, 9999, NOTHING) == decide(program, X86_64, 1, NOTHING) != NOSYS


def test_names_that_only_newer_kernels_know_are_ignored(decide: Any) -> None:
    program = compile_profile(Profile("SCMP_ACT_KILL", rules=(allow("read", "not_yet_invented"),)), "x86_64")
    assert decide(program, X86_64, 0, NOTHING) == ALLOW


def test_a_denied_socket_is_denied_through_socketcall_too(decide: Any) -> None:
    rule = Rule(("socket",), "SCMP_ACT_ERRNO", 97)
    program = compile_profile(Profile("SCMP_ACT_ALLOW", architectures=ALL_OF_X86, rules=(rule,)), "x86_64")
    assert decide(program, I386, numbers("x86")["socket"], NOTHING) == errno(97)
    assert decide(program, I386, numbers("x86")["socketcall"], (1, 0, 0, 0, 0, 0)) == errno(97)
    assert decide(program, I386, numbers("x86")["socketcall"], (2, 0, 0, 0, 0, 0)) == ALLOW


def test_32_bit_architectures_compare_the_low_word(decide: Any) -> None:
    rule = Rule(("read",), "SCMP_ACT_ERRNO", 5, (Argument(0, (1 << 64) - 1),))
    program = compile_profile(Profile("SCMP_ACT_ALLOW", architectures=ALL_OF_X86, rules=(rule,)), "x86_64")
    assert decide(program, I386, 3, (0xFFFFFFFF, 0, 0, 0, 0, 0)) == errno(5)
    assert decide(program, X86_64, 0, (0xFFFFFFFF, 0, 0, 0, 0, 0)) == ALLOW


def test_jumps_longer_than_a_byte_arrive(decide: Any) -> None:
    rules = tuple(
        Rule(("ioctl",), "SCMP_ACT_ERRNO", value, (Argument(1, value << 32 | value), Argument(2, 7)))
        for value in range(1, 400)
    )
    program = compile_profile(Profile("SCMP_ACT_KILL", rules=(*rules, allow("mseal"))), "x86_64")
    assert len(program) // 8 > 3 * 255
    for value in range(1, 400):
        assert decide(program, X86_64, 16, (0, value << 32 | value, 7, 0, 0, 0)) == errno(value)
        assert decide(program, X86_64, 16, (0, value << 32 | value, 8, 0, 0, 0)) == KILL


def test_a_profile_that_needs_too_many_instructions_is_refused() -> None:
    rules = tuple(allow("ioctl", arguments=(Argument(0, value),)) for value in range(2000))
    with pytest.raises(InvalidArgument, match="4096"):
        compile_profile(Profile("SCMP_ACT_KILL", rules=rules), "x86_64")


def test_another_machine_is_refused_with_a_remedy() -> None:
    with pytest.raises(NotImplementedHere) as refusal:
        compile_profile(Profile("SCMP_ACT_ALLOW"), "sparc64")
    assert "seccomp=unconfined" in refusal.value.remedy


def test_architectures_of_other_machines_are_taken_and_change_nothing() -> None:
    rules = (allow("read"),)
    own = compile_profile(Profile("SCMP_ACT_KILL", rules=rules), "aarch64")
    assert own == compile_profile(
        Profile("SCMP_ACT_KILL", None, ("SCMP_ARCH_S390X", "SCMP_ARCH_X86"), rules=rules), "aarch64"
    )


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        (Profile("SCMP_ACT_MAYBE"), "SCMP_ACT_MAYBE"),
        (Profile("SCMP_ACT_NOTIFY"), "SCMP_ACT_NOTIFY"),
        (Profile("SCMP_ACT_ALLOW", 1), "SCMP_ACT_ALLOW"),
        (Profile("SCMP_ACT_ERRNO", 0x10000), "65536"),
        (Profile("SCMP_ACT_ALLOW", architectures=("SCMP_ARCH_VAX",)), "SCMP_ARCH_VAX"),
        (Profile("SCMP_ACT_ALLOW", flags=("SECCOMP_FILTER_FLAG_FAST",)), "SECCOMP_FILTER_FLAG_FAST"),
        (Profile("SCMP_ACT_ALLOW", rules=(Rule(("read",), "SCMP_ACT_NONE"),)), "SCMP_ACT_NONE"),
        (Profile("SCMP_ACT_ALLOW", rules=(Rule(("read",), "SCMP_ACT_KILL", 5),)), "SCMP_ACT_KILL"),
        (Profile("SCMP_ACT_ALLOW", rules=(Rule(("write",), "SCMP_ACT_NOTIFY"),)), "write"),
        (Profile("SCMP_ACT_ALLOW", rules=(allow("read", arguments=(Argument(6, 0),)),)), "index 6"),
        (Profile("SCMP_ACT_ALLOW", rules=(allow("read", arguments=(Argument(0, 0, 0, "EQ"),)),)), "EQ"),
        (Profile("SCMP_ACT_ALLOW", rules=(allow("read", arguments=(Argument(0, 1 << 64),)),)), str(1 << 64)),
        (Profile("SCMP_ACT_ALLOW", rules=(allow("read", arguments=(Argument(0, -1),)),)), "-1"),
    ],
)
def test_a_profile_that_cannot_be_is_refused_by_name(profile: Profile, named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        compile_profile(profile, "x86_64")


def test_flags_are_those_of_the_profile() -> None:
    notifying = (Rule(("mkdir",), "SCMP_ACT_NOTIFY"),)
    wait = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
    both = ("SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC")
    assert filter_flags(Profile("SCMP_ACT_ALLOW")) == FilterFlag.SPEC_ALLOW
    assert filter_flags(Profile("SCMP_ACT_ALLOW", flags=())) == FilterFlag.NONE
    assert filter_flags(Profile("SCMP_ACT_ALLOW", flags=both)) == FilterFlag.LOG
    assert filter_flags(Profile("SCMP_ACT_ALLOW", flags=(wait,))) == FilterFlag.NONE
    listening = filter_flags(Profile("SCMP_ACT_ALLOW", flags=(wait,), rules=notifying))
    assert listening == FilterFlag.WAIT_KILLABLE_RECV | FilterFlag.NEW_LISTENER


def test_the_same_profile_gives_the_same_program() -> None:
    profile = Profile("SCMP_ACT_ERRNO", 1, ALL_OF_X86, rules=(allow("read", "socket", "semop"),))
    again = Profile("SCMP_ACT_ERRNO", 1, ALL_OF_X86, rules=(allow("read", "socket", "semop"),))
    assert compile_profile(profile, "x86_64") == compile_profile(again, "x86_64")
    assert hash(profile) == hash(again)


def test_only_instructions_that_seccomp_takes_are_used() -> None:
    rules = (allow("clone", arguments=(Argument(0, 0x7E020000, 0, "SCMP_CMP_MASKED_EQ"),)), allow("read"))
    program = compile_profile(Profile("SCMP_ACT_ERRNO", 1, ALL_OF_X86, rules=rules), "x86_64")
    codes = {code for code, _, _, _ in struct.iter_unpack("=HBBI", program)}
    assert codes <= {0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x45, 0x06}


def test_on_32_bit_architectures_a_mask_of_high_bits_is_no_condition(decide: Any) -> None:
    rules = (
        Rule(("read",), "SCMP_ACT_ERRNO", 5, (Argument(0, 7),)),
        allow("read", arguments=(Argument(0, 1 << 40, 0, "SCMP_CMP_MASKED_EQ"),)),
    )
    program = compile_profile(Profile("SCMP_ACT_KILL", architectures=ALL_OF_X86, rules=rules), "x86_64")
    assert decide(program, X86_64, 0, (7, 0, 0, 0, 0, 0)) == errno(5)
    assert decide(program, I386, 3, (7, 0, 0, 0, 0, 0)) == ALLOW


def test_a_rule_that_says_what_the_default_says_is_none(decide: Any) -> None:
    rules = (Rule(("read",), "SCMP_ACT_ERRNO", 5), allow("read", arguments=(Argument(0, 7),)))
    program = compile_profile(Profile("SCMP_ACT_ERRNO", 5, rules=rules), "x86_64")
    assert decide(program, X86_64, 0, (7, 0, 0, 0, 0, 0)) == ALLOW


def test_a_condition_on_the_first_argument_does_not_reach_into_socketcall(decide: Any) -> None:
    rule = Rule(("socket",), "SCMP_ACT_ERRNO", 97, (Argument(0, 38), Argument(1, 5)))
    program = compile_profile(Profile("SCMP_ACT_ALLOW", architectures=ALL_OF_X86, rules=(rule,)), "x86_64")
    socketcall = numbers("x86")["socketcall"]
    assert decide(program, I386, socketcall, (1, 5, 0, 0, 0, 0)) == errno(97)
    assert decide(program, I386, socketcall, (38, 5, 0, 0, 0, 0)) == ALLOW


def test_naming_a_call_of_a_family_makes_the_family_s_number_an_old_one(decide: Any) -> None:
    program = compile_profile(Profile("SCMP_ACT_ERRNO", 1, ALL_OF_X86, rules=(allow("semop"),)), "x86_64")
    ipc = numbers("x86")["ipc"]
    assert decide(program, I386, ipc, (1, 0, 0, 0, 0, 0)) == ALLOW
    assert decide(program, I386, ipc - 1, NOTHING) == errno(1)
    assert decide(program, I386, ipc + 1, NOTHING) == NOSYS


@pytest.mark.parametrize("distance", [*range(245, 262), 600])
def test_a_branch_reaches_both_its_targets_at_any_distance(distance: int, decide: Any) -> None:
    for between in (0, 1, 2, distance):
        assembler = Assembler()
        first = assembler.jump(assembler.returns(1))
        for _ in range(between):
            assembler.jump(first)
        second = assembler.jump(assembler.returns(2))
        for _ in range(distance):
            assembler.jump(first)
        for yes, no in ((first, second), (second, first)):
            assembler.load(0, assembler.branch(JUMP_EQUAL, 5, yes, no))
            ways = [decide(assembler.program(), X86_64, number, NOTHING) for number in (5, 6)]
            assert ways == ([1, 2] if yes == first else [2, 1])
