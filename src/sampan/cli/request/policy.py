"""Options that are rules: restarts, security, logging, limits of processes, kernel parameters, namespaces, clocks."""

from __future__ import annotations

from sampan.cli.grammar import UsageError
from sampan.cli.request.environment import key_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.cli.request import CreateRequest

ULIMITS = frozenset(
    {
        *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss"),
        *("rtprio", "rttime", "sigpending", "stack"),
    }
)
_PROFILE = "name a file with a profile in JSON, or unconfined, or builtin"
CLOCKS = ("boottime", "monotonic")


def apply(arguments: Arguments, request: CreateRequest) -> None:
    """Fill in the fields that these options stand for."""
    host = request.host
    _modes(arguments, host)
    host["RestartPolicy"] = read_restart(arguments.text("restart"))
    if arguments.flag("rm") and host["RestartPolicy"]["Name"] not in {"no", ""}:
        raise UsageError("--rm and --restart exclude each other", remedy="leave one of them out")
    if not arguments.flag("disable-content-trust"):
        raise UsageError("signatures by notary cannot be checked", remedy="leave --disable-content-trust out")
    host["LogConfig"] = {"Type": arguments.text("log-driver"), "Config": key_values(arguments.items("log-opt"))}
    host["Ulimits"] = sorted((read_ulimit(text) for text in arguments.items("ulimit")), key=lambda limit: limit["Name"])
    if arguments.given("security-opt"):
        _security(arguments.items("security-opt"), host)
    for option, name in (("sysctl", "Sysctls"), ("storage-opt", "StorageOpt"), ("annotation", "Annotations")):
        items = arguments.items(option)
        for item in items:
            if "=" not in item and option != "annotation":
                raise UsageError(f"--{option} {item!r} has no value", remedy="write key=value")
        if items:
            host[name] = key_values(items)
    _beyond_docker(arguments, host)


def _modes(arguments: Arguments, host: dict[str, Any]) -> None:
    """--pid, --uts, --userns, --cgroupns: the host's, or another container's where that is possible."""
    for option, name in (("pid", "PidMode"), ("uts", "UTSMode"), ("userns", "UsernsMode")):
        mode = arguments.text(option)
        if mode not in {"", "host"} and not (mode.startswith("container:") and mode != "container:"):
            raise UsageError(f"--{option} cannot be {mode!r}", remedy="use host or container:NAME")
        host[name] = mode
    if arguments.text("cgroupns") not in {"", "host", "private"}:
        raise UsageError(f"--cgroupns cannot be {arguments.text('cgroupns')!r}", remedy="use host or private")


def read_restart(text: str) -> dict[str, Any]:
    """--restart: a name, and behind a colon how often."""
    name, mark, count = text.partition(":")
    if mark and not count.isdecimal():
        raise UsageError(f"--restart {text!r}: {count!r} is no number of times", remedy="write on-failure:3")
    return {"Name": name, "MaximumRetryCount": int(count or "0")}


def read_ulimit(text: str) -> dict[str, Any]:
    """name=soft[:hard], -1 for no limit."""
    from sampan.cli.units import plain

    name, mark, values = text.partition("=")
    soft, colon, hard = values.partition(":")
    try:
        limits = (int(plain(soft)), int(plain(hard if colon else soft)))
    except ValueError:
        raise UsageError(f"--ulimit {text!r} has no numbers", remedy="write name=soft[:hard]") from None
    if not mark or name not in ULIMITS:
        raise UsageError(f"--ulimit {text!r}: there is no limit {name!r}", remedy=f"use {', '.join(sorted(ULIMITS))}")
    if max(limits) >= 1 << 63:
        raise UsageError(f"--ulimit {text!r}: it is too large", remedy="write -1 for no limit")
    if limits[1] != -1 and (limits[0] == -1 or limits[0] > limits[1]):
        turned = f"{name}={limits[1]}:{limits[0]}"
        raise UsageError(
            f"--ulimit {text!r}: the soft limit is above the hard one", remedy=f"write the smaller one first: {turned}"
        )
    return {"Name": name, "Hard": limits[1], "Soft": limits[0]}


def _security(items: list[str], host: dict[str, Any]) -> None:
    found = []
    for item in items:
        key, mark, value = item.partition("=")
        if not mark:
            key, mark, value = item.partition(":")
        if not mark and key != "no-new-privileges":
            raise UsageError(f"--security-opt {item!r} is none", remedy="write key=value, or no-new-privileges")
        if key == "systempaths" and value == "unconfined":
            host["MaskedPaths"] = host["ReadonlyPaths"] = []
            continue
        own_profile = key == "seccomp" and value not in {"unconfined", "builtin"}
        found.append(f"seccomp={_profile(value)}" if own_profile else item)
    host["SecurityOpt"] = found


def _profile(path: str) -> str:
    """A seccomp profile's file as one line of JSON."""
    from sampan.client.json_text import loads, text_of

    try:
        with open(path, "rb") as file:
            return text_of(loads(file.read()))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"--security-opt seccomp={path}: {reason}", remedy=_PROFILE) from None
    except ValueError:
        raise UsageError(f"--security-opt seccomp={path}: the file is no JSON", remedy=_PROFILE) from None


def _beyond_docker(arguments: Arguments, host: dict[str, Any]) -> None:
    """docs/reference/api-extensions.md describes these fields."""
    offsets = key_values([part for text in arguments.items("time-offset") for part in text.split(",")])
    for clock, offset in offsets.items():
        if clock not in CLOCKS or not offset:
            raise UsageError(
                f"--time-offset {f'{clock}={offset}' if offset else clock!r} cannot be",
                remedy="write boottime=24h or monotonic=90s; the clock on the wall is the same everywhere",
            )
    if offsets:
        host["TimeOffsets"] = offsets
    view = arguments.text("resource-view")
    if view:
        if view not in {"auto", "full", "host"}:
            raise UsageError(f"--resource-view cannot be {view!r}", remedy="use auto, full or host")
        host["ResourceView"] = view
