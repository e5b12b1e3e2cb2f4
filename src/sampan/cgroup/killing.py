"""Ending everyone in a group, however fast they fork; with cgroup.kill where it exists, else by signals.

Processes are signalled through pidfds that were checked to be inside, so a recycled pid is never hit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

Processes = Callable[[], set[int]]


def kill_until_gone(
    processes: Processes, hold: Callable[[], None], release: Callable[[], None], deadline: float
) -> None:
    """SIGKILL what `processes` lists until it lists nothing.

    Before each round `hold` keeps them from forking, or a fork bomb may outrun this; after it `release` lets them die.
    TimeoutError at `deadline`.
    """
    pause = 0.0002
    while listed := processes():
        hold()
        _signal_members(processes() or listed, processes)
        release()
        if time.monotonic() >= deadline:
            raise TimeoutError(f"processes do not die: {sorted(listed)[:10]}")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _signal_members(listed: set[int], processes: Processes) -> None:
    """Signal in portions, so that a crowded group does not run out of our descriptors."""
    pids = sorted(listed)
    for start in range(0, len(pids), 256):
        held: dict[int, int] = {}
        try:
            for pid in pids[start : start + 256]:
                with contextlib.suppress(ProcessLookupError):
                    held[pid] = os.pidfd_open(pid)
            for pid in processes() & held.keys():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(held[pid], signal.SIGKILL)
        finally:
            for descriptor in held.values():
                os.close(descriptor)
