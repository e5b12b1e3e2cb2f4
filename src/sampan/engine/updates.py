"""Changing what a container may use, and its restart policy, whether it runs or not."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from sampan.cgroup import Cgroup, Limits, open_cgroup
from sampan.engine import admission
from sampan.engine.announcer import Announcer
from sampan.engine.config import ContainerConfig, HostConfig, Resources, RestartPolicy, ThrottledDevice, WeightedDevice
from sampan.engine.container import ContainerRecord, Dead, Removing
from sampan.engine.spec import cgroup_path
from sampan.engine.spec_resources import runtime_resources
from sampan.engine.store import ContainerStore
from sampan.engine.waiting import Locks
from sampan.errors import Conflict, InvalidArgument, SampanError, SystemFailure, reason_of
from sampan.runtime.plan_resources import plan_update

_RATES = frozenset({"blkio_read_bps", "blkio_write_bps", "blkio_read_iops", "blkio_write_iops"})
_BY_DEVICE = _RATES | {"blkio_weight_devices"}


@dataclass(frozen=True, slots=True)
class Updates:
    """`update` over the container records."""

    store: ContainerStore
    announcer: Announcer
    locks: Locks
    cgroup_parent: str

    async def update(self, reference: str, asked: Resources, policy: RestartPolicy | None) -> ContainerRecord:
        """Change what `asked` says (its zero and None fields change nothing); a running container's cgroup at once.

        Of rates and weights of devices those of the devices that it names; a rate of 0 lifts one.
        Raises InvalidArgument for a value that cannot be; what the kernel had taken by then is taken back.
        """
        container_id = self.store.find(reference).id
        async with self.locks.of(container_id):
            record = self.store.find(container_id)
            _refuse(record, policy)
            host = record.config.host
            changed = dataclasses.replace(
                host, resources=merged(host.resources, asked), restart_policy=policy or host.restart_policy
            )
            updated = dataclasses.replace(record, config=dataclasses.replace(record.config, host=changed))
            admission.admit(_as_asked(updated.config, asked))
            if record.running is not None:
                self._apply(updated, changed, host)
            updated = self.store.save(_without_lifted(updated))
        self.announcer.container(updated, "update")
        return updated

    def _apply(self, record: ContainerRecord, host: HostConfig, before: HostConfig) -> None:
        limits = _limits(host)
        cgroup = open_cgroup(cgroup_path(record, self.cgroup_parent))
        try:
            with ExitStack() as undo:
                undo.callback(_restore, cgroup, before)
                cgroup.apply(limits)
                undo.pop_all()
        except OSError as error:
            raise SystemFailure(
                f"Cannot update container {record.id}: {reason_of(error)}",
                remedy="see `sampan stats` for what it uses now",
            ) from error
        finally:
            cgroup.close()


def _limits(host: HostConfig) -> Limits:
    """All that is asked of the group but for its devices."""
    return plan_update(msgspec.structs.replace(runtime_resources(host, ()), devices=()))


def _restore(cgroup: Cgroup, before: HostConfig) -> None:
    """What was asked of the group earlier; a limit that it did not have then stays."""
    with suppress(OSError, SampanError):
        cgroup.apply(_limits(before))


def merged(present: Resources, asked: Resources) -> Resources:
    """`present` with what `asked` says; no limit of processes, 0 or less, is 0.

    Raises InvalidArgument, as Docker does, for more memory than the swap limit and for processor time in other words
    than it has been given in.
    """
    _refuse_other_words(present, asked)
    default = Resources()
    said = {
        field.name: getattr(asked, field.name)
        for field in dataclasses.fields(Resources)
        if getattr(asked, field.name) not in (getattr(default, field.name), (), None)
    }
    for name in _BY_DEVICE & said.keys():
        said[name] = _by_device(getattr(present, name) or (), said[name])
    if asked.pids_limit is not None:
        said["pids_limit"] = max(asked.pids_limit, 0)
    if asked.nano_cpus and present.cpu_quota_us < 0:  # a quota that was lifted is none
        said.setdefault("cpu_quota_us", 0)
    elif asked.cpu_quota_us < 0 and not asked.nano_cpus:
        said["nano_cpus"] = 0
    result = dataclasses.replace(present, **said)
    if asked.memory_bytes and not asked.memory_swap_bytes and 0 < result.memory_swap_bytes < result.memory_bytes:
        raise InvalidArgument(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            remedy="pass --memory-swap too",
        )
    return result


def _refuse_other_words(present: Resources, asked: Resources) -> None:
    if asked.nano_cpus and (asked.cpu_period_us or asked.cpu_quota_us):
        return  # which admission refuses
    has_given = {
        "CPU Period": (present.cpu_period_us > 0, asked.cpu_period_us > 0),
        "CPU Quota": (present.cpu_quota_us > 0, asked.cpu_quota_us > 0),
    }
    for name, (was_given, is_asked) in has_given.items():
        if asked.nano_cpus > 0 and was_given:
            raise InvalidArgument(
                f"Conflicting options: Nano CPUs cannot be updated as {name} has already been set",
                remedy="pass --cpu-period and --cpu-quota",
            )
        if present.nano_cpus > 0 and is_asked:
            raise InvalidArgument(
                f"Conflicting options: {name} cannot be updated as NanoCPUs has already been set",
                remedy="pass --cpus, or lift it first with --cpu-quota -1",
            )


def _as_asked(config: ContainerConfig, asked: Resources) -> ContainerConfig:
    """`config` for admission: a reservation is held against the limit that comes with it, no older one."""
    reservation_bytes = asked.memory_reservation_bytes if asked.memory_bytes else 0
    resources = dataclasses.replace(config.host.resources, memory_reservation_bytes=reservation_bytes)
    return dataclasses.replace(config, host=dataclasses.replace(config.host, resources=resources))


def _by_device[Entry: ThrottledDevice | WeightedDevice](
    present: tuple[Entry, ...], asked: tuple[Entry, ...]
) -> tuple[Entry, ...]:
    named = {one.path for one in asked}
    return (*(one for one in present if one.path not in named), *asked)


def _without_lifted(record: ContainerRecord) -> ContainerRecord:
    """The record without the rates of nought, which were to be written once."""
    host = record.config.host
    kept: dict[str, Any] = {
        name: tuple(one for one in getattr(host.resources, name) if one.rate) or None
        for name in _RATES
        if getattr(host.resources, name)
    }
    if not kept:
        return record
    resources = dataclasses.replace(host.resources, **kept)
    config = dataclasses.replace(record.config, host=dataclasses.replace(host, resources=resources))
    return dataclasses.replace(record, config=config)


def _refuse(record: ContainerRecord, policy: RestartPolicy | None) -> None:
    match record.state:
        case Removing() | Dead():
            raise Conflict(
                f'Cannot update container {record.id}: Container is marked for removal and cannot be "update".',
                remedy="update another one",
            )
        case _:
            pass
    if policy is not None and record.config.host.auto_remove and policy.name not in {"", "no"}:
        raise InvalidArgument(
            "Restart policy cannot be updated because AutoRemove is enabled for the container",
            remedy="run it without --rm",
        )
