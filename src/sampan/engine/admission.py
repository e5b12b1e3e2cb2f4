"""What is refused at create, before anything is taken: every check of a configuration, all problems told together.

Pure, but for the number of the host's CPUs, its memory nodes and its clocks. What only the kernel can refuse is refused
at start, by runtime.plan and by the cgroup.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator

from sampan.cgroup.name import check_path
from sampan.engine import log_options, spec_resources, spec_security
from sampan.engine.config import ContainerConfig, Healthcheck, HostConfig, ProcessConfig, Resources
from sampan.engine.health import ACTIONS
from sampan.engine.mount_points import clean_target
from sampan.engine.spec import time_offsets
from sampan.errors import InvalidArgument, SampanError
from sampan.linux.signals import signal_number
from sampan.network.addresses import is_address

MINIMUM_MEMORY_BYTES = 6 * 1024 * 1024
LONGEST_HOSTNAME = 64  # __NEW_UTS_LEN, uname(2)
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_LIST = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*")
_MEMORY_NODES = "/sys/devices/system/node/online"
_MILLISECOND_NS = 1_000_000
_NANO = 1_000_000_000
_LATEST_S = 2**63 // _NANO // 2  # KTIME_SEC_MAX / 2 in kernel/time/namespace.c
_RUNTIMES = frozenset({"", "runc", "io.containerd.runc.v2", "sampan"})  # all of them names of the one there is


def admit(config: ContainerConfig) -> None:
    """Raise InvalidArgument naming every problem, a line each; or the one error of another kind that came first."""
    found = list(_problems(config))
    if len(found) == 1:
        raise found[0]
    if found:
        text = "\n".join(str(problem) for problem in found)
        raise InvalidArgument(text, remedy="; ".join(dict.fromkeys(p.remedy for p in found if p.remedy)))


def _problems(config: ContainerConfig) -> Iterator[SampanError]:
    yield from _of_process(config.process)
    yield from _of_restart(config.host)
    yield from _of_host(config.host)
    yield from _of_cpu(config.host.resources)
    yield from _of_memory(config.host.resources)
    yield from _of_view(config.host)
    checks: tuple[Callable[[], object], ...] = (
        lambda: log_options.check_log(config.host.log),
        lambda: spec_security.refuse_labels(spec_security.security_options(config.host.security_opt or ())),
        lambda: spec_security.check_capabilities(config.host),
        lambda: [spec_resources.device_rule(text) for text in config.host.resources.device_cgroup_rules or ()],
        lambda: _check_clocks(config.host),
    )
    for check in checks:
        try:
            check()
        except SampanError as problem:
            yield problem


def refuse_together(asked: ContainerConfig) -> None:
    """Refuse words of the user that exclude each other, whatever the image adds to them (moby, runconfig)."""
    host, process = asked.host, asked.process
    if host.uts_mode == "host" and process.hostname:
        raise InvalidArgument(
            "conflicting options: hostname and the UTS mode", remedy="leave --hostname or --uts host away"
        )
    is_published = host.port_bindings or host.publish_all_ports  # which is refused as that
    if host.network_mode.startswith("container:") and process.exposed_ports and not is_published:
        raise InvalidArgument(
            "conflicting options: port exposing and the container type network mode",
            remedy="expose the port at the container whose network it is",
        )


def warnings(host: HostConfig) -> list[str]:
    """What a user ought to know of a container that is made all the same, in moby's words."""
    if host.resources.oom_kill_disable and not host.resources.memory_bytes:
        text = "OOM killer is disabled for the container, but no memory limit is set"
        return [f"{text}, this can result in the system running out of resources."]
    return []


def check_name(name: str, prefix: str = "") -> None:
    """Refuse a container name that Docker refuses."""
    if not NAME.fullmatch(name):
        raise InvalidArgument(
            f"{prefix}Invalid container name ({'/' if prefix else ''}{name}), "
            "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            remedy="begin with a letter or digit, at least two characters",
        )


def _of_process(process: ProcessConfig) -> Iterator[SampanError]:
    if process.working_dir and not process.working_dir.startswith("/"):
        yield InvalidArgument(
            f"the working directory '{process.working_dir}' is invalid, it needs to be an absolute path",
            remedy="begin it with /",
        )
    if process.stop_signal and not signal_number(process.stop_signal):
        yield no_signal(process.stop_signal)
    for entry in process.environment or ():
        if not entry.split("=", 1)[0]:
            yield InvalidArgument(f"invalid environment variable: {entry}", remedy="as in NAME=value")
    if process.stop_timeout_s is not None and process.stop_timeout_s < -1:
        yield InvalidArgument(f"invalid stop timeout {process.stop_timeout_s}", remedy="-1 waits for ever")
    if len(process.hostname.encode()) > LONGEST_HOSTNAME:
        yield InvalidArgument(
            f"invalid hostname format: {process.hostname}", remedy=f"at most {LONGEST_HOSTNAME} bytes"
        )
    if process.healthcheck:
        yield from _of_health(process.healthcheck)


