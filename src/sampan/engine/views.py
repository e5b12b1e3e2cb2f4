"""What containers see of the machine: who serves it, which containers get it, and what happens when it dies.

One provider serves all containers (`sampan.view`). It is started with the first container that sees itself, or when
such a one is found running, and stays as long as the daemon: an engine without containers has none. It is watched: when
it ends or answers no more there is another, and containers that run get that one's files in the place of the dead
ones. Only who comes while the very first one starts waits for it: later ones see the machine's own values when there is
none, and their own as soon as there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from dataclasses import dataclass

from sampan.engine.config import HostConfig
from sampan.engine.container import ContainerRecord
from sampan.engine.store import ContainerStore
from sampan.errors import NotImplementedHere, SampanError
from sampan.linux.process import pidfd_open
from sampan.view.client import ViewProcess
from sampan.view.files import PATHS, UPTIME
from sampan.view.lxcfs import Lxcfs
from sampan.view.provider import Provided, Provider

log = logging.getLogger("sampan.view")

MODES = ("auto", "full", "host")
_WATCH_EVERY_S = 2.0
_FIRST_PATIENCE_S = 10.0  # it takes a tenth of a second, and more on a machine that is busy
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_HAS_TIME_NAMESPACES = os.path.exists("/proc/self/ns/time")


@dataclass(frozen=True, slots=True)
class View:
    """What a start needs to know: files to lay over the kernel's, and how far the clock of its age is to be set back.

    `provided` is None when nobody serves now, `boot_ns` 0 when the container has no time namespace for its age;
    `answered` are the system calls that the monitor answers.
    """

    provided: Provided | None = None
    boot_ns: int = 0
    answered: tuple[str, ...] = ()


@dataclass(slots=True)
class Views:
    """The one provider, and its life."""

    store: ContainerStore
    directory: str
    default: str = "auto"
    _process: ViewProcess | None = None
    _provider: Provider | None = None
    _provided: Provided | None = None
    _task: asyncio.Task[None] | None = None
    _wanted: asyncio.Event | None = None
    _first: asyncio.Event | None = None
    _recovered: asyncio.Event | None = None

    def begin(self) -> None:
        """Be ready to start the provider beside everything else."""
        self._wanted, self._first, self._recovered = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._process = ViewProcess(self.directory)
        self._task = asyncio.get_running_loop().create_task(self._live())

    def recovered(self) -> None:
        """Containers that run are known from here on: they may be looked after."""
        if self._recovered is not None:
            self._recovered.set()
        for record in self._running():
            self.expect(record.config.host)

    def expect(self, host: HostConfig) -> None:
        """A container that has this will be started: have the provider by then, if it is one that sees itself."""
        if self._wanted is not None and self.has_view(host):
            self._wanted.set()

    async def close(self) -> None:
        """Leave the provider to the containers that it serves."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._process is not None:
            self._process.close()

    def has_view(self, host: HostConfig) -> bool:
        """Whether a container sees itself. One that is privileged manages the machine, and sees it, unless it says."""
        mode = host.resource_view or self.default
        return mode == "full" or (mode == "auto" and not host.privileged)

    async def of(self, record: ContainerRecord) -> View | None:
        """What a start of this container lays over; None for one that sees the machine."""
        if not self.has_view(record.config.host) or self._first is None:
            return None
        self.expect(record.config.host)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first.wait(), _FIRST_PATIENCE_S)
        ages = _HAS_TIME_NAMESPACES and not record.config.host.time_offsets
        is_full = (record.config.host.resource_view or self.default) == "full"
        return View(
            self._provided,
            time.clock_gettime_ns(time.CLOCK_BOOTTIME) if ages else 0,
            ("sysinfo", "sched_getaffinity") if is_full else ("sysinfo",),
        )

    def started(self, record: ContainerRecord, view: View | None) -> None:
        """It runs: when the provider has changed since it was asked for, this one was not there to be renewed."""
        if view is not None and self._provided is not None and view.provided is not self._provided:
            asyncio.get_running_loop().create_task(self._renew([record]))

    async def _live(self) -> None:
        assert self._wanted is not None  # noqa: S101 -- made by begin()
        await self._wanted.wait()
        pause = _FIRST_PAUSE_S
        while True:
            try:
                await self._start()
            except SampanError as error:
                self._provided = None
                self._set_first()
                if isinstance(error, NotImplementedHere):
                    log.warning("containers see the machine's values: %s", error)
                    return
                log.warning("%s; trying again in %.1f s", error, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                continue
            self._set_first()
            if self._recovered is not None:
                await self._recovered.wait()
            await self._renew(self._running())
            await self._watch()
            self._provided = None
            log.warning("what serves the containers' own values has ended: starting it again")
            pause = _FIRST_PAUSE_S  # one that died while it was starting is no reason to keep containers waiting

    async def _start(self) -> None:
        """Have someone serve: our own process if it does already, else an lxcfs that answers, else our own anew."""
        assert self._process is not None  # noqa: S101 -- made by begin()
        self._provider = self._process
        self._provided = await asyncio.to_thread(self._process.find)
        if self._provided is None:
            lxcfs = Lxcfs()
            try:
                self._provided = await asyncio.to_thread(lxcfs.start)
                self._provider = lxcfs
            except NotImplementedHere:
                self._provided = await asyncio.to_thread(self._process.start)

    async def _watch(self) -> None:
        """Return when the provider has ended, or answers no more."""
        assert self._provider is not None  # noqa: S101 -- it has just been started
        assert self._provided is not None  # noqa: S101
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        pidfd = -1
        try:
            if self._provided.pid:
                pidfd = pidfd_open(self._provided.pid)
                loop.add_reader(pidfd, ended.set)
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), _WATCH_EVERY_S)
                    return
                if self._running() and not await asyncio.to_thread(self._provider.answers):
                    return
        except ProcessLookupError:
            return
        finally:
            if pidfd >= 0:
                loop.remove_reader(pidfd)
                os.close(pidfd)

    def _running(self) -> list[ContainerRecord]:
        return [record for record in self.store.all() if record.pid and self.has_view(record.config.host)]

    async def _renew(self, records: list[ContainerRecord]) -> None:
        """Give containers that run the files of this provider, in the place of those of any other."""
        provider = self._provider
        if self._provided is None or provider is None:
            return
        by_paths: dict[tuple[str, ...], list[int]] = {}
        for record in records:
            by_paths.setdefault(_free(record, PATHS), []).append(record.pid)
        for paths, pids in by_paths.items():
            try:
                await asyncio.to_thread(provider.renew, pids, paths)
            except SampanError as error:
                log.warning("%s", error)

    def _set_first(self) -> None:
        if self._first is not None:
            self._first.set()


def paths_of(record: ContainerRecord, provided: Provided) -> tuple[str, ...]:
    """The files that are laid over in this container."""
    return _free(record, provided.paths)


def _free(record: ContainerRecord, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Those where the user has mounted nothing of their own, and asked for no other answer."""
    taken = tuple(point.destination.strip("/") for point in record.mounts)
    offset = "boottime" in (record.config.host.time_offsets or {})
    return tuple(
        path
        for path in paths
        if not any(path == place or path.startswith(f"{place}/") for place in taken) and not (offset and path == UPTIME)
    )
