"""From an exec's configuration to the process plan that the monitor runs: pure, refusals included."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from sampan.engine import spec_resources, spec_security
from sampan.engine.container import ContainerRecord
from sampan.engine.spec import environment
from sampan.linux import capability
from sampan.oci.runtime_spec import Box, Process, User
from sampan.runtime.launch_plan import ProcessPlan
from sampan.runtime.plan_process import plan_process


@dataclass(frozen=True, slots=True)
class ExecConfig:
    """What was asked of an exec; empty values mean the container's own, zeros the default size."""

    command: tuple[str, ...]
    user: str = ""
    environment: tuple[str, ...] = ()
    working_dir: str = ""
    privileged: bool = False
    tty: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    console_size: tuple[int, int] = (0, 0)


def exec_process(record: ContainerRecord, asked: ExecConfig) -> ProcessPlan:
    """The plan of an exec in `record`'s container. Raises InvalidArgument."""
    process, host = record.config.process, record.config.host
    security = spec_security.security_options(host.security_opt or ())
    names = spec_security.capabilities(host)
    if asked.privileged:
        names = capability.NAMES[: capability.last_capability() + 1]
    height, width = asked.console_size
    variables = dict(entry.split("=", 1) for entry in environment(record, terminal=asked.tty))
    for entry in asked.environment:
        name, separator, value = entry.partition("=")
        variables.pop(name, None)
        if separator:
            variables[name] = value
    wanted = Process(
        terminal=asked.tty,
        console_size=Box(height=height, width=width) if height and width else None,
        user=User(),
        args=asked.command,
        env=tuple(f"{name}={value}" for name, value in variables.items()),
        cwd=asked.working_dir or process.working_dir or "/",
        capabilities=spec_security.capability_sets(names),
        rlimits=spec_resources.rlimits(host.resources),
        no_new_privileges=security.no_new_privileges,
        apparmor_profile="" if security.apparmor == "unconfined" else security.apparmor,
        oom_score_adj=host.oom_score_adj,
    )
    filter_ = None if asked.privileged else spec_security.seccomp_plan(host, security, names)
    plan = plan_process(
        wanted, user_spec=asked.user or process.user, extra_groups=host.group_add or (), seccomp=filter_
    )
    return dataclasses.replace(plan, create_cwd=False)