def _of_health(check: Healthcheck) -> Iterator[SampanError]:
    durations = {
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "StartInterval": check.start_interval_ns,
    }
    for name, value in durations.items():
        if value and value < _MILLISECOND_NS:
            yield InvalidArgument(f"{name} in Healthcheck cannot be less than 1ms", remedy="write it as 500ms or 30s")
    if check.retries < 0:
        yield InvalidArgument("Retries in Healthcheck cannot be negative", remedy="0 is the default, 3")
    if check.test and check.test[0] not in {"NONE", "CMD", "CMD-SHELL"}:
        yield InvalidArgument(f"Unknown type {check.test[0]!r} in Healthcheck", remedy="use NONE, CMD or CMD-SHELL")


def _of_restart(host: HostConfig) -> Iterator[SampanError]:
    policy = host.restart_policy
    if policy.name not in {"", "no", "always", "on-failure", "unless-stopped"}:
        yield InvalidArgument(
            f"invalid restart policy: unknown policy '{policy.name}'; use one of 'no', 'always', 'on-failure', "
            "or 'unless-stopped'",
            remedy="as in --restart on-failure:3",
        )
    if policy.maximum_retries < 0:
        yield InvalidArgument(
            "invalid restart policy: maximum retry count cannot be negative", remedy="0, or no count, is without end"
        )
    elif policy.maximum_retries and policy.name != "on-failure":
        yield InvalidArgument(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
            remedy="use --restart on-failure:COUNT, or leave the count out",
        )
    if host.auto_remove and policy.name not in {"", "no"}:
        yield InvalidArgument("can't create 'AutoRemove' container with restart policy", remedy="drop one of the two")


def _of_host(host: HostConfig) -> Iterator[SampanError]:
    if host.shm_size_bytes < 0:
        yield InvalidArgument("SHM size can not be less than 0", remedy="0 is the default, 64m")
    if not -1000 <= host.oom_score_adj <= 1000:
        yield InvalidArgument(
            f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]", remedy="choose one inside"
        )
    if host.health_action not in ACTIONS:
        yield InvalidArgument(f"invalid health action: {host.health_action}", remedy="use none, restart, stop or kill")
    for entry in host.extra_hosts or ():
        name, _, address = entry.partition(":")
        if not name or not address:
            yield InvalidArgument(f'bad format for add-host: "{entry}"', remedy="as in name:10.0.0.1")
        elif address != "host-gateway" and not is_address(address.strip("[]")):
            yield InvalidArgument(f'invalid IP address in add-host: "{address}"', remedy="as in name:10.0.0.1")
    if parent := host.resources.cgroup_parent.strip("/"):
        try:
            check_path(f"/{parent}")
        except InvalidArgument as error:
            yield error
    yield from _of_modes(host)
    yield from _of_platform(host)


def _of_platform(host: HostConfig) -> Iterator[SampanError]:
    if host.runtime not in _RUNTIMES:
        yield InvalidArgument(
            f"unknown or invalid runtime name: {host.runtime}", remedy="leave --runtime away: there is one runtime here"
        )
    if host.isolation.lower() not in {"", "default"}:
        yield InvalidArgument(
            f"Invalid isolation: \"{host.isolation}\" - linux only supports 'default'", remedy="leave --isolation away"
        )
    for target in host.tmpfs or {}:
        if not target.startswith("/"):
            yield InvalidArgument(
                f"invalid mount path: '{target}' mount path must be absolute", remedy="begin the path with /"
            )
        elif clean_target(target) == "/":
            yield InvalidArgument(
                "invalid specification: destination can't be '/'", remedy="mount at a directory below /"
            )


def _of_modes(host: HostConfig) -> Iterator[SampanError]:
    modes = (
        ("IPC", host.ipc_mode, {"", "none", "host", "private", "shareable"}),
        ("PID", host.pid_mode, {"", "host"}),
        ("UTS", host.uts_mode, {"", "host"}),
        ("USER", host.userns_mode, {"", "host"}),
        ("CGROUP", host.cgroupns_mode, {"", "host", "private"}),
    )
    for name, mode, known in modes:
        is_join = name != "CGROUP" and mode.startswith("container:") and len(mode) > len("container:")
        if mode not in known and not is_join:
            yield InvalidArgument(
                f"invalid {name} mode: {mode}", remedy="use " + ", ".join(sorted(known - {""})) + " or container:NAME"
            )


