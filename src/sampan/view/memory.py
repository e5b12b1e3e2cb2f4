"""/proc/meminfo and /proc/swaps of a container: its limit is the memory, its group's counters what is used of it."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.cgroup.membership import EffectiveMemory, effective_memory
from sampan.view.reader import Reader

_KIB = 1024
# Lines of /proc/meminfo -> keys of memory.stat, v1's and v2's, whose sum it is.
_COUNTERS = {
    "Active(anon)": ("active_anon",),
    "Inactive(anon)": ("inactive_anon",),
    "Active(file)": ("active_file",),
    "Inactive(file)": ("inactive_file",),
    "Unevictable": ("unevictable",),
    "SwapCached": ("swapcached",),
    "Dirty": ("dirty", "file_dirty"),
    "Writeback": ("writeback", "file_writeback"),
    "AnonPages": ("rss", "anon"),
    "Mapped": ("mapped_file", "file_mapped"),
    "Shmem": ("shmem",),
    "KReclaimable": ("slab_reclaimable",),
    "Slab": ("slab",),
    "SReclaimable": ("slab_reclaimable",),
    "SUnreclaim": ("slab_unreclaimable",),
    "KernelStack": ("kernel_stack",),
    "PageTables": ("pagetables",),
    "SecPageTables": ("sec_pagetables",),
    "Percpu": ("percpu",),
    "AnonHugePages": ("rss_huge", "anon_thp"),
    "ShmemHugePages": ("shmem_thp",),
    "FileHugePages": ("file_thp",),
}
_NOUGHT = frozenset({"Buffers", "Mlocked", "NFS_Unstable", "Bounce", "WritebackTmp", "Zswap", "Zswapped"})


def meminfo(reader: Reader) -> str:
    """/proc/meminfo (proc_meminfo(5)): the machine's where nothing limits the container below it."""
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = file.read().splitlines()
    whole = values_of(lines)
    used = effective_memory(reader.place)
    if used is None or used.limit_bytes >= whole["MemTotal"] * _KIB:
        return "\n".join(lines) + "\n"
    shown = shown_values(used, whole)
    return "".join(f"{_written(line, shown)}\n" for line in lines)


def values_of(lines: list[str]) -> dict[str, int]:
    """The values of meminfo's lines, in KiB where they have that unit."""
    pairs = (line.partition(":") for line in lines)
    return {name: int(value.split()[0]) for name, _, value in pairs if value.strip()}


def shown_values(used: EffectiveMemory, whole: Mapping[str, int]) -> dict[str, int]:
    """What is shown otherwise than for the machine, in KiB."""
    stat = used.stat
    shown = {name: sum(stat.get(key, 0) for key in keys) // _KIB for name, keys in _COUNTERS.items() if name in whole}
    shown |= dict.fromkeys((name for name in _NOUGHT if name in whole), 0)
    shown["Active"] = shown.get("Active(anon)", 0) + shown.get("Active(file)", 0)
    shown["Inactive"] = shown.get("Inactive(anon)", 0) + shown.get("Inactive(file)", 0)
    total, usage = used.limit_bytes // _KIB, used.usage_bytes // _KIB
    free = max(total - usage, 0)
    files = shown.get("Active(file)", 0) + shown.get("Inactive(file)", 0)
    shown["MemTotal"], shown["MemFree"] = total, min(free, whole["MemFree"])
    shown["MemAvailable"] = min(free + files + shown.get("SReclaimable", 0), whole.get("MemAvailable", free), total)
    shown["Cached"] = stat.get("cache", stat.get("file", 0)) // _KIB
    shown["SwapTotal"], shown["SwapFree"] = swap_kib(used, whole)
    return shown


def swap_kib(used: EffectiveMemory, whole: Mapping[str, int]) -> tuple[int, int]:
    """(total, free) of swap: what the container may use of what the machine has."""
    total = whole.get("SwapTotal", 0)
    if used.swap_limit_bytes is not None:
        total = min(total, used.swap_limit_bytes // _KIB)
    return total, max(min(total - used.swap_usage_bytes // _KIB, whole.get("SwapFree", 0)), 0)


def swaps(reader: Reader) -> str:
    """/proc/swaps: one area of the size that the container may use; none where it may use none."""
    with open("/proc/swaps", encoding="utf-8", errors="surrogateescape") as file:
        text = file.read()
    used = effective_memory(reader.place)
    if used is None or used.swap_limit_bytes is None:
        return text
    with open("/proc/meminfo", encoding="ascii") as file:
        whole = values_of(file.read().splitlines())
    total, free = swap_kib(used, whole)
    head = text.partition("\n")[0]
    line = f"{'none':<40}{'virtual':<16}{total}\t\t{total - free}\t\t0\n" if total else ""
    return f"{head}\n{line}"


def _written(line: str, shown: Mapping[str, int]) -> str:
    name, _, rest = line.partition(":")
    if name not in shown:
        return line
    return (
        f"{name + ':':<16}{shown[name]:>8} kB" if rest.rstrip().endswith("kB") else f"{name + ':':<16}{shown[name]:>8}"
    )
