"""Many execs, of every kind, leave nothing behind in daemon, monitor and cgroup."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.engine_process import EngineProcess
from tests.hijack import Hijacked
from tests.waiting import until

from sampan.cgroup import open_cgroup

COUNT = 200


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _run(engine: EngineProcess, number: int) -> None:
    command = ["no-such-program"] if number % 7 == 0 else ["sh", "-c", f"echo {number}"]
    body = {"Cmd": command, "AttachStdout": True, "AttachStdin": number % 3 == 0, "Tty": number % 5 == 0}
    exec_id = engine.json("POST", "/containers/box/exec", body, expect=201)["Id"]
    match number % 4:
        case 0:
            engine.request("POST", f"/exec/{exec_id}/start", {"Detach": True})
        case 1:
            Hijacked(engine, f"/exec/{exec_id}/start", {"Tty": body["Tty"]}).close()  # the client vanishes
        case 2:
            Hijacked(engine, f"/exec/{exec_id}/start", {"Tty": body["Tty"]}).read_all()
        case _:
            pass  # never started


def test_hundreds_of_execs_leave_nothing_behind(engine: EngineProcess) -> None:
    container_id = engine.run("box", "sleep", "600")
    monitor = engine.monitor_pid("box")
    _run(engine, 2)
    before = _descriptors(engine.pid), _descriptors(monitor)
    failed: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for number in range(first, COUNT, 4):
                _run(engine, number)
        except BaseException as error:  # noqa: BLE001 -- it fails the test, in its own thread
            failed.append(error)

    workers = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert not failed
    cgroup = open_cgroup(f"/sampan/{container_id}")
    try:
        until(lambda: len(cgroup.processes()) == 1, 30)
    finally:
        cgroup.close()
    until(lambda: _descriptors(monitor) <= before[1] + 2, 30)
    until(lambda: _descriptors(engine.pid) <= before[0] + 6, 30)
