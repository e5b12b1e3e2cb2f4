"""Groups for tests, and processes inside them; every group is emptied and removed, whatever became of the test."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.child import clone_into

from sampan.cgroup import Cgroup, hierarchies, open_cgroup
from sampan.linux import capability, process

_NUMBERS = itertools.count()


class Member:
    """A child process that runs a function inside a group; its exit code is what the function returns."""

    def __init__(self, group: Cgroup, function: Callable[[], int | None], *, beside: int = 0) -> None:
        with group.entry(beside=beside) as entry:
            self.pid, self.pidfd = clone_into(entry.clone_fd)
            if self.pid == 0:
                _become(entry.task_fds, function)
        self._status: int | None = None

    def wait(self, timeout_s: float = 60) -> int:
        """The exit code, or minus the signal, as subprocess has it."""
        if self._status is None:
            readable, _, _ = select.select([self.pidfd], [], [], timeout_s)
            if not readable:
                raise TimeoutError(f"process {self.pid} has not ended")
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def close(self) -> None:
        """Kill and reap it when it still runs."""
        if self._status is None:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            self.wait()
        os.close(self.pidfd)


def _become(task_fds: tuple[int, ...], function: Callable[[], int | None]) -> None:
    code = 99
    try:
        signal.alarm(0)
        process.set_parent_death_signal(signal.SIGKILL)
        for descriptor in task_fds:
            os.write(descriptor, b"0")
        code = function() or 0
    finally:
        os._exit(code)


class Groups:
    """Makes groups and members, and takes them all away again."""

    def __init__(self) -> None:
        self.groups: list[Cgroup] = []
        self.members: list[Member] = []

    def name(self) -> str:
        """A path that nobody has."""
        return f"/sampan-test-{os.getpid()}-{next(_NUMBERS)}"

    def open(self, path: str = "") -> Cgroup:
        """A group that is not made yet, but removed in the end."""
        group = open_cgroup(path or self.name())
        self.groups.append(group)
        return group

    def make(self, path: str = "") -> Cgroup:
        """A new group."""
        group = self.open(path)
        assert group.create()
        return group

    def start(self, group: Cgroup, function: Callable[[], int | None], *, beside: int = 0) -> Member:
        """Run `function` inside `group`."""
        member = Member(group, function, beside=beside)
        self.members.append(member)
        return member

    def close(self) -> None:
        """Take everything away."""
        with contextlib.ExitStack() as undo:
            for group in self.groups:
                undo.callback(group.close)
                undo.callback(group.remove, timeout_s=60)
            for member in self.members:
                undo.callback(member.close)
            for group in self.groups:
                if group.exists():
                    undo.callback(group.thaw)
                    undo.callback(group.kill_all)


@pytest.fixture
def groups() -> Iterator[Groups]:
    """A maker of groups; skips where the caller cannot make any."""
    if not capability.get_capabilities().effective & capability.mask_of(["CAP_SYS_ADMIN"]):
        pytest.skip("needs CAP_SYS_ADMIN")
    made = Groups()
    try:
        yield made
    finally:
        made.close()
    left = [path for group in made.groups for _, path in group.directories() if os.path.exists(path)]
    assert not left, f"groups left behind: {left}"


@pytest.fixture
def group(groups: Groups) -> Cgroup:
    """One new group."""
    return groups.make()


def directory_of(group: Cgroup, controller: str) -> Path:
    """Where `group` is in the hierarchy that has `controller`; skips when there is none."""
    hierarchy = hierarchies().of(controller)
    if hierarchy is None:
        pytest.skip(f"needs the {controller} controller")
    return Path(dict(group.directories())[hierarchy.name])


def text(group: Cgroup, v1: str, v2: str) -> str:
    """The content of a file that is called `v1` or `v2`, by the version of its controller's hierarchy.

    The controller is the word before the first dot, of either name.
    """
    for version, name in ((1, v1), (2, v2)):
        controller = name.partition(".")[0]
        hierarchy = hierarchies().of(controller)
        if hierarchy is not None and hierarchy.version == version:
            return (directory_of(group, controller) / name).read_text().strip()
    pytest.skip(f"needs {v1} or {v2}")


def groups_of(pid: int | str) -> dict[str, str]:
    """The paths in /proc/PID/cgroup by the name of the hierarchy."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {name: path for _, name, path in (line.split(":", 2) for line in lines)}


def entered(group: Cgroup, member: Member) -> bool:
    """Whether `member` came to be in every hierarchy's part of `group`."""
    return until(lambda: all(groups_of(member.pid)[one.name] == group.path for one in hierarchies().hierarchies))


def spin() -> None:
    """Use a CPU for ever."""
    while True:
        pass


def sleep() -> None:
    """Use nothing, for ever."""
    while True:
        time.sleep(3600)


def until(condition: Callable[[], bool], timeout_s: float = 60) -> bool:
    """Whether `condition` came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
