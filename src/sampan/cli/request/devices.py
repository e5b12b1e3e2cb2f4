"""--device, --gpus, limits on single devices, and the options that only another kernel would know."""

from __future__ import annotations

import sys

from sampan.cli.grammar import UsageError
from sampan.cli.request.mounts import split_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.cli.request import CreateRequest

RATES = {
    "device-read-bps": "BlkioDeviceReadBps",
    "device-write-bps": "BlkioDeviceWriteBps",
    "device-read-iops": "BlkioDeviceReadIOps",
    "device-write-iops": "BlkioDeviceWriteIOps",
}
WINDOWS = ("cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops")


def apply(arguments: Arguments, request: CreateRequest) -> None:
    """Fill in Devices, DeviceRequests, DeviceCgroupRules, the per-device limits and MemorySwappiness."""
    for option in WINDOWS:
        if arguments.given(option):
            raise UsageError(f"--{option} is for Windows", remedy="use --cpus, or --device-read-bps and the like")
    if arguments.given("kernel-memory"):
        sys.stderr.write("sampan: warning: --kernel-memory is ignored, kernels have no such limit any more\n")
    host = request.host
    named_by_cdi: list[str] = []
    for text in arguments.items("device"):
        if _is_cdi_name(text):
            named_by_cdi.append(text)
        else:
            host["Devices"].append(read_device(text))
    requests = [read_gpus(text) for text in arguments.items("gpus")]
    if named_by_cdi:
        requests.append(_request("cdi", 0, named_by_cdi, None, None))
    host["DeviceRequests"] = requests or None
    host["DeviceCgroupRules"] = [_check_rule(rule) for rule in arguments.items("device-cgroup-rule")] or None
    host["BlkioWeightDevice"] = [read_weight(text) for text in arguments.items("blkio-weight-device")]
    for option, name in RATES.items():
        host[name] = [read_rate(text, option) for text in arguments.items(option)]
    swappiness = arguments.number("memory-swappiness")
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise UsageError(f"--memory-swappiness is 0 to 100, not {swappiness}")
    host["MemorySwappiness"] = swappiness


def _is_cdi_name(text: str) -> bool:
    """vendor.tld/class=name, by the Container Device Interface's specification."""
    kind, mark, name = text.partition("=")
    vendor, slash, group = kind.partition("/")
    return bool(mark and name and slash and vendor and group) and "/" not in group


def read_device(text: str) -> dict[str, str]:
    """One --device: host path, container path, and any of r, w and m."""
    parts = text.split(":")
    rights = "rwm"
    if len(parts) > 1 and parts[-1] and set(parts[-1]) <= set("rwm"):
        rights = parts.pop()
    outside, inside = parts[0], parts[-1]
    if len(parts) > 2 or not outside.startswith("/") or not inside.startswith("/"):
        raise UsageError(f"--device {text!r} is no device", remedy="write /dev/name[:/dev/other][:rwm]")
    return {"PathOnHost": outside, "PathInContainer": inside, "CgroupPermissions": rights}


def read_gpus(text: str) -> dict[str, Any]:
    """One --gpus: "all", a number, or words such as device=0,capabilities=compute."""
    driver, count, devices = "", 1, None
    capabilities = ["gpu"]
    options: dict[str, str] = {}
    explicit = False
    for word in split_words(text):
        key, mark, value = word.partition("=")
        if not mark:
            key, value = "count", word
        if key == "count":
            count, explicit = _gpu_count(value, text), True
        elif key == "driver":
            driver = value
        elif key == "device":
            devices = value.split(",")
        elif key == "capabilities":
            capabilities = [*value.split(","), "gpu"]
        elif key == "options":
            options.update(dict(part.partition("=")[::2] for part in value.split(",")))
        else:
            raise UsageError(f"--gpus {text!r} has no use for {word!r}", remedy="write all, a number, or device=0")
    return _request(driver, count if explicit or devices is None else 0, devices, [capabilities], options)


def _gpu_count(value: str, text: str) -> int:
    if value == "all":
        return -1
    if not value.isdecimal():
        raise UsageError(f"--gpus {text!r}: {value!r} is no number of GPUs", remedy="write all or a number")
    return int(value)


def _request(
    driver: str,
    count: int,
    devices: list[str] | None,
    capabilities: list[list[str]] | None,
    options: dict[str, str] | None,
) -> dict[str, Any]:
    return {"Driver": driver, "Count": count, "DeviceIDs": devices, "Capabilities": capabilities, "Options": options}


def _check_rule(rule: str) -> str:
    """TYPE MAJOR:MINOR RIGHTS, as the devices controller takes it."""
    kind, _, rest = rule.partition(" ")
    numbers, _, rights = rest.partition(" ")
    major, mark, minor = numbers.partition(":")
    fine = mark and all(number == "*" or number.isdecimal() for number in (major, minor))
    if kind not in {"a", "b", "c"} or not fine or not rights or not set(rights) <= set("rwm"):
        raise UsageError(f"--device-cgroup-rule {rule!r} is no rule", remedy="write it as in `c 42:* rmw`")
    return rule


def _split_device(text: str, option: str) -> tuple[str, str]:
    path, mark, value = text.rpartition(":")
    if not mark or not path.startswith("/dev/"):
        raise UsageError(f"--{option} {text!r} is no device and number", remedy="write /dev/sda:number")
    return path, value


def read_weight(text: str) -> dict[str, Any]:
    """One --blkio-weight-device."""
    path, value = _split_device(text, "blkio-weight-device")
    if not value.isdecimal() or not (int(value) == 0 or 10 <= int(value) <= 1000):
        raise UsageError(f"--blkio-weight-device {text!r}: a weight is 10 to 1000, or 0")
    return {"Path": path, "Weight": int(value)}


def read_rate(text: str, option: str) -> dict[str, Any]:
    """One --device-read-bps, or another of the four."""
    from sampan.cli.units import plain, read_bytes

    path, value = _split_device(text, option)
    try:
        rate = read_bytes(value) if option.endswith("bps") else int(plain(value))
    except ValueError:
        raise UsageError(f"--{option} {text!r}: {value!r} is no rate", remedy="write /dev/sda:1mb or :1000") from None
    if rate < 0:
        raise UsageError(f"--{option} {text!r}: a rate is not negative")
    return {"Path": path, "Rate": rate}
