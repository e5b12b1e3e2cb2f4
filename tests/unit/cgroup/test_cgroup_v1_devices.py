from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.cgroup.limits import DeviceRule
from sampan.cgroup.v1_devices import DeviceState, state_in, state_of, writes_between
from sampan.errors import InvalidArgument

DENY_ALL = DeviceRule(allow=False)
ALLOW_ALL = DeviceRule(allow=True)


def allow(major: int, minor: int, access: str = "rwm", kind: str = "c") -> DeviceRule:
    return DeviceRule(allow=True, kind=kind, major=major, minor=minor, access=access)


def deny(major: int, minor: int, access: str = "rwm", kind: str = "c") -> DeviceRule:
    return DeviceRule(allow=False, kind=kind, major=major, minor=minor, access=access)


def test_docker_rules_become_one_list() -> None:
    rules = (DENY_ALL, allow(-1, -1, "m"), allow(1, 3), allow(136, -1))
    assert writes_between(None, state_of(rules)) == [
        ("devices.deny", "a"),
        ("devices.allow", "c *:* m"),
        ("devices.allow", "c 1:3 rwm"),
        ("devices.allow", "c 136:* rwm"),
    ]


def test_a_change_of_a_list_writes_the_difference_and_denies_first() -> None:
    now = state_in("c 1:3 rwm\nc 1:5 rw\nb 8:* r\n")
    then = state_of((DENY_ALL, allow(1, 3), allow(1, 5, "r"), allow(5, 0)))
    assert writes_between(now, then) == [
        ("devices.deny", "c 1:5 w"),
        ("devices.deny", "b 8:* r"),
        ("devices.allow", "c 5:0 rwm"),
    ]


def test_no_change_writes_nothing() -> None:
    assert writes_between(state_in("c 1:3 rwm\n"), state_of((DENY_ALL, allow(1, 3)))) == []


def test_a_list_that_shows_all_hides_what_is_denied() -> None:
    assert state_in("a *:* rwm\n") is None


def test_going_back_to_all_starts_anew() -> None:
    now = state_in("c 1:3 rwm\n")
    assert writes_between(now, state_of((ALLOW_ALL, deny(1, 5)))) == [
        ("devices.allow", "a"),
        ("devices.deny", "c 1:5 rwm"),
    ]


def test_a_rule_for_all_kinds_but_some_access_is_two_rules() -> None:
    state = state_of((DENY_ALL, DeviceRule(allow=True, kind="a", major=10, minor=-1, access="r")))
    assert state.exceptions == {("b", 10, -1): {"r"}, ("c", 10, -1): {"r"}}


def test_a_wide_rule_takes_narrow_exceptions_away() -> None:
    state = state_of((DENY_ALL, allow(1, 3, "rw"), allow(1, 5, "rwm"), deny(1, -1, "rw")))
    assert state.exceptions == {("c", 1, 5): {"m"}}


@pytest.mark.parametrize(
    "rules",
    [
        (DENY_ALL, allow(1, -1), deny(1, 3)),
        (DENY_ALL, allow(-1, 3), deny(1, -1)),
        (ALLOW_ALL, deny(1, -1), allow(1, 3)),
    ],
)
def test_a_part_of_a_wider_exception_is_refused(rules: tuple[DeviceRule, ...]) -> None:
    with pytest.raises(InvalidArgument, match="wider rule") as caught:
        state_of(rules)
    assert caught.value.remedy


@pytest.mark.parametrize("rule", [DeviceRule(allow=True, kind="p"), allow(1, 3, "rx"), allow(-2, 3), allow(1, -7)])
def test_what_is_no_rule_is_refused(rule: DeviceRule) -> None:
    with pytest.raises(InvalidArgument, match="not a device rule"):
        state_of((DENY_ALL, rule))


_RULES = st.lists(
    st.builds(
        DeviceRule,
        st.booleans(),
        st.sampled_from("abc"),
        st.sampled_from([-1, 1, 2]),
        st.sampled_from([-1, 1, 2]),
        st.sampled_from(["r", "w", "rw", "rwm", "m", ""]),
    ),
    max_size=6,
)


def verdict(rules: list[DeviceRule], kind: str, major: int, minor: int, access: str) -> bool:
    """What the rules say of one access, read one after the other: the last that matches decides."""
    allowed = True
    for rule in rules:
        matches = rule.kind in ("a", kind) and rule.major in (-1, major) and rule.minor in (-1, minor)
        if matches and access in (rule.access or "rwm"):
            allowed = rule.allow
    return allowed


def kernel_says(state: DeviceState, kind: str, major: int, minor: int, access: str) -> bool:
    """As the devices controller decides: an exception that covers the device and the access turns the default."""
    for (each, a, b), accesses in state.exceptions.items():
        if each == kind and a in (-1, major) and b in (-1, minor) and access in accesses:
            return not state.allow_all
    return state.allow_all


@given(_RULES)
def test_the_state_says_of_every_device_what_the_rules_say(rules: list[DeviceRule]) -> None:
    try:
        state = state_of(rules)
    except InvalidArgument:
        return
    for kind, major, minor, access in itertools.product("bc", (1, 2, 3), (1, 2, 3), "rwm"):
        assert kernel_says(state, kind, major, minor, access) == verdict(rules, kind, major, minor, access)


def replay(state: DeviceState, writes: list[tuple[str, str]]) -> DeviceState:
    """What the controller makes of the writes (exceptions are removed by exact match only)."""
    for file, line in writes:
        allow_it = file == "devices.allow"
        if line == "a":
            state = DeviceState(allow_it)
            continue
        kind, numbers, access = line.split()
        major, minor = (-1 if word == "*" else int(word) for word in numbers.split(":"))
        device = (kind, major, minor)
        if allow_it == state.allow_all:
            left = state.exceptions.get(device, frozenset()) - frozenset(access)
            state.exceptions.pop(device, None)
            if left:
                state.exceptions[device] = left
        else:
            state.exceptions[device] = state.exceptions.get(device, frozenset()) | frozenset(access)
    return state


@given(_RULES, _RULES)
def test_the_writes_lead_from_any_state_to_any_other(before: list[DeviceRule], after: list[DeviceRule]) -> None:
    try:
        start, end = state_of(before), state_of(after)
    except InvalidArgument:
        return
    known = None if start.allow_all else start
    reached = replay(DeviceState(start.allow_all, dict(start.exceptions)), writes_between(known, end))
    assert reached == end
