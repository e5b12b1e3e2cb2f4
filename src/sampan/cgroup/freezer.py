"""Stopping everyone in a group and letting them go on: v1's freezer controller and v2's cgroup.freeze.

On a hybrid host the unified tree's is used: who is frozen there can still be killed. Signals are not sent here.
"""

from __future__ import annotations

import errno
import os
import select
import time

from sampan.cgroup.directory import Directory, unless_gone

_RETHAW_AFTER_S = 0.1


def freeze_v2(directory: Directory, deadline: float) -> None:
    """Write cgroup.freeze and wait for `frozen 1` in cgroup.events; TimeoutError, thawed again, at `deadline`."""
    directory.write("cgroup.freeze", "1")
    if not wait_for_event(directory, "frozen", 1, deadline):
        directory.write("cgroup.freeze", "0")
        raise TimeoutError(f"not everyone in {directory.location} could be frozen")


def thaw_v2(directory: Directory) -> None:
    """Write cgroup.freeze."""
    directory.write("cgroup.freeze", "0")


def frozen_v2(directory: Directory) -> bool:
    """Whether cgroup.freeze of this very group says so; a group that is not there is not frozen."""
    return _reads(directory, "cgroup.freeze")


def wait_for_event(directory: Directory, key: str, value: int, deadline: float) -> bool:
    """Wait until `key` of cgroup.events is `value`; False when `deadline` comes first.

    Nobody is in a group that somebody else removed before or meanwhile; any other event of it is an OSError.
    """
    try:
        return _wait_for_event(directory, f"{key} {value}", deadline)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV) and (key, value) == ("populated", 0):
            return True
        raise


def _wait_for_event(directory: Directory, line: str, deadline: float) -> bool:
    events = directory.open("cgroup.events", os.O_RDONLY)
    try:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while line not in os.pread(events, 4096, 0).decode().splitlines():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll.poll(max(1, min(left, 1.0) * 1000))
        return True
    finally:
        os.close(events)


def freeze_v1(directory: Directory, deadline: float) -> None:
    """Write FROZEN and wait until freezer.state says so; TimeoutError, thawed again, at `deadline`.

    A group may stay FREEZING when its processes fork while it is being frozen: it is then thawed for a moment.
    """
    pause = 0.0002
    directory.write("freezer.state", "FROZEN")
    again_at = time.monotonic() + _RETHAW_AFTER_S
    while directory.read("freezer.state").strip() != "FROZEN":
        now = time.monotonic()
        if now >= deadline:
            directory.write("freezer.state", "THAWED")
            raise TimeoutError(f"not everyone in {directory.location} could be frozen")
        if now >= again_at:
            directory.write("freezer.state", "THAWED")
            again_at = now + _RETHAW_AFTER_S
        time.sleep(pause)
        pause = min(pause * 2, 0.01)
        directory.write("freezer.state", "FROZEN")


def thaw_v1(directory: Directory) -> None:
    """Write THAWED."""
    directory.write("freezer.state", "THAWED")


def frozen_v1(directory: Directory) -> bool:
    """Whether this very group was frozen, or is being; a group that is not there is not."""
    return _reads(directory, "freezer.self_freezing")


def _reads(directory: Directory, file: str) -> bool:
    content = ""
    with unless_gone():
        content = directory.read(file)
    return content.strip() == "1"
