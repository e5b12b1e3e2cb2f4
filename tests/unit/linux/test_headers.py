"""Flags are those of the kernel's own headers (linux-libc-dev)."""

from __future__ import annotations

import enum
import re
from pathlib import Path

import pytest

from sampan.linux.mount import MountAttr, MountFlag, Propagation
from sampan.linux.namespace import CloneFlag
from sampan.linux.openat import Resolve

HEADERS = Path("/usr/include/linux")
DEFINITION = re.compile(r"#define\s+(\w+)\s+(0x[0-9A-Fa-f]+|\d+|\(1\s*<<\s*\d+\))U?L*(?=\s)")


def defined(header: str) -> dict[str, int]:
    path = HEADERS / header
    if not path.exists():
        pytest.skip("needs the kernel's headers")
    values = {}
    for name, text in DEFINITION.findall(path.read_text()):
        shift = text.strip("()").split("<<")
        values[name] = int(shift[0], 0) << int(shift[1]) if len(shift) == 2 else int(text, 0)
    return values


@pytest.mark.parametrize(
    ("flags", "header", "prefix"),
    [
        (MountFlag, "mount.h", "MS_"),
        (MountAttr, "mount.h", "MOUNT_ATTR_"),
        (Propagation, "mount.h", "MS_"),
        (CloneFlag, "sched.h", "CLONE_"),
        (Resolve, "openat2.h", "RESOLVE_"),
    ],
)
def test_flags_have_the_numbers_of_the_header(flags: type[enum.IntEnum], header: str, prefix: str) -> None:
    values = defined(header)
    other = {"ATIME": "_ATIME", "NONE": "", "KEEP": ""}
    named = {name: other.get(name, name) for name in flags.__members__}
    assert {name: int(flags[name]) for name, word in named.items() if word} == {
        name: values[prefix + word] for name, word in named.items() if word
    }
    assert all(int(flags[name]) == 0 for name, word in named.items() if not word)
