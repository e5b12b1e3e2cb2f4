"""Statistics over HTTP: one sample, or one a second."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from sampan.api.call import Call, encode, reply, timestamp
from sampan.api.services import Services
from sampan.cgroup import hierarchies
from sampan.cgroup.report import limits_of
from sampan.cgroup.statistics import (
    BlockIoEntry,
    BlockIoStatistics,
    CpuStatistics,
    MemoryStatistics,
    Pressure,
    PressureLine,
    Statistics,
)
from sampan.engine.container import ContainerRecord
from sampan.engine.not_running import not_running
from sampan.engine.spec import cgroup_path
from sampan.engine.stats import Sample, memory_limit_bytes, sample
from sampan.linux.shaping import Shaped

INTERVAL_S = 1.0


async def stats(call: Call, services: Services) -> web.StreamResponse:
    """GET /containers/{name}/stats: `stream` (the default), one sample primed by another, or `one-shot`."""
    record = services.store.find(call.parameters["name"])
    parent = services.lifecycle.settings.cgroup_parent
    if not call.flag("stream", default=True):
        before = Sample()
        if not call.flag("one-shot") and record.running is not None:
            before = sample(record, parent)
            await asyncio.sleep(INTERVAL_S)
        current = services.store.find(record.id)
        return reply({**document(current, sample(current, parent), before), **await rates(current, services)})

    async def pieces() -> AsyncIterator[bytes]:
        before = Sample()
        while (current := services.store.get(record.id)) is not None:
            now = sample(current, parent)
            yield encode({**document(current, now, before), **await rates(current, services)})
            before = now
            await asyncio.sleep(INTERVAL_S)

    return await call.stream(pieces())


async def limits(call: Call, services: Services) -> web.StreamResponse:
    """GET /containers/{name}/limits, beyond Docker: each limit with its file, what is used and what was refused."""
    record = services.store.find(call.parameters["name"])
    if record.running is None:
        raise not_running(record)
    lines = limits_of(cgroup_path(record, services.lifecycle.settings.cgroup_parent), hierarchies())
    return reply(
        [
            {
                "Name": line.name,
                "File": line.file,
                "Value": line.value,
                "Unit": line.unit,
                "Use": line.use,
                "Refused": line.refused,
                "Refusal": line.refusal,
            }
            for line in lines
        ]
    )


def document(record: ContainerRecord, now: Sample, before: Sample) -> dict[str, Any]:
    """Docker's document, with the sample before it; beyond Docker, `pressure_stats` where the kernel tells it."""
    statistics = now.cgroup or Statistics()
    shown: dict[str, Any] = {
        "read": timestamp(now.at_ns),
        "preread": timestamp(before.at_ns),
        "pids_stats": _pids(statistics),
        "blkio_stats": _block_io(statistics.block_io),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(now),
        "precpu_stats": _cpu(before),
        "memory_stats": _memory(statistics),
        "name": f"/{record.name}",
        "id": record.id,
    }
    pressures = {name: part.pressure for name, part in _parts(statistics).items() if part and part.pressure}
    if pressures:
        shown["pressure_stats"] = {name: _pressure(found) for name, found in pressures.items() if found}
    if now.networks:
        shown["networks"] = {
            name: {f"{way}_{what}": counters.get(f"{way}_{what}", 0) for way in ("rx", "tx") for what in _COUNTERS}
            for name, counters in now.networks.items()
        }
    return shown


async def rates(record: ContainerRecord, services: Services) -> dict[str, Any]:
    """Beyond Docker: what a limit of the network rate did, for each interface and direction; what passed a class."""
    found = await services.connections.traffic(record)
    shown = {
        each.interface: {name: _shaped(one) for name, one in (("in", each.inward), ("out", each.outward)) if one}
        for each in found
    }
    classes = [
        {"link": each.link, "host": each.of_host, **dataclasses.asdict(each.passed)}
        for each in await services.connections.classes(record)
    ]
    return ({"network_rate_stats": shown} if shown else {}) | ({"network_class_stats": classes} if classes else {})


def _shaped(one: Shaped) -> dict[str, int]:
    return {
        "rate": one.bits_per_second,
        "bytes": one.bytes,
        "packets": one.packets,
        "dropped": one.dropped,
        "delayed": one.delayed,
        "waiting_bytes": one.waiting_bytes,
    }


_COUNTERS = ("bytes", "packets", "errors", "dropped")


def _parts(statistics: Statistics) -> dict[str, CpuStatistics | MemoryStatistics | BlockIoStatistics | None]:
    return {"cpu": statistics.cpu, "memory": statistics.memory, "io": statistics.block_io}


def _pressure(found: Pressure) -> dict[str, dict[str, float]]:
    """How long tasks have waited, in per cent of the last 10, 60 and 300 seconds and in microseconds of all."""

    def line(each: PressureLine) -> dict[str, float]:
        averages = {"avg10": each.average_10_s, "avg60": each.average_60_s, "avg300": each.average_300_s}
        return {**averages, "total": each.total_us}

    return {"some": line(found.some), "full": line(found.full)}


def _pids(statistics: Statistics) -> dict[str, int]:
    if statistics.pids is None:
        return {}
    limit = statistics.pids.limit
    return {"current": statistics.pids.current, "limit": 2**64 - 1 if limit is None else limit}


def _cpu(sampled: Sample) -> dict[str, Any]:
    cpu = sampled.cgroup.cpu if sampled.cgroup else None
    usage: dict[str, Any] = {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}
    throttling = {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
    if cpu is None:
        return {"cpu_usage": usage, "throttling_data": throttling}
    usage = {"total_usage": cpu.total_ns, "usage_in_kernelmode": cpu.system_ns, "usage_in_usermode": cpu.user_ns}
    if cpu.per_cpu_ns:
        usage["percpu_usage"] = cpu.per_cpu_ns
    return {
        "cpu_usage": usage,
        "system_cpu_usage": sampled.system_cpu_ns,
        "online_cpus": sampled.online_cpus,
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled_ns,
        },
    }


def _memory(statistics: Statistics) -> dict[str, Any]:
    memory: MemoryStatistics | None = statistics.memory
    if memory is None:
        return {}
    shown: dict[str, Any] = {"usage": memory.memory.usage_bytes}
    if memory.memory.peak_bytes is not None:
        shown["max_usage"] = memory.memory.peak_bytes
    return {**shown, "stats": dict(memory.stat), "limit": memory_limit_bytes(statistics)}


def _block_io(statistics: BlockIoStatistics | None) -> dict[str, Any]:
    if statistics is None:
        return {}
    empty = ("io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive", "io_merged_recursive")
    return {
        "io_service_bytes_recursive": _entries(statistics.service_bytes),
        "io_serviced_recursive": _entries(statistics.serviced),
        **dict.fromkeys((*empty, "io_time_recursive", "sectors_recursive")),
    }


def _entries(entries: tuple[BlockIoEntry, ...]) -> list[dict[str, Any]] | None:
    shown = [
        {"major": entry.major, "minor": entry.minor, "op": entry.operation, "value": entry.value} for entry in entries
    ]
    return shown or None
