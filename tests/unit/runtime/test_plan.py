"""From a specification to a launch plan: what is understood, and every refusal of the document as a whole."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from sampan.errors import InvalidArgument, NotImplementedHere, SampanError
from sampan.oci.runtime_documents import decode_spec
from sampan.runtime.launch_plan import IdMap, LaunchPlan, RootPlan, SeccompPlan, TimeOffset
from sampan.runtime.plan import plan_launch

SPEC: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {
        "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}]
    },
}
Change = Callable[[dict[str, Any]], Any]


def plan(change: Change = lambda _: None, **keywords: Any) -> LaunchPlan:
    document = copy.deepcopy(SPEC)
    change(document)
    return plan_launch(decode_spec(json.dumps(document).encode()), id="c1", bundle="/bundle", **keywords)


def put(path: str, value: Any) -> Change:
    """A change that sets what is at `path` ("linux.sysctl") to `value`; None deletes it."""

    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        place = document
        for name in parents:
            place = place.setdefault(name, {})
        place.pop(last, None)
        if value is not None:
            place[last] = value

    return change


def namespace(**entry: str) -> Change:
    return lambda document: document["linux"]["namespaces"].append(entry)


def both(*changes: Change) -> Change:
    def change(document: dict[str, Any]) -> None:
        for one in changes:
            one(document)

    return change


MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
USER = both(namespace(type="user"), put("linux.uidMappings", MAPS), put("linux.gidMappings", MAPS))


def test_a_small_specification_is_understood() -> None:
    planned = plan()
    assert planned.root == RootPlan("/bundle/rootfs")
    assert planned.process.argv == ("sh",)
    assert planned.namespaces.new == {"mnt", "pid", "uts", "ipc", "net"}
    assert planned.cgroup is not None
    assert planned.cgroup.path == "/c1"
    assert planned.mounts[0].target == "proc"


def test_an_overlay_root_and_a_compiled_filter_take_the_place_of_the_documents() -> None:
    root, seccomp = RootPlan("/elsewhere", readonly=True), SeccompPlan(b"program")
    planned = plan(
        both(put("root", None), put("linux.seccomp", {"defaultAction": "nonsense"})),
        root=root,
        seccomp=seccomp,
        user_spec="someone:users",
        extra_groups=("adm",),
        init=True,
        new_keyring=True,
    )
    assert (planned.root, planned.process.seccomp) == (root, seccomp)
    assert (planned.process.user_spec, planned.process.extra_groups) == ("someone:users", ("adm",))
    assert (planned.init, planned.new_keyring) == (True, True)


def test_a_root_may_be_absolute_or_above_the_bundle() -> None:
    assert plan(put("root.path", "/srv/root")).root.path == "/srv/root"
    assert plan(put("root.path", "../other"), pivot=False).root == RootPlan("/other", pivot=False)


def test_the_roots_propagation_is_told_in_the_kernels_flags() -> None:
    assert plan(put("linux.rootfsPropagation", "rslave")).root.propagation == 1 << 19 | 16384


def test_namespaces_are_made_or_joined_by_path() -> None:
    planned = plan(both(namespace(type="cgroup", path="/proc/7/ns/cgroup"), USER)).namespaces
    assert [(one.kind, one.path) for one in planned.join] == [("cgroup", "/proc/7/ns/cgroup")]
    assert "user" in planned.new
    assert (planned.uid_maps[0].inside, planned.uid_maps[0].outside, planned.uid_maps[0].count) == (0, 100000, 65536)


def test_without_a_linux_object_every_namespace_is_shared() -> None:
    assert plan(put("linux", None)).namespaces.new == frozenset()


def test_a_user_namespace_without_mappings_has_root_alone() -> None:
    planned = plan(namespace(type="user")).namespaces
    assert planned.uid_maps == planned.gid_maps == (IdMap(0, 0, 1),)


def test_mappings_of_a_joined_user_namespace_are_its_own() -> None:
    joined = both(namespace(type="user", path="/x"), put("linux.uidMappings", MAPS), put("linux.gidMappings", MAPS))
    assert plan(joined).namespaces.uid_maps == ()


def test_clocks_are_set_off() -> None:
    offsets = {"boottime": {"secs": -5, "nanosecs": 3}}
    planned = plan(both(namespace(type="time"), put("linux.timeOffsets", offsets)))
    assert planned.namespaces.time_offsets == (TimeOffset("boottime", -5, 3),)


@pytest.mark.parametrize(
    ("asked", "path"), [("/a/b", "/a/b"), ("a/b/", "/a/b"), ("", "/c1"), ("/a//b", "/a/b"), ("x:y:z", "/x:y:z")]
)
def test_a_cgroup_path_counts_from_the_root_of_every_hierarchy(asked: str, path: str) -> None:
    cgroup = plan(put("linux.cgroupsPath", asked)).cgroup
    assert cgroup is not None
    assert cgroup.path == path


def test_parameters_of_own_namespaces_are_paths_below_proc_sys() -> None:
    asked = {"net.ipv4.conf.eth0/100.forwarding": "1", "kernel/shmmax": "5", "fs.mqueue.msg_max": "9"}
    assert plan(put("linux.sysctl", asked)).sysctl == (
        ("net/ipv4/conf/eth0.100/forwarding", "1"),
        ("kernel/shmmax", "5"),
        ("fs/mqueue/msg_max", "9"),
    )


def test_hooks_keep_their_order_and_their_time() -> None:
    hooks = {"poststop": [{"path": "/a", "args": ["a", "b"], "env": ["X=1"], "timeout": 3}, {"path": "/b"}]}
    planned = plan(put("hooks", hooks)).hooks.poststop
    assert [(hook.path, hook.timeout_s) for hook in planned] == [("/a", 3), ("/b", 0)]


def test_a_personality_is_a_number() -> None:
    assert plan(put("linux.personality", {"domain": "LINUX32"})).personality == 8
    assert plan().personality is None


def test_a_filter_is_compiled_and_its_listener_kept() -> None:
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
    asked = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], "listenerPath": "/l", "listenerMetadata": "m"}
    seccomp = plan(put("linux.seccomp", asked)).process.seccomp
    assert seccomp is not None
    assert seccomp.program
    assert (seccomp.listener_path, seccomp.metadata) == ("/l", "m")
    assert seccomp.flags & 8


def test_a_listener_without_a_notification_is_ignored_as_the_specification_says() -> None:
    seccomp = plan(put("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/l"})).process.seccomp
    assert seccomp is not None
    assert seccomp.listener_path == ""


NOTIFY = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (put("ociVersion", "1.2"), "ociVersion '1.2' is not a semantic version"),
        (put("ociVersion", ""), "ociVersion"),
        (put("process", None), "process is missing"),
        (put("root", None), "root.path is empty"),
        (put("root.path", "a\0b"), "NUL"),
        (put("linux.rootfsPropagation", "sideways"), "rootfsPropagation: unknown value 'sideways'"),
        (put("linux.maskedPaths", ["proc/kcore"]), "maskedPaths: 'proc/kcore' is not an absolute path"),
        (put("linux.readonlyPaths", ["/ok", ""]), "readonlyPaths: '' is not an absolute path"),
        (namespace(type="pid"), "pid is given twice"),
        (namespace(type="pid", path="/x"), "pid is given twice"),
        (namespace(type="mnt"), "unknown type 'mnt'"),
        (both(USER, put("linux.gidMappings", None)), "must be given together"),
        (both(USER, put("linux.uidMappings", None)), "must be given together"),
        (put("linux.uidMappings", MAPS), "need a user namespace"),
        (namespace(type="cgroup", path="ns/cgroup"), "must be absolute"),
        (both(USER, put("linux.uidMappings", [{"containerID": 0, "hostID": 5, "size": 0}])), "range 0 5 0"),
        (both(USER, put("linux.uidMappings", [{"containerID": -1, "hostID": 5, "size": 1}])), "range -1 5 1"),
        (both(USER, put("linux.gidMappings", [{"containerID": 9, "hostID": 0, "size": 4294967295}])), "not within"),
        (
            both(USER, put("linux.uidMappings", [*MAPS, {"containerID": 5, "hostID": 7, "size": 1}])),
            "overlap inside at 5",
        ),
        (both(USER, put("linux.uidMappings", [*MAPS, {"containerID": 70000, "hostID": 100005, "size": 1}])), "outside"),
        (
            both(USER, put("linux.uidMappings", [{"containerID": n, "hostID": n, "size": 1} for n in range(341)])),
            "has 341 ranges",
        ),
        (put("linux.timeOffsets", {"boottime": {"secs": 1}}), "needs a new time namespace"),
        (
            both(namespace(type="time", path="/x"), put("linux.timeOffsets", {"boottime": {"secs": 1}})),
            "needs a new time namespace",
        ),
        (both(namespace(type="time"), put("linux.timeOffsets", {"realtime": {"secs": 1}})), "unknown clock 'realtime'"),
        (both(namespace(type="time"), put("linux.timeOffsets", {"boottime": {"nanosecs": 10**9}})), "nanosecs"),
        (both(namespace(type="time"), put("linux.timeOffsets", {"boottime": {"secs": 2**63}})), "64-bit"),
        (
            both(put("linux.namespaces", [{"type": "mount"}]), put("hostname", "h")),
            "hostname 'h' needs a uts namespace",
        ),
        (both(put("linux.namespaces", [{"type": "mount"}]), put("domainname", "d")), "domainname 'd' needs a uts"),
        (put("hostname", "h" * 65), "longer than 64 bytes"),
        (put("domainname", "a\0b"), "NUL"),
        (put("linux.cgroupsPath", "/a/../b"), "cgroupsPath"),
        (put("linux.cgroupsPath", "///"), "cgroupsPath"),
        (put("linux.sysctl", {"vm.swappiness": "1"}), "vm.swappiness belongs to no namespace"),
        (put("linux.sysctl", {"kernel.core_pattern": "|/x"}), "belongs to no namespace"),
        (put("linux.sysctl", {"kernel.hostname": "x"}), "set by the field hostname"),
        (put("linux.sysctl", {"net.../../kernel.x": "1"}), "names no parameter"),
        (put("linux.sysctl", {"net/../kernel/core_pattern": "1"}), "names no parameter"),
        (put("linux.sysctl", {"": "1"}), "names no parameter"),
        (both(put("domainname", "a"), put("linux.sysctl", {"kernel.domainname": "b"})), "contradicts domainname 'a'"),
        (put("linux.sysctl", {"net.ipv4.ip_forward": "1\0"}), "NUL"),
        (
            both(put("linux.namespaces", [{"type": "mount"}]), put("linux.sysctl", {"net.ipv4.ip_forward": "1"})),
            "net.ipv4.ip_forward needs a network namespace",
        ),
        (
            both(put("linux.namespaces", [{"type": "mount"}]), put("linux.sysctl", {"kernel.shmmax": "1"})),
            "kernel.shmmax needs an ipc namespace",
        ),
        (
            both(put("linux.namespaces", [{"type": "mount"}]), put("linux.sysctl", {"kernel.domainname": "x"})),
            "needs a uts namespace",
        ),
        (put("hooks.prestart", [{"path": "bin/x"}]), r"hooks.prestart\[0\]: the path must be absolute"),
        (put("hooks.createRuntime", [{"path": ""}]), "hooks.createRuntime"),
        (put("hooks.createContainer", [{"path": "/x", "args": ["\0"]}]), "hooks.createContainer.*NUL"),
        (put("hooks.startContainer", [{"path": "/x", "timeout": 0}]), "timeout 0 is not greater than zero"),
        (put("hooks.poststart", [{"path": "/x", "timeout": -1}]), "timeout -1"),
        (put("hooks.poststop", [{"path": "/x"}, {"path": "y"}]), r"hooks.poststop\[1\]"),
        (put("linux.personality", {"domain": "BSD"}), "unknown domain 'BSD'"),
        (put("linux.personality", {"domain": "LINUX", "flags": ["X"]}), "unknown flag 'X'"),
        (put("linux.seccomp", NOTIFY), "SCMP_ACT_NOTIFY needs a listenerPath"),
        (put("linux.seccomp", {**NOTIFY, "listenerPath": "@abstract"}), "listenerPath must be an absolute path"),
        (put("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "m"}), "needs a listenerPath"),
        (put("linux.seccomp", {"defaultAction": "ALLOW"}), "linux.seccomp: unknown seccomp action 'ALLOW'"),
        (
            put(
                "linux.seccomp",
                {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]},
            ),
            r"syscalls\[0\] has no names",
        ),
    ],
)
def test_a_document_that_can_never_be_is_refused_with_its_place(change: Change, fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        plan(change)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (put("ociVersion", "2.0.0"), "ociVersion 2.0.0 is not supported"),
        (put("linux.intelRdt", {"closID": "x"}), "intelRdt"),
    ],
)
def test_what_cannot_be_done_here_says_what_to_do_instead(change: Change, fault: str) -> None:
    with pytest.raises(NotImplementedHere, match=fault) as caught:
        plan(change)
    assert caught.value.remedy


def test_all_problems_of_a_document_are_told_together() -> None:
    change = both(put("process.cwd", "relative"), put("hostname", "h" * 65), put("linux.intelRdt", {}))
    with pytest.raises(InvalidArgument) as caught:
        plan(change)
    for part in ("process.cwd", "hostname", "intelRdt"):
        assert part in caught.value.sentence


def test_several_things_that_cannot_be_done_here_stay_of_that_kind() -> None:
    with pytest.raises(NotImplementedHere) as caught:
        plan(both(put("ociVersion", "3.0.0"), put("linux.intelRdt", {})))
    assert "3.0.0" in caught.value.sentence
    assert "intelRdt" in caught.value.sentence
    assert "; " in caught.value.remedy


def test_a_plan_is_plain_data_that_can_be_sent_to_the_launcher() -> None:
    import pickle

    planned = plan()
    assert pickle.loads(pickle.dumps(planned)) == planned


def test_refusals_are_all_meant_for_users() -> None:
    with pytest.raises(SampanError) as caught:
        plan(put("process.args", []))
    assert caught.value.sentence == caught.value.sentence[:1].lower() + caught.value.sentence[1:]
