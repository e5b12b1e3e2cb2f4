"""The launcher as builds need it: what no record may hold, and monitors that go from step to step."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Callable

from sampan.engine.ahead import Expectation
from sampan.engine.launching import Launcher
from sampan.engine.monitors import Listener, Monitor
from sampan.monitor import handle
from sampan.monitor.protocol import MonitorPlan

_MOST_RETURNING = 2  # one that serves a step, and one that is about to


class StepLauncher(Launcher):
    """The launcher, which also knows variables that no record may hold: secrets of steps, by container.

    A step follows a step: the next monitor is made ready as soon as one is launched, not only when no start has come
    for a while; and the monitor of a step that has ended is the next one, instead of a fork.
    """

    def __init__(self, spawn: Callable[[], tuple[int, socket.socket]], expectation: Expectation) -> None:
        super().__init__(spawn, expectation)
        self.private_environment: dict[str, tuple[str, ...]] = {}
        self._returning: list[socket.socket] = []  # of monitors that serve a step, or have

    def launch(self, plan: MonitorPlan, listener: Listener) -> Monitor:
        """Have a monitor serve `plan`, with the container's private variables in its environment."""
        more = self.private_environment.pop(plan.launch.id, None)
        if more is None:
            return super().launch(plan, listener)
        if more:
            process = plan.launch.process
            process = dataclasses.replace(process, environment=(*process.environment, *more))
            plan = dataclasses.replace(plan, launch=dataclasses.replace(plan.launch, process=process))
        monitor = super().launch(plan, listener)
        asyncio.get_running_loop().call_soon(self._prepare_next, monitor)
        return monitor

    def _prepare_next(self, monitor: Monitor) -> None:
        self._prepare()
        if len(self._returning) < _MOST_RETURNING:
            try:
                self._returning.append(monitor.come_back())
            except OSError:  # it is gone
                return

    def _new_monitor(self, launcher: socket.socket) -> socket.socket:
        for connection in tuple(self._returning):
            try:
                if not handle.waits(connection):
                    continue
            except ConnectionError:
                connection.close()
                self._returning.remove(connection)
            else:
                self._returning.remove(connection)
                return connection
        return super()._new_monitor(launcher)

    def _let_go(self) -> None:
        super()._let_go()
        self._end_returning()

    def close(self) -> None:
        """End the launcher; monitors that serve a container live on."""
        super().close()
        self._end_returning()

    def _end_returning(self) -> None:
        while self._returning:
            self._returning.pop().close()
