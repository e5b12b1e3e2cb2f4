"""Servers in the options of volumes: which are looked up, and what becomes of the options."""

from __future__ import annotations

import dataclasses

import pytest

from sampan.engine.container import MountPoint
from sampan.engine.spec import mount_plan
from sampan.engine.spec_sources import Known
from sampan.engine.volume_addresses import at_address, server_of, with_address
from sampan.errors import SystemFailure


def point(fstype: str, device: str, options: str) -> MountPoint:
    return MountPoint("volume", "/data", name="far", driver="local", fstype=fstype, device=device, options=options)


@pytest.mark.parametrize(
    ("fstype", "device", "options", "server"),
    [
        ("nfs", ":/srv", "addr=files.example,rw", "files.example"),
        ("nfs4", ":/srv", "rw,addr=files.example", "files.example"),
        ("nfs", ":/srv", "addr=192.0.2.1,rw", ""),
        ("nfs", ":/srv", "addr=2001:db8::1,rw", ""),
        ("nfs", "files.example:/srv", "rw", ""),
        ("cifs", "//files.example/share", "username=me,password=it", "files.example"),
        ("cifs", "//192.0.2.1/share", "username=me", ""),
        ("cifs", "//files.example/share", "addr=192.0.2.1", ""),
        ("cifs", "//files.example/share", "addr=other.example", "other.example"),
        ("ext4", "/dev/sda", "addr=files.example", ""),
        ("tmpfs", "tmpfs", "", ""),
    ],
)
def test_the_server_is_what_the_options_call_by_name(fstype: str, device: str, options: str, server: str) -> None:
    assert server_of(point(fstype, device, options)) == server


def test_what_is_mounted_has_the_address_and_every_other_word_as_it_was_given() -> None:
    asked = point("nfs", ":/srv/a b", "addr=files.example,rw,nfsvers=4.2,soft,noatime")
    assert server_of(dataclasses.replace(asked, kind="bind")) == ""
    plan = mount_plan(at_address(asked, "192.0.2.7"), Known())
    assert (plan.fstype, plan.source, plan.by_parent) == ("nfs", ":/srv/a b", True)
    assert plan.data == (("addr", "192.0.2.7"), ("nfsvers", "4.2"), ("soft", None))
    readonly = mount_plan(dataclasses.replace(at_address(asked, "192.0.2.7"), writable=False), Known())
    assert readonly.flags & 1
    assert not plan.flags & 1


def test_a_share_s_host_becomes_its_address_where_no_address_is_said() -> None:
    asked = point("cifs", "//files.example/share/below", "username=me")
    assert at_address(asked, "192.0.2.7").device == "//192.0.2.7/share/below"
    assert at_address(asked, "192.0.2.7").options == "username=me"


def test_a_name_that_nobody_knows_is_said_with_the_volume() -> None:
    with pytest.raises(SystemFailure, match=r"volume far: .*network volume address: nobody\.\.example: ") as failed:
        with_address(point("nfs", ":/srv", "addr=nobody..example"))
    assert "addr=ADDRESS" in failed.value.remedy
    assert with_address(point("nfs", ":/srv", "addr=localhost")).options in {"addr=127.0.0.1", "addr=::1"}
