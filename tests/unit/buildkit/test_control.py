"""Calls of BuildKit's Control that need no daemon: what they leave to threads, and what they leave behind."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from grpclib.exceptions import StreamTerminatedError

from sampan.build.cache_mounts import CacheRecord
from sampan.buildkit.control import Control
from sampan.buildkit.proto import control_pb2 as control
from sampan.buildkit.statuses import Statuses


class Call:
    """A call with one message, and what was answered."""

    def __init__(self, message: Any, *, breaks_off: bool = False) -> None:
        self.message = message
        self.breaks_off = breaks_off
        self.answers: list[Any] = []
        self._stream = SimpleNamespace(wrapper=None)

    async def recv_message(self) -> Any:
        return self.message

    async def send_initial_metadata(self) -> None:
        pass

    async def send_message(self, message: Any) -> None:
        if self.breaks_off:
            raise StreamTerminatedError
        self.answers.append(message)


async def test_the_loop_goes_on_while_caches_are_measured() -> None:
    threads = []

    def size_bytes(_: str) -> int:
        threads.append(threading.current_thread())
        return 7

    one = CacheRecord(directory="d", name="/c", created_s=1.0, used_s=2.0, uses=3, in_use=False)
    caches = SimpleNamespace(all=lambda: [one], size_bytes=size_bytes)
    engine: Any = SimpleNamespace(builds=SimpleNamespace(caches=caches, kept=SimpleNamespace(all=list)))
    solves: Any = None
    call = Call(control.DiskUsageRequest())
    await Control(engine, solves).disk_usage(call)
    assert [(record.ID, record.Size) for record in call.answers[0].record] == [("d", 7)]
    assert threads != []
    assert threading.main_thread() not in threads


async def test_what_is_written_when_the_reader_has_just_left_is_read_by_nobody() -> None:
    statuses = Statuses("ref")
    statuses.begin("step")

    async def get(_: str) -> Any:
        return SimpleNamespace(statuses=statuses)

    engine: Any = None
    solves: Any = SimpleNamespace(get=get)
    with pytest.raises(StreamTerminatedError):
        await Control(engine, solves).status(Call(control.StatusRequest(Ref="ref"), breaks_off=True))
    for content in (bytes(2 << 20), b"left out"):
        statuses.write("step", content)
    statuses.close()
    assert [len(log.msg) async for response in statuses.read() for log in response.logs] == [2 << 20]
