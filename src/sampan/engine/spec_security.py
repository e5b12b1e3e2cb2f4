"""What a container may do: capabilities, security options, masked and read-only paths, as Docker's defaults have them.

Pure: takes the host configuration, gives what the runtime specification needs. Seccomp profiles are compiled here
once per content and kept.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
from dataclasses import dataclass

from sampan.engine.config import HostConfig
from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.linux import capability
from sampan.linux.seccomp import Rule, compile_profile
from sampan.linux.seccomp_profile import filter_flags
from sampan.oci.runtime_spec import Capabilities
from sampan.runtime.default_seccomp import default_profile
from sampan.runtime.launch_plan import SeccompPlan
from sampan.runtime.seccomp_selection import plan_profile

DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class SecurityOptions:
    """`--security-opt`, taken apart; `seccomp` is "" for the default, "unconfined", or a profile's JSON."""

    no_new_privileges: bool = False
    seccomp: str = ""
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    unconfined_system_paths: bool = False
    writable_cgroups: bool = False


def security_options(options: tuple[str, ...]) -> SecurityOptions:
    """The options of `--security-opt`. Raises InvalidArgument for one that is not known (moby, `parseSecurityOpt`)."""
    values: dict[str, object] = {"labels": ()}
    for option in options:
        key, separator, value = _halves(option)
        match key:
            case "no-new-privileges":
                values["no_new_privileges"] = _boolean(option, value or "true")
            case "writable-cgroups":
                values["writable_cgroups"] = _boolean(option, value or "true")
            case "seccomp" if separator:
                values["seccomp"] = "" if value == "builtin" else value
            case "apparmor" if separator:
                values["apparmor"] = value
            case "label" if separator:
                values["labels"] = (*_strings(values["labels"]), value)
            case "systempaths" if value == "unconfined":
                values["unconfined_system_paths"] = True
            case _:
                raise InvalidArgument(
                    f"invalid --security-opt 2: {option!r}" if separator else f"invalid --security-opt 1: {option!r}",
                    remedy="use seccomp=, apparmor=, label=, no-new-privileges, systempaths=unconfined"
                    " or writable-cgroups",
                )
    return SecurityOptions(**values)  # type: ignore[arg-type]


def _halves(option: str) -> tuple[str, str, str]:
    separator = "=" if "=" in option else ":"
    return option.partition(separator)


def _strings(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _boolean(option: str, value: str) -> bool:
    match value.lower():
        case "true" | "1" | "t":
            return True
        case "false" | "0" | "f":
            return False
    raise InvalidArgument(f"invalid --security-opt 2: {option!r}", remedy="say true or false")


def capabilities(host: HostConfig) -> tuple[str, ...]:
    """The names a container gets, sorted by number. Raises InvalidArgument for one that the kernel does not know."""
    everything = capability.NAMES[: capability.last_capability() + 1]
    if host.privileged:
        return everything
    added = _capability_names(host.cap_add or ())
    dropped = _capability_names(host.cap_drop or ())
    if "ALL" in added:
        wanted = set(everything) - dropped
    elif "ALL" in dropped:
        wanted = added
    else:
        wanted = (set(DEFAULT_CAPABILITIES) - dropped) | added
    return tuple(name for name in everything if name in wanted)


def check_capabilities(host: HostConfig) -> None:
    """Refuse names that there are not, as moby does at create."""
    for field, names in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        try:
            _capability_names(names or ())
        except InvalidArgument as error:
            raise InvalidArgument(
                error.sentence.replace("invalid capability", f"invalid {field}", 1), remedy=error.remedy
            ) from error


def _capability_names(names: tuple[str, ...]) -> set[str]:
    found = set()
    for name in names:
        known = name.upper()
        if known == "ALL":
            found.add(known)
            continue
        known = known if known.startswith("CAP_") else f"CAP_{known}"
        if known not in capability.NAMES:
            raise InvalidArgument(
                f'invalid capability: unknown capability: "{known}"', remedy="man 7 capabilities lists the names"
            )
        found.add(known)
    return found


def capability_sets(names: tuple[str, ...]) -> Capabilities:
    """The five sets of a container's program: no ambient and no inheritable ones (CVE-2022-24769)."""
    return Capabilities(bounding=names, effective=names, permitted=names)


def seccomp_plan(
    host: HostConfig, options: SecurityOptions, names: tuple[str, ...], answered: tuple[str, ...] = ()
) -> SeccompPlan | None:
    """The compiled filter, None when there is to be none; the monitor answers the calls `answered`.

    A profile of the user's own is taken as it is: no call of it is answered by anybody else.
    Raises InvalidArgument for a profile that cannot be read or compiled.
    """
    if options.seccomp == "unconfined" or (host.privileged and not options.seccomp):
        return None
    if not options.seccomp:
        return _default_filter(names, answered)
    return _own_filter(options.seccomp, names)


def prepare_default_filter() -> None:
    """Compile the filter that most containers get, so that the first of them does not wait for it."""
    _default_filter(capabilities(HostConfig()), ("sysinfo",))


@functools.lru_cache(maxsize=64)
def _default_filter(names: tuple[str, ...], answered: tuple[str, ...]) -> SeccompPlan | None:
    profile = default_profile(frozenset(names), platform.machine(), _kernel())
    plain, flags = compile_profile(profile), int(filter_flags(profile))
    if not answered:
        return SeccompPlan(plain, flags)
    rules = (Rule(answered, "SCMP_ACT_NOTIFY"), *profile.rules)
    return SeccompPlan(
        compile_profile(dataclasses.replace(profile, rules=rules)), flags, answered=answered, unanswered=plain
    )


@functools.lru_cache(maxsize=64)
def _own_filter(text: str, names: tuple[str, ...]) -> SeccompPlan | None:
    return plan_profile(text, frozenset(names), platform.machine(), _kernel())


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(character for character in minor if character.isdigit()) or 0)


def refuse_labels(options: SecurityOptions) -> None:
    """Refuse what this host's kernel has no module for."""
    if options.labels and options.labels != ("disable",) and not os.path.exists("/sys/fs/selinux/enforce"):
        raise NotImplementedHere(
            f"security label {options.labels[0]!r} needs SELinux, which this host's kernel does not run",
            remedy="leave --security-opt label=… away",
        )
    if options.apparmor not in {"", "unconfined"} and not os.path.exists("/sys/kernel/security/apparmor"):
        raise NotImplementedHere(
            f"AppArmor profile {options.apparmor!r} cannot be loaded: this host's kernel does not run AppArmor",
            remedy="leave --security-opt apparmor=… away, or say apparmor=unconfined",
        )
