from __future__ import annotations

from pathlib import Path

import pytest

from sampan.errors import InvalidArgument
from sampan.linux import capability


def test_there_are_41_names_in_the_kernels_order() -> None:
    assert len(capability.NAMES) == 41
    assert capability.NAMES[0] == "CAP_CHOWN"
    assert capability.NAMES[21] == "CAP_SYS_ADMIN"
    assert capability.NAMES[40] == "CAP_CHECKPOINT_RESTORE"


def test_the_names_have_the_numbers_of_the_kernels_header() -> None:
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip("needs the kernel's headers")
    words = [line.split() for line in header.read_text().splitlines() if line.startswith("#define CAP_")]
    there = {name: int(number) for _, name, number, *_ in words if number.isdigit()}
    assert dict(enumerate(capability.NAMES)) == {number: name for name, number in there.items()}


def test_a_mask_and_its_names_are_the_same_thing() -> None:
    names = ("CAP_CHOWN", "CAP_SETPCAP", "CAP_CHECKPOINT_RESTORE")
    assert capability.mask_of(names) == 1 | 1 << 8 | 1 << 40
    assert capability.names_of(capability.mask_of(names)) == names
    assert capability.names_of(capability.mask_of(capability.NAMES)) == capability.NAMES


@pytest.mark.parametrize("name", ["CAP_FLY", "cap_chown", "CHOWN", ""])
def test_an_unknown_name_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"unknown capability {name!r}"):
        capability.mask_of(["CAP_CHOWN", name])


def test_a_capability_newer_than_the_list_is_shown_by_its_number() -> None:
    assert capability.names_of(1 << 40 | 1 << 41) == ("CAP_CHECKPOINT_RESTORE", "CAP_41")


def test_the_last_capability_is_the_kernels() -> None:
    assert capability.last_capability() == int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def test_the_sets_are_those_that_proc_shows() -> None:
    lines = Path("/proc/self/status").read_text().splitlines()
    shown = {line[3:6]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}
    sets = capability.get_capabilities()
    assert (sets.effective, sets.permitted, sets.inheritable) == (shown["Eff"], shown["Prm"], shown["Inh"])
    assert capability.get_bounding() == shown["Bnd"]
    assert capability.get_ambient() == shown["Amb"]
