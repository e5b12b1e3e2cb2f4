"""The engine's end of the launcher, on the event loop: it is kept alive, and has one monitor prepared.

What the prepared one makes ready for the next container, and under which id, is `ahead`'s matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable

from sampan.engine.ahead import Expectation
from sampan.engine.monitors import Listener, Monitor
from sampan.errors import SystemFailure, Unavailable, reason_of
from sampan.monitor import handle
from sampan.monitor.protocol import MonitorPlan

STEADY_S = 1.0  # a launcher that lived for less is not replaced before it is needed

# How long after a start the next monitor is prepared: when that start, and others like it, have got the processors.
_PREPARE_AFTER_S = 0.02
# How long what was made for the next container is kept: its first process is as old as that for ps(1).
_EXPECT_FOR_S = 2.0
_LEAVE_PATIENCE_S = 10.0
_END_PATIENCE_S = 5.0


class Launcher:
    """The warm process that forks monitors, kept alive by us."""

    def __init__(self, spawn: Callable[[], tuple[int, socket.socket]], expectation: Expectation) -> None:
        self._spawn = spawn
        self._expectation = expectation
        self._connection: socket.socket | None = None
        self._pid = 0
        self._spawned_at_s = 0.0
        self._prepared: socket.socket | None = None  # the connection of a monitor that waits for a plan
        self._due: asyncio.TimerHandle | None = None
        self._kept: asyncio.TimerHandle | None = None
        self._leaving: dict[str, socket.socket] = {}  # of monitors that were let go, by the id they had expected

    def launch(self, plan: MonitorPlan, listener: Listener) -> Monitor:
        """Have a monitor serve `plan`, a prepared one if there is one; its `ready` tells how that went.

        Raises SystemFailure.
        """
        connection = self._take_prepared(plan.launch.id)
        self._expectation.learn(plan.launch)
        self._prepare_later()
        if connection is not None:
            try:
                handle.launch_prepared(connection, plan)
            except OSError:  # somebody killed it: another is forked
                connection.close()
            else:
                return Monitor(plan.launch.id, connection, listener)
        for attempt in range(2):
            try:
                return Monitor(plan.launch.id, handle.launch(self.warm(), plan), listener)
            except BlockingIOError as error:
                raise Unavailable("too many starts at once", remedy="try again in a moment") from error
            except OSError as error:
                self._end()
                if attempt:
                    raise SystemFailure(
                        f"the launcher cannot be reached: {reason_of(error)}", remedy="see the log"
                    ) from error
        raise AssertionError

    def warm(self) -> socket.socket:
        """The connection to the launcher, which is spawned when there is none."""
        if self._connection is None:
            self._pid, self._connection = self._spawn()
            self._spawned_at_s = time.monotonic()
            self._connection.settimeout(0)
            asyncio.get_running_loop().add_reader(self._connection, self._receive)
        return self._connection

    def _take_prepared(self, container_id: str) -> socket.socket | None:
        """The monitor that is to serve this container, unless it waits for another one that exists."""
        self._await_leaving(container_id)
        if self._prepared is None or self._expectation.is_for_another(container_id):
            return None
        if self._expectation.expected == container_id:
            self._expectation.come()
        else:
            self._expectation.give_up()
        connection, self._prepared = self._prepared, None
        return connection

    def new_id(self) -> str:
        """An id for a new container: the one that the prepared monitor makes ready, if there is one."""
        return self._expectation.claim()

    def created(self, container_id: str) -> None:
        """A container was created and is likely to be started next: a monitor can begin with it."""
        if not self._expectation.expected:
            self._prepare(container_id)

    def _prepare_later(self) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = asyncio.get_running_loop().call_later(_PREPARE_AFTER_S, self._prepare)

    def _prepare(self, container_id: str = "") -> None:
        """Have a monitor wait for this container, or for the next."""
        self._expectation.tidy(unless=self._leaving)
        if self._connection is None:
            return
        try:
            if self._prepared is None:
                self._prepared = self._new_monitor(self._connection)
                self._keep()
            model = self._expectation.draw(container_id)
            if model is not None:
                handle.expect(self._prepared, model)
                self._keep()
        except OSError:  # all of the next start is made when it comes
            self._expectation.give_up()

    def _new_monitor(self, launcher: socket.socket) -> socket.socket:
        """One that waits for its plan, or will in a moment. OSError when the launcher is gone."""
        return handle.prepare(launcher)

    def _keep(self) -> None:
        if self._kept is not None:
            self._kept.cancel()
        self._kept = asyncio.get_running_loop().call_later(_EXPECT_FOR_S, self._let_go)

    def _let_go(self) -> None:
        """Nobody came: at rest there is the launcher alone."""
        expected, connection = self._expectation.expected, self._prepared
        if connection is None:
            return
        self._prepared = None
        if not expected:
            connection.close()
            return
        self._expectation.give_up()
        self._leaving[expected] = connection
        with contextlib.suppress(OSError):  # it is gone already
            connection.shutdown(socket.SHUT_WR)
        asyncio.get_running_loop().add_reader(connection, self._left, expected)

    def _left(self, container_id: str) -> None:
        """The monitor that was let go has given back what it had made, and left."""
        self._stop_listening(container_id)
        self._expectation.tidy(unless=self._leaving)

    def _await_leaving(self, container_id: str) -> None:
        """Let nobody begin a container whose cgroup is being removed: for some milliseconds, and hardly ever."""
        connection = self._leaving.get(container_id)
        if connection is not None:
            poll = select.poll()
            poll.register(connection, select.POLLIN)
            poll.poll(_LEAVE_PATIENCE_S * 1000)
            self._stop_listening(container_id)
        self._expectation.forget(container_id)

    def _stop_listening(self, container_id: str) -> None:
        connection = self._leaving.pop(container_id)
        asyncio.get_running_loop().remove_reader(connection)
        connection.close()

    def close(self) -> None:
        """End the launcher; monitors that serve a container live on."""
        self._end()
        for timer in (self._due, self._kept):
            if timer is not None:
                timer.cancel()
        for container_id in tuple(self._leaving):
            self._stop_listening(container_id)
        self._expectation.give_up()
        if self._prepared is not None:
            self._prepared.close()
            self._prepared = None
        self._expectation.tidy()

    def _end(self) -> None:
        if self._connection is not None:
            asyncio.get_running_loop().remove_reader(self._connection)
            self._connection.close()
            self._connection = None
            _reap(self._pid)

    def _receive(self) -> None:
        """The launcher tells of forks and ends of monitors, which the monitors' own connections tell too."""
        assert self._connection is not None  # noqa: S101 -- it is watched only while it is there
        messages, has_ended = handle.receive_all(self._connection)
        del messages
        if has_ended:
            self._end()
            if time.monotonic() - self._spawned_at_s > STEADY_S:
                self.warm()


def _reap(pid: int) -> None:
    """Take in a launcher whose connection has ended, which it leaves for: at once, or when its rehearsal is over.

    One that hangs is not waited for longer than that takes; monitors are not of its session.
    """
    with contextlib.suppress(ProcessLookupError), contextlib.ExitStack() as undo:
        process = os.pidfd_open(pid)
        undo.callback(os.close, process)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        if not poll.poll(_END_PATIENCE_S * 1000):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
