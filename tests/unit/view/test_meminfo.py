"""/proc/meminfo of a container, from a machine's and a group's numbers."""

from __future__ import annotations

from sampan.cgroup.membership import EffectiveMemory
from sampan.view.memory import shown_values, swap_kib, values_of

WHOLE = {
    "MemTotal": 8_000_000,
    "MemFree": 5_000_000,
    "MemAvailable": 6_000_000,
    "Buffers": 1000,
    "Cached": 500_000,
    "Active(file)": 1,
    "Inactive(file)": 1,
    "SReclaimable": 1,
    "SwapTotal": 2000,
    "SwapFree": 1500,
}


def _used(limit: int, usage: int, **stat: int) -> EffectiveMemory:
    return EffectiveMemory(limit * 1024, usage * 1024, None, 0, {name: value * 1024 for name, value in stat.items()})


def test_the_limit_is_the_total_and_what_is_not_used_is_free() -> None:
    shown = shown_values(_used(262_144, 100_000, cache=30_000, active_file=20_000, inactive_file=5_000), WHOLE)
    assert (shown["MemTotal"], shown["MemFree"], shown["Cached"]) == (262_144, 162_144, 30_000)
    assert shown["MemAvailable"] == 162_144 + 25_000
    assert shown["Buffers"] == 0


def test_no_more_is_free_than_the_machine_has() -> None:
    shown = shown_values(_used(7_000_000, 0), WHOLE)
    assert (shown["MemFree"], shown["MemAvailable"]) == (5_000_000, 6_000_000)


def test_usage_beyond_a_limit_that_was_lowered_leaves_nothing_and_not_less() -> None:
    shown = shown_values(_used(1000, 5000), WHOLE)
    assert (shown["MemTotal"], shown["MemFree"], shown["MemAvailable"]) == (1000, 0, 0)


def test_no_more_swap_than_the_machine_has_and_than_the_group_may_use() -> None:
    assert swap_kib(EffectiveMemory(0, 0, 500 * 1024, 100 * 1024, {}), WHOLE) == (500, 400)
    assert swap_kib(EffectiveMemory(0, 0, 5000 * 1024, 100 * 1024, {}), WHOLE) == (2000, 1500)
    assert swap_kib(EffectiveMemory(0, 0, 0, 0, {}), WHOLE) == (0, 0)


def test_the_lines_of_meminfo_are_read_with_and_without_a_unit() -> None:
    assert values_of(["MemTotal:  12 kB", "HugePages_Total:  3"]) == {"MemTotal": 12, "HugePages_Total": 3}
