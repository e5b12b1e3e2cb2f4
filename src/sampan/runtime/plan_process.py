"""From the `process` object of a specification to a ProcessPlan: who runs what, with which limits and privileges.

Pure, for the first process of a container and for an exec alike. Names that are looked up inside the root file system
(`user_spec`, `extra_groups`) are only passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.errors import SampanError
from sampan.linux import capability, limit
from sampan.runtime.launch_plan import CapabilitiesPlan, ProcessPlan, RlimitPlan, SchedulerPlan, SeccompPlan
from sampan.runtime.plan_problems import Problems

if TYPE_CHECKING:
    from sampan.oci.runtime_spec import Capabilities, IoPriority, Process, Rlimit, Scheduler

_MAX_ID = 2**32 - 2  # (uid_t) -1 is no id: it means "leave it alone" to setresuid(2)
_MAX_U64 = 2**64 - 1
_MAX_GROUPS = 65536  # NGROUPS_MAX
_MAX_WINDOW = 65535  # struct winsize has unsigned shorts
_IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_IO_CLASS_SHIFT = 13
_POLICIES = {"SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_IDLE": 5, "SCHED_DEADLINE": 6}
_SCHEDULER_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}


def plan_process(
    process: Process,
    *,
    user_spec: str | None = None,
    extra_groups: tuple[str, ...] = (),
    seccomp: SeccompPlan | None = None,
) -> ProcessPlan:
    """The plan of `process`. Raises InvalidArgument or NotImplementedHere, naming every problem it has.

    `user_spec` is Docker's USER and `extra_groups` its --group-add; with `user_spec` None the numbers of
    `process.user` hold. `seccomp` is the compiled filter of the container.
    """
    problems = Problems()
    plan = process_plan(process, problems, user_spec=user_spec, extra_groups=extra_groups, seccomp=seccomp)
    problems.refuse()
    return plan


def process_plan(
    process: Process,
    problems: Problems,
    *,
    user_spec: str | None = None,
    extra_groups: tuple[str, ...] = (),
    seccomp: SeccompPlan | None = None,
) -> ProcessPlan:
    """As `plan_process`, but problems are added to `problems`; the plan is worth nothing when there are any."""
    _check_program(process, problems)
    _check_user(process, problems)
    _check_numbers(process, problems)
    size = process.console_size if process.terminal else None
    return ProcessPlan(
        argv=process.args,
        environment=process.env,
        cwd=process.cwd,
        uid=process.user.uid,
        gid=process.user.gid,
        additional_gids=process.user.additional_gids,
        umask=process.user.umask,
        user_spec=user_spec,
        extra_groups=extra_groups,
        terminal=process.terminal,
        console_height=size.height if size else 0,
        console_width=size.width if size else 0,
        capabilities=_capabilities(process.capabilities, problems) if process.capabilities else None,
        no_new_privileges=process.no_new_privileges,
        rlimits=_rlimits(process.rlimits, problems),
        oom_score_adj=process.oom_score_adj,
        io_priority=_io_priority(process.io_priority, problems) if process.io_priority else None,
        scheduler=_scheduler(process.scheduler, problems) if process.scheduler else None,
        apparmor_profile=process.apparmor_profile,
        selinux_label=process.selinux_label,
        seccomp=seccomp,
    )


def _check_program(process: Process, problems: Problems) -> None:
    if not process.args:
        problems.invalid("process.args is empty", "name the program to run")
    if not process.cwd.startswith("/"):
        problems.invalid(f"process.cwd must be an absolute path, not {process.cwd!r}", "begin it with /")
    if "\0" in process.cwd:
        problems.invalid(f"process.cwd has a NUL byte: {process.cwd!r}")
    for name, words in (("args", process.args), ("env", process.env)):
        problems_of = [word for word in words if "\0" in word] if "\0" in "".join(words) else ()
        for word in problems_of:
            problems.invalid(f"process.{name} has a NUL byte: {word!r}")


def _check_user(process: Process, problems: Problems) -> None:
    user = process.user
    for name, number in (("uid", user.uid), ("gid", user.gid)):
        if not 0 <= number <= _MAX_ID:
            problems.invalid(f"process.user.{name} {number} is not between 0 and {_MAX_ID}")
    for number in user.additional_gids:
        if not 0 <= number <= _MAX_ID:
            problems.invalid(f"process.user.additionalGids: {number} is not between 0 and {_MAX_ID}")
    if len(user.additional_gids) > _MAX_GROUPS:
        problems.invalid(
            f"process.user.additionalGids has {len(user.additional_gids)} groups, {_MAX_GROUPS} are allowed"
        )
    if user.umask is not None and not 0 <= user.umask <= 0o777:
        problems.invalid(f"process.user.umask {user.umask} is not between 0 and 511 (0777)")


def _check_numbers(process: Process, problems: Problems) -> None:
    score = process.oom_score_adj
    if score is not None and not -1000 <= score <= 1000:
        problems.invalid(f"process.oomScoreAdj {score} is not between -1000 and 1000")
    size = process.console_size if process.terminal else None
    if size and not (0 <= size.height <= _MAX_WINDOW and 0 <= size.width <= _MAX_WINDOW):
        problems.invalid(f"process.consoleSize {size.height} × {size.width} is not between 0 and {_MAX_WINDOW}")


def _capabilities(asked: Capabilities, problems: Problems) -> CapabilitiesPlan | None:
    """The five sets; what the kernel cannot grant by its own rules is left out, as the specification wants no failure.

    Effective must be permitted, ambient both permitted and inheritable (capabilities(7)).
    """
    masks = []
    for name in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        try:
            masks.append(capability.mask_of(getattr(asked, name)))
        except SampanError as error:
            problems.add(type(error)(f"process.capabilities.{name}: {error.sentence}", remedy=error.remedy))
            masks.append(0)
    bounding, effective, permitted, inheritable, ambient = masks
    return CapabilitiesPlan(bounding, effective & permitted, permitted, inheritable, ambient & permitted & inheritable)


def _rlimits(asked: tuple[Rlimit, ...], problems: Problems) -> tuple[RlimitPlan, ...]:
    planned: dict[str, RlimitPlan] = {}
    for one in asked:
        number = limit.NUMBERS.get(one.type)
        if number is None:
            problems.invalid(f"process.rlimits: unknown resource {one.type!r}", "getrlimit(2) lists the names")
        elif one.type in planned:
            problems.invalid(f"process.rlimits: {one.type} is given twice")
        elif not 0 <= one.soft <= one.hard <= _MAX_U64:
            problems.invalid(
                f"process.rlimits: {one.type} soft {one.soft} and hard {one.hard} are not 0 ≤ soft ≤ hard < 2^64"
            )
        else:
            planned[one.type] = RlimitPlan(number, one.soft, one.hard)
    return tuple(planned.values())


def _io_priority(asked: IoPriority, problems: Problems) -> int:
    if asked.class_ not in _IO_CLASSES:
        problems.invalid(f"process.ioPriority: unknown class {asked.class_!r}", f"one of {', '.join(_IO_CLASSES)}")
    if not 0 <= asked.priority <= 7:
        problems.invalid(f"process.ioPriority: priority {asked.priority} is not between 0 and 7")
    return _IO_CLASSES.get(asked.class_, 0) << _IO_CLASS_SHIFT | asked.priority


def _scheduler(asked: Scheduler, problems: Problems) -> SchedulerPlan:
    policy = asked.policy
    if policy == "SCHED_ISO":
        problems.unsupported("process.scheduler: Linux has no SCHED_ISO", "use SCHED_OTHER with a negative nice value")
    elif policy not in _POLICIES:
        problems.invalid(f"process.scheduler: unknown policy {policy!r}", f"one of {', '.join(_POLICIES)}")
    _check_scheduling_numbers(asked, problems)
    flags = 0
    for name in asked.flags:
        if name not in _SCHEDULER_FLAGS:
            problems.invalid(f"process.scheduler: unknown flag {name!r}", f"one of {', '.join(_SCHEDULER_FLAGS)}")
        flags |= _SCHEDULER_FLAGS.get(name, 0)
    return SchedulerPlan(
        policy=_POLICIES.get(policy, 0),
        flags=flags,
        nice=asked.nice,
        priority=asked.priority,
        runtime=asked.runtime,
        deadline=asked.deadline,
        period=asked.period,
    )


def _check_scheduling_numbers(asked: Scheduler, problems: Problems) -> None:
    """What sched_setattr(2) would answer with EINVAL, said in words."""
    policy = asked.policy
    if not -20 <= asked.nice <= 19:
        problems.invalid(f"process.scheduler: nice {asked.nice} is not between -20 and 19")
    if policy in {"SCHED_FIFO", "SCHED_RR"}:
        if not 1 <= asked.priority <= 99:
            problems.invalid(f"process.scheduler: {policy} needs a priority between 1 and 99, not {asked.priority}")
    elif asked.priority:
        problems.invalid(f"process.scheduler: priority {asked.priority} is for SCHED_FIFO and SCHED_RR, not {policy}")
    times = (asked.runtime, asked.deadline, asked.period)
    if policy == "SCHED_DEADLINE":
        if not (
            0 < asked.runtime <= asked.deadline <= _MAX_U64 and (not asked.period or asked.deadline <= asked.period)
        ):
            problems.invalid(
                "process.scheduler: SCHED_DEADLINE needs 0 < runtime ≤ deadline ≤ period,"
                f" not {asked.runtime}, {asked.deadline}, {asked.period}"
            )
    elif any(times):
        problems.invalid(f"process.scheduler: runtime, deadline and period are for SCHED_DEADLINE, not {policy}")
