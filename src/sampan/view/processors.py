"""/proc/cpuinfo, /proc/stat and the CPU lists of a container: the CPUs that it may use, under their own numbers.

The numbers stay those of the machine, as sched_getaffinity(2) and the scheduler use them. How many are shown is the
smaller of the cpuset and the quota rounded up. Their busy time is the container's, the rest of its age is idle.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from sampan.cgroup.load import running_tasks
from sampan.cgroup.membership import format_list
from sampan.view.reader import TICKS, Reader

_NS = 1_000_000_000


def cpuinfo(reader: Reader) -> str:
    """/proc/cpuinfo (proc_cpuinfo(5)): the paragraphs of the CPUs that are shown, counting no others."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="surrogateescape") as file:
        return shown_cpuinfo(file.read(), reader.processors().shown)


def shown_cpuinfo(text: str, shown: tuple[int, ...]) -> str:
    """The machine's cpuinfo with these CPUs alone; `siblings` and `cpu cores` count those of them in one package."""
    kept = []
    for paragraph in text.split("\n\n"):
        fields = _fields(paragraph)
        if "processor" not in fields or fields["processor"] in map(str, shown):
            kept.append((paragraph, fields))
    siblings: Counter[str] = Counter()
    cores: dict[str, set[str]] = {}
    for _, fields in kept:
        if "processor" in fields:
            siblings[_package(fields)] += 1
            cores.setdefault(_package(fields), set()).add(fields.get("core id", ""))
    return "\n\n".join(
        _counting(paragraph, siblings[_package(fields)], len(cores.get(_package(fields), ())))
        for paragraph, fields in kept
    )


def _package(fields: Mapping[str, str]) -> str:
    return fields.get("physical id", "")


def _fields(paragraph: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in paragraph.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _counting(paragraph: str, siblings: int, cores: int) -> str:
    """A CPU's paragraph with these numbers in the lines that count others beside it (x86 has them)."""
    counts = {"siblings": siblings, "cpu cores": cores}
    lines = []
    for line in paragraph.split("\n"):
        name, colon, _ = line.partition(":")
        lines.append(f"{name}: {counts[name.strip()]}" if colon and name.strip() in counts else line)
    return "\n".join(lines)


def cpu_list(reader: Reader) -> str:
    """/sys/devices/system/cpu/online and present."""
    return format_list(reader.processors().shown) + "\n"


def stat(reader: Reader) -> str:
    """/proc/stat (proc_stat(5)): the container's time in the first two and the fourth column, its boot as btime."""
    processors = reader.processors()
    shown = processors.shown
    busy = _busy_ns(reader, shown, split=processors.quota is None)
    age = round(reader.age_s * TICKS)
    rows = []
    for user, system in busy:
        ticks = user * TICKS // _NS, system * TICKS // _NS
        rows.append((ticks[0], 0, ticks[1], max(age - sum(ticks), 0), 0, 0, 0, 0, 0, 0))
    total = tuple(sum(column) for column in zip(*rows, strict=True))
    lines = [f"cpu  {_joined(total)}", *(f"cpu{cpu} {_joined(row)}" for cpu, row in zip(shown, rows, strict=True))]
    running, blocked = running_tasks(reader.container)
    with open("/proc/stat", encoding="ascii") as file:
        rest = [line for line in file.read().splitlines() if not line.startswith("cpu")]
    own = {
        "btime": int(time.time() - reader.age_s),
        "processes": reader.count,
        "procs_running": max(running, 1),
        "procs_blocked": blocked,
    }
    for line in rest:
        name = line.partition(" ")[0]
        if name in own:
            lines.append(f"{name} {own[name]}")
        else:  # which interrupts it were is the machine's business
            lines.append(" ".join(line.split(" ")[:2]))
    return "\n".join(lines) + "\n"


def _busy_ns(reader: Reader, shown: tuple[int, ...], *, split: bool) -> list[tuple[int, int]]:
    """(user, system) of each CPU that is shown.

    v1 counts them apart; v2, and a quota that is spread over more CPUs than are shown, give a sum to divide.
    """
    account = reader.group("cpuacct")
    if account is not None:
        lines = [line.split() for line in (account.text("cpuacct.usage_all") or "").splitlines()[1:]]
        each = {int(line[0]): (int(line[1]), int(line[2])) for line in lines if len(line) == 3}
        if split and all(cpu in each for cpu in shown):
            return [each[cpu] for cpu in shown]
        user, system = (sum(column) for column in zip(*each.values(), strict=True)) if each else (0, 0)
    else:
        unified = reader.group("")
        numbers = unified.numbers("cpu.stat") if unified else {}
        user, system = (numbers.get(f"{kind}_usec", 0) * 1000 for kind in ("user", "system"))
    return [(user // len(shown), system // len(shown))] * len(shown)


def _joined(row: tuple[int, ...]) -> str:
    return " ".join(str(value) for value in row)