def _of_cpu(asked: Resources) -> Iterator[SampanError]:
    cpus = os.cpu_count() or 1
    if asked.nano_cpus and (asked.cpu_period_us or asked.cpu_quota_us):
        yield InvalidArgument(
            "Conflicting options: Nano CPUs and CPU Period cannot both be set"
            if asked.cpu_period_us
            else "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
            remedy="leave --cpus out, or --cpu-period and --cpu-quota",
        )
    if asked.nano_cpus and not 0.01 * _NANO <= asked.nano_cpus <= cpus * _NANO:
        yield InvalidArgument(
            f"Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available",
            remedy=f"ask for --cpus between 0.01 and {cpus}",
        )
    if asked.cpu_shares < 0:
        yield InvalidArgument(
            f"invalid CPU shares ({asked.cpu_shares}): value must be a positive integer", remedy="the default is 1024"
        )
    if asked.cpu_period_us and not 1000 <= asked.cpu_period_us <= 1_000_000:
        yield InvalidArgument(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
            remedy="--cpus says quota and period at once",
        )
    if 0 < asked.cpu_quota_us < 1000:
        yield InvalidArgument(
            "CPU cfs quota can not be less than 1ms (i.e. 1000)", remedy="--cpus says quota and period at once"
        )
    if asked.cpuset_cpus:
        yield from _of_cpuset("cpuset cpus", asked.cpuset_cpus, "CPUs", f"0-{cpus - 1}")
    if asked.cpuset_mems:
        yield from _of_cpuset("cpuset mems", asked.cpuset_mems, "memory nodes", _memory_nodes())


def _of_cpuset(name: str, text: str, members: str, available: str) -> Iterator[SampanError]:
    asked, there = _ranges(text), _ranges(available)
    if not asked:
        yield InvalidArgument(f"Invalid value {text} for {name}", remedy="as in 0-3 or 0,2")
    elif not all(any(first <= low and high <= last for first, last in there) for low, high in asked):
        yield InvalidArgument(
            f"Requested {members} are not available - requested {text}, available: {available}",
            remedy=f"choose among {available}",
        )


def _ranges(text: str) -> list[tuple[int, int]]:
    """First and last of each range in a list of cpuset(7), "0-3,5"; none when it is no such list."""
    if not _LIST.fullmatch(text):
        return []
    parts = [part.partition("-") for part in text.split(",")]
    found = [(int(low), int(high or low)) for low, _, high in parts]
    return found if all(low <= high for low, high in found) else []


def _memory_nodes() -> str:
    """As the kernel lists them; one that knows only one kind of memory has no list."""
    try:
        with open(_MEMORY_NODES, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return "0"


def _check_clocks(host: HostConfig) -> None:
    """time_namespaces(7): no clock may be before its beginning, or so late that it could overflow (146 years)."""
    for name, offset in time_offsets(host.time_offsets or {}).items():
        clock = time.CLOCK_BOOTTIME if name == "boottime" else time.CLOCK_MONOTONIC
        now = time.clock_gettime(clock)
        if not 0 <= now + offset.secs < _LATEST_S:
            raise InvalidArgument(
                f"invalid time offset of {name}: {offset.secs} s with the {now:.0f} s that the clock shows",
                remedy=f"choose from -{int(now)}s to {_LATEST_S}s",
            )


def _of_view(host: HostConfig) -> Iterator[SampanError]:
    if host.resource_view not in {"", "auto", "full", "host"}:
        yield InvalidArgument(
            f"invalid resource view: {host.resource_view!r}", remedy="use auto, full or host, or leave it out"
        )


def _of_memory(asked: Resources) -> Iterator[SampanError]:
    memory, swap, reservation = asked.memory_bytes, asked.memory_swap_bytes, asked.memory_reservation_bytes
    if 0 < memory < MINIMUM_MEMORY_BYTES:
        yield InvalidArgument("Minimum memory limit allowed is 6MB", remedy="ask for -m 6m or more")
    if memory < 0:
        yield InvalidArgument(f"invalid memory limit {memory}", remedy="leave -m away for no limit")
    if memory and 0 < swap < memory:
        yield InvalidArgument(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
            remedy="--memory-swap counts memory and swap together: as much as -m for no swap, or -1 for any amount",
        )
    if swap > 0 and not memory:
        yield InvalidArgument(
            "You should always set the Memory limit when using Memoryswap limit, see usage", remedy="add -m"
        )
    if reservation and memory and memory < reservation:
        yield InvalidArgument(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
            remedy="ask for a --memory-reservation of at most -m",
        )
    if asked.memory_swappiness is not None and not -1 <= asked.memory_swappiness <= 100:
        yield InvalidArgument(
            f"Invalid value: {asked.memory_swappiness}, valid memory swappiness range is 0-100", remedy="choose 0-100"
        )
    if asked.blkio_weight and not 10 <= asked.blkio_weight <= 1000:
        yield InvalidArgument("Range of blkio weight is from 10 to 1000", remedy="choose 10 to 1000")


def no_signal(text: str) -> InvalidArgument:
    """What is said of a text that means no signal."""
    return InvalidArgument(f"invalid signal: {text[:80]}", remedy="`kill -l` lists the names")
