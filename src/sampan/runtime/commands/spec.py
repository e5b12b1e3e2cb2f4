"""`spec`: a config.json to start from, with the isolation that a container is expected to have."""

from __future__ import annotations

import os
from typing import Any

from sampan.errors import Conflict
from sampan.runtime.commands.options import SWITCH, VALUE, Option, Words
from sampan.runtime.commands.verb import Command, Verb
from sampan.runtime.json_text import dumps
from sampan.version import OCI_RUNTIME

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_NOTHING_SPECIAL = ["nosuid", "noexec", "nodev"]
_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]
_READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def write_spec(_command: Command, words: Words) -> int:
    """Write config.json into the bundle. Conflict when there is one."""
    path = os.path.join(words.text("bundle") or ".", words.text("file") or "config.json")
    document = _document()
    if words.has("rootless"):
        _make_rootless(document)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(dumps(document, 4) + "\n")
    except FileExistsError:
        raise Conflict(f"file {path} exists", remedy="remove it first") from None
    return 0


def _document() -> dict[str, Any]:
    return {
        "ociVersion": OCI_RUNTIME,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "sampan",
        "mounts": _mounts(),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in _namespaces()],
            "maskedPaths": _MASKED,
            "readonlyPaths": _READONLY,
        },
    }


def _namespaces() -> list[str]:
    """All that are private; on v1 the cgroup namespace is left out, as programs there look for the host's paths."""
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    return ["pid", "network", "ipc", "uts", "mount", *(["cgroup"] if unified else [])]


def _mounts() -> list[dict[str, Any]]:
    def mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
        return {
            "destination": destination,
            "type": kind,
            "source": source,
            **({"options": [*options]} if options else {}),
        }

    return [
        mount("/proc", "proc", "proc"),
        mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        mount("/dev/shm", "tmpfs", "shm", *_NOTHING_SPECIAL, "mode=1777", "size=65536k"),
        mount("/dev/mqueue", "mqueue", "mqueue", *_NOTHING_SPECIAL),
        mount("/sys", "sysfs", "sysfs", *_NOTHING_SPECIAL, "ro"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", *_NOTHING_SPECIAL, "relatime", "ro"),
    ]


def _make_rootless(document: dict[str, Any]) -> None:
    """What an ordinary user may: a user namespace with the own id, the host's network, its /sys, no limits."""
    linux = document["linux"]
    linux["namespaces"] = [one for one in linux["namespaces"] if one["type"] != "network"] + [{"type": "user"}]
    linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    del linux["resources"]
    mounts = [one for one in document["mounts"] if one["destination"] != "/sys/fs/cgroup"]
    for one in mounts:
        if one["destination"] == "/sys":
            one.update(type="none", source="/sys", options=["rbind", *_NOTHING_SPECIAL, "ro"])
        elif one["type"] == "devpts":
            one["options"].remove("gid=5")
    document["mounts"] = mounts


VERBS = {
    "spec": Verb(
        write_spec,
        "[command options]",
        (
            Option("--bundle -b", VALUE, "directory to write it to", "."),
            Option("--file -f", VALUE, "another name for config.json"),
            Option("--rootless", SWITCH, "for a container of an ordinary user"),
        ),
    )
}
