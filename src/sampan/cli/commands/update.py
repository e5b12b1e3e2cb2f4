"""`sampan update`: change the limits, published ports and mounts of containers, also while they run."""

from __future__ import annotations

import sys

from sampan.cli.each import complain
from sampan.cli.grammar import UsageError
from sampan.client.failure import ApiError, NamelessError
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Change the limits, published ports, network rate and mounts of containers"
USAGE = ("[OPTIONS] CONTAINER [CONTAINER...]",)
WORDS = (1, -1)
OPTIONS = (
    ("blkio-weight", "", "uint16", "0", "Share of disk time among containers, 10 to 1000; 0 leaves it alone"),
    ("blkio-weight-device", "", "list", "", "Share of one device's time (/dev/sda:300)"),
    ("cpu-idle", "", "bool", "", "Run only when nobody else wants the processor; =false lifts it"),
    ("cpu-period", "", "int", "0", "Length of a CPU accounting period, in microseconds"),
    ("cpu-quota", "", "int", "0", "CPU time in each period, in microseconds"),
    ("cpu-rt-period", "", "int", "0", "Length of a real-time period, in microseconds"),
    ("cpu-rt-runtime", "", "int", "0", "Real-time CPU time in each period, in microseconds"),
    ("cpu-shares", "c", "int", "0", "Share of CPU time among containers, by default 1024"),
    ("cpus", "", "decimal", "0", "At most so many CPUs, as in 1.5"),
    ("cpuset-cpus", "", "string", "", "Run on these CPUs only (0-3, 0,1)"),
    ("cpuset-mems", "", "string", "", "Take memory of these NUMA nodes only (0-3, 0,1)"),
    ("device", "", "list", "", "Give a device of the host besides, at once: as --device of run"),
    ("device-read-bps", "", "list", "", "Read from a device at most so fast (/dev/sda:1mb); 0 is no limit"),
    ("device-read-iops", "", "list", "", "Read from a device at most so often in a second; 0 is no limit"),
    ("device-rm", "", "list", "", "Take the device at this path inside away, at once"),
    ("device-write-bps", "", "list", "", "Write to a device at most so fast (/dev/sda:1mb); 0 is no limit"),
    ("device-write-iops", "", "list", "", "Write to a device at most so often in a second; 0 is no limit"),
    ("memory", "m", "bytes", "0", "Memory limit"),
    ("memory-reservation", "", "bytes", "0", "Memory that is left when the host runs short"),
    ("memory-swap", "", "bytes", "0", "Limit of memory and swap together; -1 for any amount of swap"),
    ("mount", "", "list", "", "Mount something besides, at once: as --mount of run"),
    ("network-rate", "", "string", "", "Traffic a second, at once: 10mbit, or in=10mbit,out=5mbit; 0 is no limit"),
    ("pids-limit", "", "int", "0", "At most so many processes; -1 for any number"),
    ("publish", "p", "list", "", "Publish a port besides, at once: [address:]host port:container port[/protocol]"),
    ("restart", "", "string", "", "When to start it again: no, always, unless-stopped, on-failure[:times]"),
    ("unmount", "", "list", "", "Take the mount at this path out, at once"),
    ("unpublish", "", "list", "", "Publish a port no more, at once: [[address:]host port:]container port[/protocol]"),
)
ONLY_HERE = ("cpu-idle", "device", "device-rm", "mount", "network-rate", "publish", "unmount", "unpublish")
NUMBERS = {
    "blkio-weight": "BlkioWeight",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
}

_DEVICES = (
    "blkio-weight-device",
    "device-read-bps",
    "device-write-bps",
    "device-read-iops",
    "device-write-iops",
    "device",
)

# What an update cannot change is sent all the same, as docker's CLI does.
_ABSENT = (
    *("BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps"),
    *("BlkioDeviceWriteIOps", "Devices", "DeviceCgroupRules", "DeviceRequests", "MemorySwappiness"),
    *("OomKillDisable", "PidsLimit", "Ulimits"),
)
_ZEROS = ("CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth")


def update_document(arguments: Arguments) -> dict[str, Any]:
    """What POST /containers/NAME/update takes; what was not given stays as it is."""
    document: dict[str, Any] = {**dict.fromkeys(_ABSENT), **dict.fromkeys(_ZEROS, 0), "CgroupParent": ""}
    document.update({name: arguments.number(option) for option, name in NUMBERS.items()})
    document["CpusetCpus"] = arguments.text("cpuset-cpus")
    document["CpusetMems"] = arguments.text("cpuset-mems")
    document["PidsLimit"] = arguments.number("pids-limit") if arguments.given("pids-limit") else None
    document["RestartPolicy"] = {"Name": "", "MaximumRetryCount": 0}
    if arguments.given("restart"):
        from sampan.cli.request.policy import read_restart

        document["RestartPolicy"] = read_restart(arguments.text("restart"))
    if arguments.given("cpu-idle"):
        document["CpuIdle"] = arguments.flag("cpu-idle")
    for option, field in (("publish", "PortBindings"), ("unpublish", "UnpublishPorts")):
        if arguments.given(option):
            document[field] = _bindings(arguments.items(option), f"--{option}")
    if arguments.given("network-rate"):
        from sampan.cli.request.networks import read_rate

        document["NetworkRate"] = read_rate(arguments.text("network-rate"))
    if arguments.given("mount"):
        from sampan.cli.request.mounts import read_mount

        document["Mounts"] = [read_mount(text) for text in arguments.items("mount")]
    if any(arguments.given(option) for option in _DEVICES):
        document |= _of_devices(arguments)
    for option, field in (("device-rm", "RemoveDevices"), ("unmount", "Unmounts")):
        if arguments.given(option):
            document[field] = arguments.items(option)
    return document


def _of_devices(arguments: Arguments) -> dict[str, list[dict[str, Any]]]:
    """Weights and rates of those devices that are named, and devices that are given besides."""
    from sampan.cli.request.devices import RATES, read_device, read_rate, read_weight

    found = {name: [read_rate(text, option) for text in arguments.items(option)] for option, name in RATES.items()}
    found["BlkioWeightDevice"] = [read_weight(text) for text in arguments.items("blkio-weight-device")]
    found["AddDevices"] = [read_device(text) for text in arguments.items("device")]
    return {name: entries for name, entries in found.items() if entries}


def _bindings(texts: list[str], option: str) -> dict[str, list[dict[str, str]]]:
    """Ports in the API's words."""
    from sampan.cli.request.ports import read_publish

    found: dict[str, list[dict[str, str]]] = {}
    for text in texts:
        for port, binding in read_publish(text, option):
            found.setdefault(port, []).append(binding)
    return found


def run(arguments: Arguments, session: Session) -> int:
    """Change all of them, one after the other."""
    if not any(arguments.given(option[0]) for option in OPTIONS):
        raise UsageError("`sampan update` needs to be told what to change", code=1)
    document = update_document(arguments)
    if any(map(arguments.given, ONLY_HERE)):
        from sampan.cli.only_here import refuse_elsewhere

        refuse_elsewhere(arguments, session, ONLY_HERE)
    code = 0
    for name in arguments.words:
        try:
            answer = session.call("POST", f"/containers/{quote(name)}/update", None, document) or {}
        except (ApiError, NamelessError) as error:
            complain(error)
            code = 1
            continue
        sys.stdout.write(name + "\n")
        for warning in answer.get("Warnings") or []:
            sys.stderr.write(f"WARNING: {warning}\n")
    return code
