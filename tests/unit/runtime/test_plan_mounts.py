"""What the option words of a mount mean to the kernel, and which mounts are refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sampan.errors import InvalidArgument
from sampan.linux.mount import MountAttr, MountFlag
from sampan.oci.runtime_spec import RuntimeSpec
from sampan.runtime.launch_plan import MountPlan
from sampan.runtime.plan_mounts import OPTION_NAMES, plan_mounts
from sampan.runtime.plan_problems import Problems

MAPS = [{"containerID": 0, "hostID": 1000, "size": 5}]


def plan(*, user_namespace: bool = False, label: str = "", **mount: Any) -> MountPlan:
    namespaces = [{"type": "user"}] if user_namespace else []
    document = {
        "mounts": [{"destination": "/x", **mount}],
        "linux": {"namespaces": namespaces, "mountLabel": label},
    }
    problems = Problems()
    planned = plan_mounts(msgspec.convert(document, RuntimeSpec), "/bundle", problems)
    problems.refuse()
    return planned[0]


def options(*words: str, **mount: Any) -> MountPlan:
    return plan(**{"type": "tmpfs", "source": "tmpfs", "options": list(words), **mount})


def test_every_word_of_the_specification_is_an_option_and_no_data() -> None:
    words = """
        async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev
        nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private
        ratime rbind rdev rdiratime relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime
        rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid
        rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable
        idmap ridmap rnodev acl noacl
    """.split()
    assert sorted(words) == sorted(OPTION_NAMES)
    for word in words:
        mapped = {"uidMappings": MAPS, "gidMappings": MAPS} if "idmap" in word else {}
        assert options(word, **mapped).data == ()


def test_flags_are_set_and_cleared_and_the_last_word_holds() -> None:
    planned = options("ro", "nosuid", "nodev", "noexec", "rw", "dev")
    assert planned.flags == MountFlag.NOSUID | MountFlag.NOEXEC
    assert planned.clear == MountFlag.RDONLY | MountFlag.NODEV
    assert options("rw", "ro").clear == 0


@pytest.mark.parametrize(
    ("word", "flag"),
    [
        ("strictatime", MountFlag.STRICTATIME),
        ("lazytime", MountFlag.LAZYTIME),
        ("nosymfollow", MountFlag.NOSYMFOLLOW),
        ("dirsync", MountFlag.DIRSYNC),
        ("sync", MountFlag.SYNCHRONOUS),
        ("noatime", MountFlag.NOATIME),
        ("nodiratime", MountFlag.NODIRATIME),
        ("relatime", MountFlag.RELATIME),
        ("iversion", MountFlag.I_VERSION),
        ("silent", MountFlag.SILENT),
        ("mand", MountFlag.MANDLOCK),
        ("acl", MountFlag.POSIXACL),
        ("remount", MountFlag.REMOUNT),
        ("rbind", MountFlag.BIND | MountFlag.REC),
    ],
)
def test_a_word_is_the_kernels_flag(word: str, flag: int) -> None:
    assert options(word).flags == flag


def test_propagation_stands_apart() -> None:
    assert options("rshared").propagation == MountFlag.SHARED | MountFlag.REC
    assert options("rshared").flags == 0


def test_recursive_words_are_attributes() -> None:
    planned = plan(type="bind", source="/a", options=["rbind", "rro", "rnosuid", "rnoatime", "rdev"])
    assert planned.attributes_set == MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NOATIME
    assert planned.attributes_clear == MountAttr.ATIME | MountAttr.NODEV
    later = plan(type="bind", source="/a", options=["rbind", "rro", "rrw", "rnoatime", "rstrictatime"])
    assert (later.attributes_set, later.attributes_clear) == (MountAttr.STRICTATIME, MountAttr.ATIME | MountAttr.RDONLY)


def test_recursive_and_plain_read_only_are_one_for_a_new_file_system() -> None:
    assert (options("rro").flags, options("rro").attributes_set) == (MountFlag.RDONLY, 0)


def test_all_other_words_are_the_file_systems_own() -> None:
    assert options("size=65536k", "newinstance", "a=b=c", "").data == (
        ("size", "65536k"),
        ("newinstance", None),
        ("a", "b=c"),
    )
    assert plan(type="none", source="/a", options=["bind", "size=1"]).data == ()


def test_a_bind_source_may_be_relative_to_the_bundle() -> None:
    planned = plan(type="bind", source="../data")
    assert (planned.source, planned.fstype, planned.flags) == ("/data", "", MountFlag.BIND)
    assert plan(source="/data", options=["rbind"]).source == "/data"


@pytest.mark.parametrize(
    ("destination", "target"), [("/a/b/", "a/b"), ("a", "a"), ("/../../etc", "etc"), ("//x", "x"), ("/a/../b", "b")]
)
def test_a_target_is_relative_to_the_root_and_never_above_it(destination: str, target: str) -> None:
    assert options(destination=destination).target == target


def test_a_label_is_given_to_file_systems_that_take_one() -> None:
    assert plan(type="tmpfs", label="l").data == (("context", "l"),)
    assert plan(type="proc", label="l").data == ()
    assert plan(type="bind", source="/a", label="l").data == ()


def test_ids_are_mapped_by_own_maps_or_by_the_containers_namespace() -> None:
    own = plan(type="bind", source="/a", options=["rbind", "ridmap"], uidMappings=MAPS, gidMappings=MAPS).idmap
    assert own is not None
    assert (own.uid_maps[0].outside, own.recursive) == (1000, True)
    container = plan(type="bind", source="/a", options=["bind", "idmap"], user_namespace=True).idmap
    assert container is not None
    assert (container.uid_maps, container.recursive) == ((), False)
    assert plan(type="bind", source="/a").idmap is None


@pytest.mark.parametrize(
    ("mount", "fault"),
    [
        ({"destination": ""}, r"mounts\[0\].*destination is empty"),
        ({"destination": "/", "type": "tmpfs"}, "the root itself"),
        ({"destination": "/a/..", "type": "tmpfs"}, "the root itself"),
        ({"destination": "/a\0", "type": "tmpfs"}, "NUL"),
        ({"type": "tmpfs", "options": ["size=\0"]}, "NUL"),
        ({"type": "bind"}, "has no source"),
        ({"options": ["rbind"]}, "has no source"),
        ({"source": "/a"}, "neither a type nor"),
        ({"type": "proc", "options": ["tmpcopyup"]}, "tmpcopyup is for mounts of type tmpfs"),
        ({"type": "bind", "source": "/a", "options": ["idmap"]}, "needs mappings"),
        ({"type": "bind", "source": "/a", "uidMappings": MAPS}, "given together"),
        ({"type": "bind", "source": "/a", "gidMappings": MAPS}, "given together"),
        (
            {"type": "bind", "source": "/a", "gidMappings": MAPS, "uidMappings": [{"containerID": 0, "hostID": 0}]},
            "uidMappings: the range 0 0 0",
        ),
    ],
)
def test_a_mount_that_can_never_be_is_refused_with_its_place(mount: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        plan(**mount)
