"""What the soak has found, each as a plain test."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.engine_process import EngineProcess
from tests.waiting import until

from sampan.cgroup import open_cgroup


def test_a_pause_that_finds_the_container_ended_before_its_end_was_told_says_so(engine: EngineProcess) -> None:
    """The monitor has released the cgroup, and the daemon has not heard of it yet."""
    container_id = engine.run("ending", "sleep", "600")
    pid, monitor = engine.inspect("ending")["State"]["Pid"], engine.monitor_pid("ending")
    os.kill(monitor, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        until(lambda: Path(f"/proc/{pid}/status").read_text().find("State:\tZ") >= 0)
        group = open_cgroup(f"/sampan/{container_id}")
        group.remove(timeout_s=30)
        group.close()
        told = engine.json("POST", "/containers/ending/pause", expect=409)
    finally:
        os.kill(monitor, signal.SIGCONT)
    assert "is not running" in told["message"]
    assert engine.wait("ending") == 137
