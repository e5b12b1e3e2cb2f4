"""Limits and devices: what is understood, what every container gets, what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sampan.cgroup.limits import DeviceRate, DeviceRule, DeviceWeight, HugepageLimit, Limits, MemoryLimits, RdmaLimit
from sampan.errors import InvalidArgument
from sampan.oci.runtime_resources import Resources
from sampan.oci.runtime_spec import RuntimeSpec
from sampan.runtime.launch_plan import DevicePlan
from sampan.runtime.plan_problems import Problems
from sampan.runtime.plan_resources import DEFAULT_RULES, DENY_ALL, plan_devices, plan_limits, plan_update


def limits(**resources: Any) -> Limits:
    problems = Problems()
    planned = plan_limits(msgspec.convert(resources, Resources), problems)
    problems.refuse()
    return planned


def devices(*given: dict[str, Any], mounts: tuple[dict[str, Any], ...] = ()) -> tuple[tuple[DevicePlan, ...], bool]:
    problems = Problems()
    planned = plan_devices(msgspec.convert({"linux": {"devices": given}, "mounts": mounts}, RuntimeSpec), problems)
    problems.refuse()
    return planned


def test_everything_asked_arrives_in_its_unit() -> None:
    planned = limits(
        cpu={
            "shares": 5,
            "quota": -1,
            "period": 7,
            "burst": 0,
            "realtimeRuntime": 1,
            "realtimePeriod": 2,
            "cpus": "0-1",
        },
        memory={"limit": -1, "reservation": 9, "swap": 11, "kernelTCP": 3, "swappiness": 0, "disableOOMKiller": True},
        pids={"limit": -1},
        blockIO={
            "weight": 10,
            "weightDevice": [{"major": 8, "minor": 0, "leafWeight": 20}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 1, "rate": 30}],
        },
        hugepageLimits=[{"pageSize": "2MB", "limit": 4}],
        network={"classID": 7, "priorities": [{"name": "lo", "priority": 2}]},
        rdma={"mlx": {"hcaHandles": 3}},
        unified={"memory.high": "5"},
    )
    assert (planned.cpu.shares, planned.cpu.quota_us, planned.cpu.period_us, planned.cpu.burst_us) == (5, -1, 7, 0)
    assert (planned.cpu.realtime_runtime_us, planned.cpu.realtime_period_us, planned.cpu.cpus) == (1, 2, "0-1")
    assert planned.memory.limit_bytes == -1
    assert (planned.memory.kernel_tcp_bytes, planned.memory.swappiness, planned.memory.disable_oom_killer) == (
        3,
        0,
        True,
    )
    assert planned.pids_max == -1
    assert planned.block_io.weights == (DeviceWeight(8, 0, None, 20),)
    assert planned.block_io.write_iops == (DeviceRate(8, 1, 30),)
    assert planned.hugepages == (HugepageLimit("2MB", 4),)
    assert (planned.network_class, planned.network_priorities[0].name) == (7, "lo")
    assert planned.rdma == (RdmaLimit("mlx", 3, None),)
    assert planned.unified == (("memory.high", "5"),)


def test_zero_leaves_alone_what_cannot_be_zero() -> None:
    planned = limits(memory={"limit": 0, "swap": 0}, cpu={"shares": 0, "quota": 0}, pids={"limit": 0})
    assert planned.memory == MemoryLimits()
    assert (planned.cpu.shares, planned.cpu.quota_us, planned.pids_max) == (None, None, None)


def test_without_rules_only_the_default_devices_are_allowed() -> None:
    problems = Problems()
    assert plan_limits(None, problems).devices == (DENY_ALL, *DEFAULT_RULES)


def test_the_rules_asked_for_stand_between_the_denial_and_the_defaults() -> None:
    rule = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}
    planned = limits(devices=[rule]).devices
    assert planned[:2] == (DENY_ALL, DeviceRule(allow=True, kind="c", major=10, minor=229, access="rw"))
    assert limits(devices=[{"allow": True}, rule]).devices[0] == DeviceRule(allow=True)
    assert limits(devices=[{"allow": True, "access": "ra"}]).devices[0] == DeviceRule(allow=True, access="rwm")


def test_an_update_touches_device_rules_only_when_it_has_some() -> None:
    assert plan_update(Resources()) == Limits()
    assert plan_update(msgspec.convert({"devices": [{"allow": False}]}, Resources)).devices == (
        DENY_ALL,
        *DEFAULT_RULES,
    )


@pytest.mark.parametrize(
    ("resources", "fault"),
    [
        ({"cpu": {"shares": -1}}, "cpu.shares -1"),
        ({"cpu": {"period": -1}}, "cpu.period -1"),
        ({"cpu": {"burst": -1}}, "cpu.burst -1"),
        ({"cpu": {"idle": 2}}, "cpu.idle 2"),
        ({"cpu": {"quota": 5, "burst": 6}}, "burst 6 is larger than cpu.quota 5"),
        ({"memory": {"limit": -2}}, "memory.limit -2"),
        ({"memory": {"limit": 2**63}}, "memory.limit"),
        ({"memory": {"swappiness": 201}}, "swappiness 201"),
        ({"memory": {"limit": 5, "swap": 4}}, "swap 4 is smaller than memory.limit 5"),
        ({"blockIO": {"weight": 9}}, "blockIO.weight 9"),
        ({"blockIO": {"leafWeight": 1001}}, "blockIO.leafWeight 1001"),
        ({"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}, "neither weight nor leafWeight"),
        ({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 1001}]}}, "weight 1001"),
        ({"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": -1}]}}, "rate of 8:0 -1"),
        ({"network": {"priorities": [{"name": "lo", "priority": -1}]}}, "priorities of lo -1"),
        ({"unified": {"../memory.max": "1"}}, "is not the name of a file"),
        ({"unified": {"..": "1"}}, "is not the name of a file"),
        ({"devices": [{"allow": True, "type": "p"}]}, "unknown type 'p'"),
        ({"devices": [{"allow": True, "access": "rx"}]}, "access 'rx'"),
        ({"devices": [{"allow": True, "major": -2}]}, "major -2"),
    ],
)
def test_a_limit_that_can_never_be_is_refused(resources: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        limits(**resources)
    with pytest.raises(InvalidArgument, match=fault):
        plan_update(msgspec.convert(resources, Resources))


def test_every_container_has_the_default_devices() -> None:
    nodes, own = devices()
    assert own
    assert [node.path for node in nodes] == [
        f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")
    ]


def test_a_device_is_made_as_asked_and_takes_the_place_of_a_default_one() -> None:
    nodes, _ = devices(
        {"path": "/dev/tty", "type": "c", "major": 5, "minor": 0, "fileMode": 0o20600, "uid": 3, "gid": 4},
        {"path": "/mnt/", "type": "b", "major": 10, "minor": 229},
        {"path": "/run/fifo", "type": "p"},
    )
    by_path = {node.path: node for node in nodes}
    assert by_path["/dev/tty"] == DevicePlan("/dev/tty", "c", 5, 0, 0o600, 3, 4)
    assert by_path["/mnt"] == DevicePlan("/mnt", "b", 10, 229, 0o666, 0, 0)
    assert by_path["/run/fifo"].kind == "p"
    assert len(nodes) == 8


def test_ptmx_is_a_link_of_ours_and_never_a_node() -> None:
    assert "/dev/ptmx" not in {
        node.path for node in devices({"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2})[0]
    }


@pytest.mark.parametrize("mount", [{"type": "bind"}, {"options": ["rbind"]}, {"type": "none", "options": ["bind"]}])
def test_nothing_is_made_in_a_bound_dev(mount: dict[str, Any]) -> None:
    assert devices(mounts=({"destination": "/dev/", "source": "/dev", **mount},)) == ((), False)


@pytest.mark.parametrize(
    ("device", "fault"),
    [
        ({"path": "dev/x", "type": "c"}, "must be absolute"),
        ({"path": "/", "type": "c"}, "must be absolute"),
        ({"path": "/a\0", "type": "c"}, "NUL"),
        ({"path": "/x", "type": "x"}, "unknown type 'x'"),
        ({"path": "/x", "type": ""}, "unknown type ''"),
        ({"path": "/x", "type": "c", "major": 4096}, "no device 4096:0"),
        ({"path": "/x", "type": "b", "minor": -1}, "no device 0:-1"),
        ({"path": "/x", "type": "c", "fileMode": 0o60600}, "fileMode 0o60600"),
        ({"path": "/x", "type": "c", "fileMode": -1}, "fileMode"),
        ({"path": "/x", "type": "c", "uid": 4294967295}, "uid 4294967295"),
        ({"path": "/x", "type": "c", "gid": -1}, "gid -1"),
    ],
)
def test_a_device_that_can_never_be_is_refused(device: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        devices(device)


def test_one_path_is_one_device() -> None:
    with pytest.raises(InvalidArgument, match="given twice"):
        devices({"path": "/x", "type": "p"}, {"path": "/x/", "type": "p"})
