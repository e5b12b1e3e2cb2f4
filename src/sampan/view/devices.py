"""/proc/diskstats and /proc/pressure of a container: what its own group has moved, and how long it has waited."""

from __future__ import annotations

from sampan.cgroup.membership import Group
from sampan.view.reader import Reader

_SECTOR = 512
_NONE = {
    "cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
}


def diskstats(reader: Reader) -> str:
    """/proc/diskstats: the machine's devices with the operations and bytes of the container; times are not counted."""
    operations, moved = _block_io(reader)
    lines = []
    with open("/proc/diskstats", encoding="ascii") as file:
        for line in file:
            major, minor, name, *_ = line.split()
            device = f"{major}:{minor}"
            if device in moved or device in operations:
                read, wrote = operations.get(device, (0, 0))
                read_bytes, wrote_bytes = moved.get(device, (0, 0))
                counters = f"{read} 0 {read_bytes // _SECTOR} 0 {wrote} 0 {wrote_bytes // _SECTOR}" + " 0" * 10
                lines.append(f"{major:>4} {minor:>7} {name} {counters}\n")
    return "".join(lines)


def pressure(reader: Reader, kind: str) -> str:
    """/proc/pressure/KIND: of the group in the unified tree; nought where the kernel counts none for groups."""
    unified = reader.group("")
    text = unified.text(f"{kind}.pressure") if unified else None
    return text or _NONE["cpu"]


def _block_io(reader: Reader) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]]:
    """(operations, bytes) by device, each read and written."""
    group = reader.group("blkio")
    if group is not None:
        return _legacy(group, "io_serviced"), _legacy(group, "io_service_bytes")
    group = reader.group("io")
    operations: dict[str, tuple[int, int]] = {}
    moved: dict[str, tuple[int, int]] = {}
    for line in (group.text("io.stat") or "").splitlines() if group else ():
        device, *fields = line.split()
        values = dict(field.split("=", 1) for field in fields if "=" in field)
        operations[device] = int(values.get("rios", 0)), int(values.get("wios", 0))
        moved[device] = int(values.get("rbytes", 0)), int(values.get("wbytes", 0))
    return operations, moved


def _legacy(group: Group, name: str) -> dict[str, tuple[int, int]]:
    found: dict[str, dict[str, int]] = {}
    for line in (group.text(f"blkio.throttle.{name}_recursive") or "").splitlines():
        words = line.split()
        if len(words) == 3:
            found.setdefault(words[0], {})[words[1]] = int(words[2])
    return {device: (counts.get("Read", 0), counts.get("Write", 0)) for device, counts in found.items()}
