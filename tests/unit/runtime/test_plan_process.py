"""The process of a container or an exec: what is understood and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.linux.capability import mask_of
from sampan.oci.runtime_spec import Process
from sampan.runtime.launch_plan import ProcessPlan, RlimitPlan, SchedulerPlan
from sampan.runtime.plan_process import plan_process


def plan(**fields: Any) -> ProcessPlan:
    return plan_process(msgspec.convert({"args": ["sh"], "cwd": "/", **fields}, Process))


def test_numbers_and_words_are_taken_as_they_are() -> None:
    planned = plan(
        user={"uid": 4294967294, "gid": 2147483648, "umask": 63, "additionalGids": [5, 6]},
        env=["A=b", "C"],
        oomScoreAdj=-1000,
        noNewPrivileges=True,
        apparmorProfile="p",
        selinuxLabel="l",
    )
    assert (planned.uid, planned.gid, planned.umask, planned.additional_gids) == (4294967294, 2147483648, 63, (5, 6))
    assert (planned.environment, planned.oom_score_adj, planned.no_new_privileges) == (("A=b", "C"), -1000, True)
    assert (planned.apparmor_profile, planned.selinux_label) == ("p", "l")


def test_a_size_counts_only_with_a_terminal() -> None:
    size = {"height": 10, "width": 99999}
    assert plan(consoleSize=size).console_width == 0
    assert plan(terminal=True, consoleSize={"height": 10, "width": 20}).console_height == 10
    with pytest.raises(InvalidArgument, match="consoleSize"):
        plan(terminal=True, consoleSize=size)


def test_capabilities_become_masks_and_the_kernels_own_rules_hold() -> None:
    planned = plan(
        capabilities={
            "bounding": ["CAP_KILL", "CAP_CHOWN"],
            "permitted": ["CAP_KILL", "CAP_CHOWN"],
            "effective": ["CAP_KILL", "CAP_SYS_ADMIN"],
            "inheritable": ["CAP_CHOWN"],
            "ambient": ["CAP_KILL", "CAP_CHOWN", "CAP_SYS_ADMIN"],
        }
    ).capabilities
    assert planned is not None
    assert planned.bounding == mask_of(["CAP_KILL", "CAP_CHOWN"])
    assert planned.effective == mask_of(["CAP_KILL"])
    assert planned.ambient == mask_of(["CAP_CHOWN"])
    assert plan().capabilities is None


def test_limits_input_and_output_and_scheduling_become_numbers() -> None:
    planned = plan(
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 2**64 - 1}],
        ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 4},
        scheduler={
            "policy": "SCHED_DEADLINE",
            "runtime": 1,
            "deadline": 2,
            "period": 3,
            "flags": ["SCHED_FLAG_RECLAIM"],
        },
    )
    assert planned.rlimits == (RlimitPlan(7, 5, 2**64 - 1),)
    assert planned.io_priority == 3 << 13 | 4
    assert planned.scheduler == SchedulerPlan(6, 2, 0, 0, 1, 2, 3)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"args": []}, "process.args is empty"),
        ({"args": ["a\0b"]}, "process.args has a NUL byte"),
        ({"env": ["A=\0"]}, "process.env has a NUL byte"),
        ({"cwd": ""}, "process.cwd must be an absolute path"),
        ({"cwd": "tmp"}, "process.cwd must be an absolute path"),
        ({"cwd": "/a\0"}, "process.cwd has a NUL byte"),
        ({"user": {"uid": -1}}, "uid -1 is not between"),
        ({"user": {"uid": 4294967295}}, "uid 4294967295 is not between"),
        ({"user": {"gid": 4294967296}}, "gid 4294967296 is not between"),
        ({"user": {"additionalGids": [4294967295]}}, "additionalGids: 4294967295"),
        ({"user": {"additionalGids": list(range(65537))}}, "has 65537 groups"),
        ({"user": {"umask": 512}}, "umask 512"),
        ({"user": {"umask": -1}}, "umask -1"),
        ({"oomScoreAdj": 1001}, "oomScoreAdj 1001"),
        ({"oomScoreAdj": -1001}, "oomScoreAdj -1001"),
        ({"capabilities": {"bounding": ["CAP_EVERYTHING"]}}, "bounding: unknown capability 'CAP_EVERYTHING'"),
        ({"capabilities": {"ambient": ["chown"]}}, "ambient: unknown capability 'chown'"),
        ({"rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]}, "unknown resource 'RLIMIT_X'"),
        ({"rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2}, "RLIMIT_CPU is given twice"),
        ({"rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]}, "soft 2 and hard 1"),
        ({"rlimits": [{"type": "RLIMIT_CPU", "soft": -1, "hard": 1}]}, "soft -1"),
        ({"rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 2**64}]}, "RLIMIT_CPU"),
        ({"ioPriority": {"class": "IOPRIO_CLASS_X", "priority": 1}}, "unknown class 'IOPRIO_CLASS_X'"),
        ({"ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 8}}, "priority 8"),
        ({"scheduler": {"policy": "SCHED_X"}}, "unknown policy 'SCHED_X'"),
        ({"scheduler": {"policy": "SCHED_OTHER", "flags": ["F"]}}, "unknown flag 'F'"),
        ({"scheduler": {"policy": "SCHED_OTHER", "nice": 20}}, "nice 20"),
        ({"scheduler": {"policy": "SCHED_OTHER", "priority": 1}}, "priority 1 is for SCHED_FIFO"),
        ({"scheduler": {"policy": "SCHED_FIFO"}}, "needs a priority between 1 and 99, not 0"),
        ({"scheduler": {"policy": "SCHED_RR", "priority": 100}}, "not 100"),
        ({"scheduler": {"policy": "SCHED_BATCH", "runtime": 1}}, "are for SCHED_DEADLINE"),
        ({"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 3, "deadline": 2}}, "needs 0 < runtime"),
        ({"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 5, "period": 4}}, "needs 0 < runtime"),
    ],
)
def test_a_process_that_can_never_be_is_refused(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        plan(**fields)


def test_a_policy_that_linux_never_got_says_so() -> None:
    with pytest.raises(NotImplementedHere, match="SCHED_ISO"):
        plan(scheduler={"policy": "SCHED_ISO"})
