"""The launcher's rehearsal makes a real container, and leaves nothing of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.cgroup import hierarchies, open_cgroup
from sampan.cgroup.limits import Limits
from sampan.linux import process
from sampan.monitor import monitor, rehearsal
from sampan.monitor.oci import OciRuntime
from sampan.monitor.protocol import Failed, Message
from sampan.monitor.rehearsal import rehearse
from sampan.runtime.launch_plan import CgroupPlan

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat

PREFIX = f"sampan-test-rehearsal-{os.getpid()}-"


@pytest.fixture(autouse=True)
def _own_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that launchers of other tests do not sweep, who may come between a cgroup and its first process."""
    monkeypatch.setattr(rehearsal, "_PREFIX", PREFIX)


def cgroup_exists(name: str) -> bool:
    return any(Path(one.mount_point, name).is_dir() for one in hierarchies().hierarchies)


def test_its_container_comes_as_far_as_execve_and_leaves_nothing(boat: Boat, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()

    def check() -> tuple[list[Message], list[str], bool]:
        told: list[Message] = []
        tell = monitor.Monitor._tell

        def listen(self: monitor.Monitor, message: Message) -> None:
            told.append(message)
            tell(self, message)

        monitor.Monitor._tell = listen  # type: ignore[method-assign]
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            rehearse(OciRuntime(), str(tmp_path / "here"))
        assert len(os.listdir("/proc/self/fd")) == descriptors
        return told, os.listdir(tmp_path / "here"), cgroup_exists(f"{PREFIX}{os.getpid()}")

    told, left, has_cgroup = boat.call(check)
    assert [(message.step, message.errno) for message in told if isinstance(message, Failed)] == [("execute", 8)] * 3
    assert left == []
    assert not has_cgroup


def test_what_a_killed_rehearsal_left_is_removed_by_the_next(boat: Boat, tmp_path: Path) -> None:
    parent = tmp_path / "here"
    left = parent / f"{PREFIX}{ended_pid()}"
    (left / "work" / "work").mkdir(parents=True)
    (left / "state").mkdir()
    (left / "state" / "log").touch()
    ours = parent / f"{PREFIX}{os.getppid()}"
    ours.mkdir()
    cgroup = open_cgroup(f"/{left.name}")
    cgroup.create()
    cgroup.close()
    boat.call(lambda: rehearse(OciRuntime(), str(parent)))
    assert list(parent.iterdir()) == [ours]
    assert not cgroup_exists(left.name)


def ended_pid() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_a_cgroup_that_a_killed_rehearsal_left_alone_is_removed_too(boat: Boat, tmp_path: Path) -> None:
    left, ours = (f"{PREFIX}{pid}" for pid in (ended_pid(), os.getppid()))
    cgroups = [open_cgroup(f"/{name}") for name in (left, ours)]
    try:
        for cgroup in cgroups:
            cgroup.create()
        boat.call(lambda: rehearse(OciRuntime(), str(tmp_path)))
        assert (cgroup_exists(left), cgroup_exists(ours)) == (False, True)
    finally:
        for cgroup in cgroups:
            cgroup.remove()
            cgroup.close()


def test_a_cgroup_with_somebody_in_it_is_left_as_it_is(boat: Boat, tmp_path: Path) -> None:
    name = f"{PREFIX}{ended_pid()}"  # as that of a launcher in another pid namespace looks from here
    plan = boat.plan("exec sleep 600", cgroup=CgroupPlan(f"/{name}", Limits()))

    def check() -> tuple[bool, bool]:
        launched = boat.start(plan)
        try:
            rehearse(OciRuntime(), str(tmp_path))
            return cgroup_exists(name), process.wait_pidfd(launched.pidfd, block=False) is None
        finally:
            boat.end(launched)

    assert boat.call(check) == (True, True)
    assert not cgroup_exists(name)


def test_where_nothing_can_be_made_nothing_happens(boat: Boat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "mkdir", refuse)
    boat.call(lambda: rehearse(OciRuntime(), str(tmp_path)))


def refuse(path: str, mode: int = 0o777) -> None:
    raise PermissionError(13, "Permission denied", path)
