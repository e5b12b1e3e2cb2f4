"""What a device program decides, judged by reading the rules one access at a time."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import InvalidArgument
from sampan.linux.bpf import DeviceRule, compile_devices

ACCESSES = {"m": 1, "r": 2, "w": 4}
KINDS = {"b": 1, "c": 2}


def allow(kind: str, major: int, minor: int, access: str = "rwm") -> DeviceRule:
    return DeviceRule(allow=True, kind=kind, major=major, minor=minor, access=access)


def interpret(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """The result of a program of the few eBPF instructions that ours uses."""
    context = struct.pack("=III", sum(ACCESSES[each] for each in access) << 16 | KINDS[kind], major, minor)
    registers = [0] * 11
    position = 0
    while True:
        code, operands, offset, value = struct.unpack_from("=BBhi", program, 8 * position)
        to, source = operands & 15, operands >> 4
        position += 1
        match code:
            case 0x61:
                (registers[to],) = struct.unpack_from("=I", context, offset)
            case 0xB7:
                registers[to] = value
            case 0xBF:
                registers[to] = registers[source]
            case 0x57:
                registers[to] &= value
            case 0x77:
                registers[to] >>= value
            case 0x15:
                position += offset if registers[to] == value else 0
            case 0x55:
                position += offset if registers[to] != value else 0
            case 0x95:
                return bool(registers[0])
            case _:
                raise AssertionError(f"instruction {code:#x}")


def says(rules: list[DeviceRule], kind: str, major: int, minor: int, access: str, *, default: bool) -> bool:
    def one(wanted: str) -> bool:
        verdict = default
        for rule in rules:
            matches = rule.kind in {"a", kind} and rule.major in {-1, major} and rule.minor in {-1, minor}
            if matches and wanted in (rule.access or "rwm"):
                verdict = rule.allow
        return verdict

    return all(one(wanted) for wanted in access)


numbers = st.sampled_from([-1, 0, 1, 3, 5, 255, 1048575, 0x7FFFFFFF])
accesses = st.sampled_from(["", "r", "w", "m", "rw", "rm", "wm", "rwm", "mwr"])
rules = st.lists(st.builds(DeviceRule, st.booleans(), st.sampled_from("abc"), numbers, numbers, accesses), max_size=8)


@given(
    given_rules=rules,
    default=st.booleans(),
    requests=st.lists(
        st.tuples(
            st.sampled_from("bc"),
            numbers.filter(lambda number: number >= 0),
            numbers.filter(lambda number: number >= 0),
            st.sampled_from(["r", "w", "m", "rw", "rm", "wm", "rwm"]),
        ),
        min_size=1,
        max_size=30,
    ),
)
@settings(max_examples=500, deadline=None)
def test_the_last_matching_rule_decides_about_each_access(
    given_rules: list[DeviceRule], requests: list[tuple[str, int, int, str]], *, default: bool
) -> None:
    program = compile_devices(given_rules, default_allow=default)
    for kind, major, minor, access in requests:
        expected = says(given_rules, kind, major, minor, access, default=default)
        assert interpret(program, kind, major, minor, access) == expected


def test_nothing_is_allowed_without_rules() -> None:
    assert not interpret(compile_devices([]), "c", 1, 3, "r")
    assert interpret(compile_devices([], default_allow=True), "c", 1, 3, "r")


def test_two_rules_for_one_device_add_up() -> None:
    program = compile_devices([allow("c", 1, 3, "r"), allow("c", 1, 3, "w")])
    assert interpret(program, "c", 1, 3, "rw")
    assert not interpret(program, "c", 1, 3, "rwm")


def test_what_stands_before_a_rule_for_everything_is_left_out() -> None:
    before = [allow("c", minor, 3) for minor in range(50)]
    assert len(compile_devices([*before, DeviceRule(allow=False)])) == len(compile_devices([DeviceRule(allow=False)]))


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (allow("x", 1, 3), "x 1:3"),
        (allow("c", -2, 3), "c -2:3"),
        (allow("c", 1, 1 << 31), "c 1:2147483648"),
        (allow("c", 1, 3, "rx"), "rx"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_name(rule: DeviceRule, named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        compile_devices([rule])
