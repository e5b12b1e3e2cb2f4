"""Device rules on v1: what the devices controller can say, and the writes from one state to the next without a gap.

The controller knows one default and a set of exceptions (admin-guide/cgroup-v1/devices.rst). A rule in the other
direction than the default is an exception; a rule in the default's direction takes exceptions away, and only whole
ones. Pure: lists of rules and the text of devices.list in, writes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sampan.cgroup.limits import DeviceRule
from sampan.errors import InvalidArgument

Device = tuple[str, int, int]  # kind "b" or "c", major, minor; -1 is any


@dataclass(slots=True)
class DeviceState:
    """What is in force: `allow_all`, but for `exceptions` (device -> the accesses that go the other way)."""

    allow_all: bool
    exceptions: dict[Device, frozenset[str]] = field(default_factory=dict)


def state_of(rules: Iterable[DeviceRule]) -> DeviceState:
    """The state after `rules`, in order, on a group that allows all.

    Raises InvalidArgument for what v1 cannot express: taking a part out of a wider exception.
    """
    state = DeviceState(allow_all=True)
    for rule in rules:
        wanted = _access(rule)
        if rule.kind == "a" and rule.major == rule.minor == -1 and len(wanted) == 3:
            state.allow_all = rule.allow
            state.exceptions.clear()
            continue
        for kind in "bc" if rule.kind == "a" else rule.kind:
            device = (kind, rule.major, rule.minor)
            if rule.allow == state.allow_all:
                _take_away(state.exceptions, device, wanted, rule)
            else:
                state.exceptions[device] = state.exceptions.get(device, frozenset()) | wanted
    return state


def state_in(devices_list: str) -> DeviceState | None:
    """The state that devices.list shows; None when it shows "a *:* rwm", which hides the exceptions there may be."""
    state = DeviceState(allow_all=False)
    for line in devices_list.splitlines():
        kind, numbers, access = line.split()
        if kind == "a":
            return None
        major, minor = (-1 if number == "*" else int(number) for number in numbers.split(":"))
        state.exceptions[kind, major, minor] = frozenset(access)
    return state


def writes_between(now: DeviceState | None, then: DeviceState) -> list[tuple[str, str]]:
    """(file, line) in the order to write; `now` is None when everything is allowed or what is denied is not known.

    Between two lists of allowed devices only the difference is written: what is lost first, then what is gained, and
    what stays is never denied for a moment. Every other change starts anew from "a".
    """
    if now is not None and not then.allow_all:
        lost = _difference(now.exceptions, then.exceptions)
        gained = _difference(then.exceptions, now.exceptions)
        return [("devices.deny", line) for line in lost] + [("devices.allow", line) for line in gained]
    default, exception = ("devices.allow", "devices.deny") if then.allow_all else ("devices.deny", "devices.allow")
    return [(default, "a"), *((exception, line) for line in _difference(then.exceptions, {}))]


def _difference(these: dict[Device, frozenset[str]], those: dict[Device, frozenset[str]]) -> list[str]:
    found = []
    for device, accesses in these.items():
        more = accesses - those.get(device, frozenset())
        if more:
            kind, major, minor = device
            found.append(f"{kind} {_number(major)}:{_number(minor)} {''.join(sorted(more, key='rwm'.index))}")
    return found


def _take_away(
    exceptions: dict[Device, frozenset[str]], device: Device, wanted: frozenset[str], rule: DeviceRule
) -> None:
    for other in list(exceptions):
        if _covers(device, other):
            left = exceptions[other] - wanted
            if left:
                exceptions[other] = left
            else:
                del exceptions[other]
        elif _overlaps(other, device) and exceptions[other] & wanted:
            kind, major, minor = other
            verb = "allow" if rule.allow else "deny"
            raise InvalidArgument(
                f"cgroup v1 cannot {verb} device {device[0]} {_number(device[1])}:{_number(device[2])} "
                f"inside the wider rule for {kind} {_number(major)}:{_number(minor)}",
                remedy="name the devices of the wider rule one by one",
            )


def _covers(wide: Device, narrow: Device) -> bool:
    return wide[0] == narrow[0] and all(a in (-1, b) for a, b in zip(wide[1:], narrow[1:], strict=True))


def _overlaps(one: Device, other: Device) -> bool:
    return one[0] == other[0] and all(-1 in (a, b) or a == b for a, b in zip(one[1:], other[1:], strict=True))


def _access(rule: DeviceRule) -> frozenset[str]:
    access = frozenset(rule.access or "rwm")
    if rule.kind not in ("a", "b", "c") or not access <= frozenset("rwm") or min(rule.major, rule.minor) < -1:
        raise InvalidArgument(
            f"not a device rule: {rule.kind} {rule.major}:{rule.minor} {rule.access}",
            remedy="a kind of a, b or c, numbers or -1, and an access of r, w and m",
        )
    return access


def _number(value: int) -> str:
    return "*" if value < 0 else str(value)
