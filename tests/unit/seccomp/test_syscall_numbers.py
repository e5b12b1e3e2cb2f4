"""The tables of system calls are those of libseccomp, and of the kernel's headers for what is newer."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.linux.syscall_numbers import multiplexed, numbers

NEWER = {
    "uprobe",
    "open_tree_attr",
    "file_getattr",
    "file_setattr",
}  # Linux 6.15 to 6.18; libseccomp 2.6.0 ends at 6.14
ARCHITECTURES = {
    "x86_64": "SCMP_ARCH_X86_64",
    "x86": "SCMP_ARCH_X86",
    "x32": "SCMP_ARCH_X32",
    "aarch64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
}


@pytest.mark.parametrize("table", ARCHITECTURES)
def test_names_and_numbers_are_those_of_libseccomp(table: str, libseccomp: Any) -> None:
    base = 0x40000000 if table == "x32" else 0
    known = {
        libseccomp.name(ARCHITECTURES[table], base + number): base + number
        for number in [*range(600), *range(0xF0000, 0xF0010)]
    }
    known.pop("", None)
    ours = {name: number for name, number in numbers(table).items() if name not in NEWER}
    if table == "arm":
        assert ours.pop("sync_file_range2") == known["arm_sync_file_range"]  # the kernel's other name for it
    assert ours == known


def test_what_is_newer_than_libseccomp_has_the_kernel_s_number() -> None:
    for table in ARCHITECTURES:
        base = 0x40000000 if table == "x32" else 0
        assert [numbers(table)[name] - base for name in ("open_tree_attr", "file_getattr", "file_setattr")] == [
            467,
            468,
            469,
        ]
    assert numbers("x86_64")["uprobe"] == 336


def test_families_of_i386_are_those_of_libseccomp(libseccomp: Any) -> None:
    for name, (family, call) in multiplexed("x86").items():
        pseudo = -libseccomp.resolve("SCMP_ARCH_X86", name)
        assert (family, call) == ((102, pseudo - 100) if pseudo < 200 else (117, pseudo - 200))
    assert multiplexed("x86_64") == multiplexed("arm") == {}
