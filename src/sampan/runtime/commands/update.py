"""`update`: new limits for a running container's cgroup."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import msgspec

from sampan.cgroup import open_cgroup
from sampan.errors import Conflict, InvalidArgument, NotImplementedHere
from sampan.oci.runtime_documents import decode_resources
from sampan.oci.runtime_resources import BlockIo, Cpu, Memory, Pids, Resources
from sampan.runtime.commands.options import NUMBER, VALUE, Option, Words
from sampan.runtime.commands.verb import Command, Verb, container_id
from sampan.runtime.plan_resources import plan_update
from sampan.runtime.state import STOPPED

OPTIONS = (
    Option("--resources -r", VALUE, "file with linux.resources as JSON, - for standard input"),
    Option("--blkio-weight", NUMBER, "weight of block input and output, 10 to 1000"),
    Option("--cpu-period", NUMBER, "CPU period in microseconds"),
    Option("--cpu-quota", NUMBER, "CPU time in a period, in microseconds; -1 for no limit"),
    Option("--cpu-burst", NUMBER, "CPU time that may be saved up, in microseconds"),
    Option("--cpu-share", NUMBER, "relative share of CPU time"),
    Option("--cpu-rt-period", NUMBER, "realtime period in microseconds"),
    Option("--cpu-rt-runtime", NUMBER, "realtime in a period, in microseconds"),
    Option("--cpu-idle", NUMBER, "1 for SCHED_IDLE"),
    Option("--cpuset-cpus", VALUE, "CPUs to use"),
    Option("--cpuset-mems", VALUE, "memory nodes to use"),
    Option("--memory", VALUE, "memory limit in bytes, or with a unit; -1 for none"),
    Option("--memory-reservation", VALUE, "memory soft limit"),
    Option("--memory-swap", VALUE, "memory plus swap; -1 for no limit"),
    Option("--kernel-memory", VALUE, "kernel memory limit"),
    Option("--kernel-memory-tcp", VALUE, "kernel memory limit for tcp buffers"),
    Option("--pids-limit", NUMBER, "how many tasks there may be; -1 for no limit"),
    Option("--l3-cache-schema", VALUE, "Intel RDT (not supported)"),
    Option("--mem-bw-schema", VALUE, "Intel RDT (not supported)"),
)
_UNITS = {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}


def update(command: Command, words: Words) -> int:
    """Change what the options name, and nothing else."""
    name = container_id(words)
    if words.text("l3_cache_schema") or words.text("mem_bw_schema"):
        raise NotImplementedHere(
            "Intel RDT (Resource Director Technology) is not supported",
            remedy="leave --l3-cache-schema and --mem-bw-schema out",
        )
    path = words.text("resources")
    limits = plan_update(decode_resources(_read(path), path) if path else _resources(words))
    with command.containers.locked(name):
        state = command.containers.load(name)
        if command.containers.status(state) == STOPPED:
            raise Conflict(f"container not running: {name} is stopped")
        with closing(open_cgroup(state.cgroup_path)) as cgroup:
            cgroup.apply(limits)
    return 0


def _read(path: str) -> bytes:
    with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
        return file.read()


def _resources(words: Words) -> Resources:
    """The options as the document that they stand for."""
    swap = byte_count(words, "memory_swap")
    memory = byte_count(words, "memory")
    if memory == -1 and swap is None:
        swap = -1  # no limit for memory is none for memory plus swap
    return Resources(
        memory=Memory(
            limit=memory,
            swap=swap,
            reservation=byte_count(words, "memory_reservation"),
            kernel=byte_count(words, "kernel_memory"),
            kernel_tcp=byte_count(words, "kernel_memory_tcp"),
        ),
        cpu=msgspec.convert(_given(words, _CPU), Cpu),
        block_io=BlockIo(weight=words.number("blkio_weight") or None),
        pids=Pids(limit=words.number("pids_limit")) if words.given("pids_limit") else None,
    )


_CPU = {
    "cpu_period": "period",
    "cpu_quota": "quota",
    "cpu_burst": "burst",
    "cpu_share": "shares",
    "cpu_rt_period": "realtimePeriod",
    "cpu_rt_runtime": "realtimeRuntime",
    "cpu_idle": "idle",
}


def _given(words: Words, names: dict[str, str]) -> dict[str, Any]:
    numbers: dict[str, Any] = {name: words.number(key) for key, name in names.items() if words.given(key)}
    return numbers | {"cpus": words.text("cpuset_cpus"), "mems": words.text("cpuset_mems")}


def byte_count(words: Words, key: str) -> int | None:
    """The bytes of an option: a number, or one with a unit of powers of 1024 ("50M", "1.5g", "64KiB"), or None."""
    text = words.text(key)
    if not text:
        return None
    number = text.lower().removesuffix("b").removesuffix("i")
    shift = 0
    if number[-1:] in _UNITS:
        shift = _UNITS[number[-1]]
        number = number[:-1]
    try:
        return int(number) << shift if not shift or number.isdecimal() else int(float(number) * (1 << shift))
    except (ValueError, OverflowError):
        raise InvalidArgument(f"invalid size {text!r} for --{key.replace('_', '-')}", remedy="as in 50M") from None


VERBS = {"update": Verb(update, "[command options] <container-id>", OPTIONS)}
