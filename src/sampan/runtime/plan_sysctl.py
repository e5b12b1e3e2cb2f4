"""Which kernel parameters a container may set: those of its own namespaces and no others.

Pure; a parameter that is not bound to a namespace would be set for the whole host and is refused here by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.runtime.plan_problems import Problems

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_IPC = frozenset(
    {
        "kernel/msgmax",
        "kernel/msgmnb",
        "kernel/msgmni",
        "kernel/sem",
        "kernel/shm_rmid_forced",
        "kernel/shmall",
        "kernel/shmmax",
        "kernel/shmmni",
    }
)
_UTS = "kernel/domainname"


def plan_sysctl(
    asked: Mapping[str, str], kinds: Collection[str], domainname: str, problems: Problems
) -> tuple[tuple[str, str], ...]:
    """The parameters as (path below /proc/sys, value); `kinds` are the namespaces the container does not share.

    `domainname` is what the specification's own field says.
    """
    planned = []
    for name, value in asked.items():
        path = path_of(name)
        parts = path.split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            problems.invalid(f"linux.sysctl: {name!r} names no parameter", "as in net.ipv4.ip_forward")
            continue
        if "\0" in value:
            problems.invalid(f"linux.sysctl: the value of {name} has a NUL byte")
        if path == _UTS and domainname not in {"", value}:
            problems.invalid(f"linux.sysctl: {name} {value!r} contradicts domainname {domainname!r}", "set one of both")
        _check_namespace(name, path, kinds, problems)
        planned.append((path, value))
    return tuple(planned)


def path_of(name: str) -> str:
    """The path below /proc/sys of a parameter written with dots or slashes.

    As sysctl(8): the first separator is the one that separates, the other stands for itself within a part
    (net.ipv4.conf.eth0/100.forwarding is net/ipv4/conf/eth0.100/forwarding).
    """
    dot, slash = name.find("."), name.find("/")
    if dot < 0 or 0 <= slash < dot:
        return name
    return name.translate({ord("."): "/", ord("/"): "."})


def _check_namespace(name: str, path: str, kinds: Collection[str], problems: Problems) -> None:
    if path in _IPC or path.startswith("fs/mqueue/"):
        needed = "ipc"
    elif path.startswith("net/"):
        needed = "net"
    elif path == _UTS:
        needed = "uts"
    elif path == "kernel/hostname":
        problems.invalid(f"linux.sysctl: {name} is set by the field hostname", "use hostname")
        return
    else:
        problems.invalid(
            f"linux.sysctl: {name} belongs to no namespace, it would change the whole host",
            "set it on the host with sysctl(8)",
        )
        return
    if needed not in kinds:
        words = {"net": "a network", "ipc": "an ipc"}.get(needed, f"a {needed}")
        problems.invalid(f"linux.sysctl: {name} needs {words} namespace of the container", "add it to linux.namespaces")
