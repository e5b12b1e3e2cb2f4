from __future__ import annotations

import os
from pathlib import Path

import pytest

from sampan.linux import mount
from sampan.linux.mount import MountAttr, MountFlag

LINE = (
    rb"36 35 98:0 /mnt1\040a /mnt2\011b rw,noatime shared:7 master:1 propagate_from:2 - ext3 /dev/r\134oot rw,errors=x"
)


def test_a_line_is_read_with_all_its_fields() -> None:
    assert mount._parse(LINE) == mount.MountInfo(
        id=36,
        parent=35,
        device="98:0",
        root="/mnt1 a",
        target="/mnt2\tb",
        options="rw,noatime",
        shared=7,
        master=1,
        propagate_from=2,
        unbindable=False,
        fstype="ext3",
        source="/dev/r\\oot",
        super_options="rw,errors=x",
    )


def test_a_line_without_tags_and_with_an_empty_source_is_read() -> None:
    entry = mount._parse(b"1 1 0:2 / / rw - rootfs  rw")
    assert (entry.shared, entry.master, entry.fstype, entry.source, entry.super_options) == (0, 0, "rootfs", "", "rw")


def test_an_unbindable_mount_is_said_to_be_so() -> None:
    assert mount._parse(b"1 1 0:2 / / rw unbindable - tmpfs x rw").unbindable


def test_a_name_that_is_no_utf8_survives() -> None:
    entry = mount._parse(b"1 1 0:2 / /caf\xe9\\040x rw - tmpfs x rw")
    assert os.fsencode(entry.target) == b"/caf\xe9 x"


@pytest.mark.parametrize("field", [b"a\\b", b"a\\", b"a\\09", b"a\\999"])
def test_a_backslash_that_escapes_nothing_stays(field: bytes) -> None:
    assert mount._unescape(field) == field.decode()


def test_the_own_table_has_the_root() -> None:
    assert [entry for entry in mount.mountinfo() if entry.target == "/"]
    assert len(mount.mountinfo(os.getpid())) == len(Path("/proc/self/mountinfo").read_bytes().splitlines())


def test_flags_of_mount_become_attributes() -> None:
    assert mount.attributes_of(MountFlag.RDONLY | MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOEXEC) == (0xF, 0)
    assert mount.attributes_of(MountFlag.NOATIME) == (MountAttr.NOATIME, MountAttr.ATIME)
    assert mount.attributes_of(MountFlag.STRICTATIME) == (MountAttr.STRICTATIME, MountAttr.ATIME)
    assert mount.attributes_of(MountFlag.RELATIME) == (0, MountAttr.ATIME)
    assert mount.attributes_of(MountFlag.NODIRATIME | MountFlag.NOSYMFOLLOW) == (0x200080, 0)
    assert mount.attributes_of(MountFlag.BIND | MountFlag.REC | MountFlag.SYNCHRONOUS) == (0, 0)
