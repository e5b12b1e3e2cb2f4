"""Containers made the way the engine makes them: through the launcher, by monitors."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sampan.cgroup import hierarchies
from sampan.cgroup.limits import Limits, MemoryLimits
from sampan.launcher.spawn import spawn_launcher
from sampan.monitor import exit_record, handle, protocol
from sampan.monitor.log_plan import LogPlan
from sampan.monitor.log_reader import LogReader
from sampan.monitor.protocol import (
    Attach,
    Exec,
    ExecPlan,
    Exited,
    Failed,
    Go,
    Gone,
    MonitorPlan,
    OutOfMemory,
    Ready,
    Resize,
    Signal,
    Started,
    Status,
)
from sampan.runtime.launch import release
from sampan.runtime.launch_plan import CgroupPlan, LaunchPlan

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat

PATIENCE_S = 60.0


@dataclass
class Ship:
    """One container as a daemon sees it."""

    plan: MonitorPlan
    connection: socket.socket
    pid: int = 0
    monitor_pid: int = 0

    def say(self, message: protocol.Message, *descriptors: int) -> None:
        protocol.send(self.connection, message, descriptors)

    def hear[T](self, kind: type[T]) -> T:
        self.connection.settimeout(PATIENCE_S)
        while (packet := protocol.receive(self.connection)) is not None:
            if isinstance(packet[0], kind):
                return packet[0]
            assert not isinstance(packet[0], Failed), packet[0]
        raise AssertionError(f"the connection ended without {kind.__name__}")

    def attach(self, attach: Attach) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE_S)
        self.say(attach, theirs.fileno())
        theirs.close()
        return ours

    def output(self, attach: Attach, start: Callable[[], object]) -> str:
        """All that a client is sent that was there before `start`."""
        with self.attach(replace(attach, multiplexed=False)) as client:
            start()
            return read_to_end(client)

    def go(self) -> Started:
        self.say(Go())
        return self.hear(Started)

    def exec(self, plan: ExecPlan) -> Started:
        descriptor = protocol.seal(plan)
        self.say(Exec(plan.id), descriptor)
        os.close(descriptor)
        return self.hear(Started)


@dataclass
class Fleet:
    """A launcher and the containers that it made; all of them end with the test."""

    directory: Path
    boat: Boat
    ships: list[Ship] = field(default_factory=list)
    launchers: list[int] = field(default_factory=list)
    connection: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.spawn()

    def spawn(self) -> int:
        pid, self.connection = spawn_launcher()
        self.connection.settimeout(PATIENCE_S)
        self.launchers.append(pid)
        return pid

    def launch(self, process: LaunchPlan | str, **options: Any) -> Ship:
        plan = self.boat.plan(process) if isinstance(process, str) else process
        home = self.directory / plan.id
        for name in ("run", "state"):
            (home / name).mkdir(parents=True)
        log = LogPlan("json-file", str(home / "state" / "log"))
        whole = MonitorPlan(plan, str(home / "run"), str(home / "state"), log, **options)
        ship = Ship(whole, handle.launch(self.connection, whole))
        self.ships.append(ship)
        ready = ship.hear(Ready)
        ship.pid, ship.monitor_pid = ready.pid, ready.monitor_pid
        return ship

    def run(self, process: LaunchPlan | str, **options: Any) -> Ship:
        ship = self.launch(process, **options)
        ship.go()
        return ship

    def end(self) -> None:
        for ship in self.ships:
            ship.connection.close()
            for pid in filter(None, (ship.monitor_pid, ship.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for ship in self.ships:
            if ship.plan.launch.cgroup is not None:
                until(functools.partial(is_over, ship.monitor_pid))
                release(ship.plan.launch.cgroup.path)
        self.connection.close()
        for pid in self.launchers:
            os.waitpid(pid, 0)


def read_to_end(client: socket.socket) -> str:
    content = b""
    while chunk := client.recv(65536):
        content += chunk
    return content.decode()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.005)


def living(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_over(pid: int) -> bool:
    return not pid or not living(pid)


@pytest.fixture
def fleet(tmp_path: Path, boat: Boat) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, boat)
    yield fleet
    fleet.end()


def cgroup_exists(plan: LaunchPlan) -> bool:
    assert plan.cgroup is not None
    return any(os.path.isdir(one.mount_point + plan.cgroup.path) for one in hierarchies().hierarchies)


def test_a_container_runs_and_when_its_end_is_told_nothing_is_left(fleet: Fleet) -> None:
    ship = fleet.launch("hostname; echo $$; readlink /proc/self/fd/0; exit 4")
    assert cgroup_exists(ship.plan.launch)
    assert ship.output(Attach(), ship.go) == "boat\n1\n/dev/null\n"
    exited = ship.hear(Exited)
    assert (exited.code, exited.oom_killed) == (4, False)
    assert exit_record.read(ship.plan.state_directory) == exited
    assert not cgroup_exists(ship.plan.launch)
    assert os.listdir(ship.plan.run_directory) == []
    with LogReader(ship.plan.log.path) as reader:
        assert [record.text for record in reader.read()] == ["boat\n", "1\n", "/dev/null\n"]


def test_where_there_is_no_dev_null_standard_input_is_at_its_end(fleet: Fleet) -> None:
    plan = fleet.boat.plan("cat; readlink /proc/self/fd/0 | cut -d: -f1")
    without = tuple(device for device in plan.devices if device.path != "/dev/null")
    ship = fleet.launch(replace(plan, devices=without, masked_paths=()))
    assert ship.output(Attach(), ship.go) == "pipe\n"


def test_a_terminal_of_a_container_has_its_size_and_its_keys(fleet: Fleet) -> None:
    process = fleet.boat.process("stty size; tty; read line; echo [$line]", terminal=True)
    ship = fleet.launch(fleet.boat.plan(process), open_stdin=True)
    ship.say(Resize(20, 70))
    with ship.attach(Attach(stdin=True, multiplexed=False)) as client:
        ship.go()
        shown = ""
        while shown.count("\n") < 2:
            shown += client.recv(100).decode()
        assert shown in {"20 70\r\n/dev/pts/0\r\n", "20 70\r\n/dev/console\r\n"}
        client.sendall(b"hi\r")
        assert read_to_end(client) == "hi\r\n[hi]\r\n"


def test_an_exec_is_in_the_container_and_a_child_of_its_monitor(fleet: Fleet) -> None:
    ship = fleet.run("sleep 1000")
    plan = ExecPlan("e", fleet.boat.process("hostname; cat /proc/1/cmdline | tr '\\0' ' '; sleep 1000"))
    started = ship.exec(plan)
    status = Path(f"/proc/{started.pid}/status").read_text()
    assert f"PPid:\t{ship.monitor_pid}\n" in status
    ship.say(Signal(signal.SIGKILL, "e"))
    exited = ship.hear(Exited)
    assert (exited.exec_id, exited.signal) == ("e", signal.SIGKILL)
    quick = ExecPlan("f", fleet.boat.process("hostname"))
    assert ship.output(Attach("f"), lambda: ship.exec(quick)) == "boat\n"


def test_execs_end_with_their_container_and_are_told_before_it(fleet: Fleet) -> None:
    ship = fleet.run("sleep 1000")
    with ship.attach(Attach("e")) as client:
        ship.exec(ExecPlan("e", fleet.boat.process("sleep 1000")))
        ship.say(Signal(signal.SIGKILL))
        assert ship.hear(Exited).exec_id == "e"
        assert ship.hear(Exited).exec_id == ""
        assert read_to_end(client) == ""


def test_in_a_shared_pid_namespace_the_others_end_with_the_first_process(fleet: Fleet) -> None:
    plan = fleet.boat.plan("(trap '' TERM; sleep 1000) & echo $!; exit 3", namespaces=fleet.boat.namespaces("pid"))
    ship = fleet.launch(plan)
    other = int(ship.output(Attach(), ship.go))
    assert ship.hear(Exited).code == 3
    assert not living(other)


def test_a_signal_to_everyone_reaches_everyone(fleet: Fleet) -> None:
    quiet = "(trap '' USR1; exec sleep 1000) & wait"
    second = f"trap 'echo second' USR1; echo up; {quiet}"
    script = f"trap 'echo first' USR1; ({second}) & wait; wait"
    ship = fleet.launch(script)
    with ship.attach(Attach(multiplexed=False)) as client:
        ship.go()
        assert client.recv(100) == b"up\n"
        ship.say(Signal(signal.SIGUSR1, everyone=True))
        heard = b""
        while heard.count(b"\n") < 2:
            heard += client.recv(100)
    assert sorted(heard.split()) == [b"first", b"second"]


def test_running_out_of_memory_is_told_and_recorded(fleet: Fleet) -> None:
    plan = fleet.boat.plan("tail /dev/zero; echo code $?; exec tail /dev/zero")
    assert plan.cgroup is not None
    limits = Limits(memory=MemoryLimits(limit_bytes=24 << 20, swap_bytes=24 << 20))
    ship = fleet.run(replace(plan, cgroup=CgroupPlan(plan.cgroup.path, limits)))
    assert ship.hear(OutOfMemory).count >= 1
    exited = ship.hear(Exited)
    assert (exited.code, exited.oom_killed) == (137, True)


def test_a_step_that_fails_is_told_and_leaves_nothing(fleet: Fleet) -> None:
    plan = fleet.boat.plan(fleet.boat.process("/no/such/program", "x"))
    with pytest.raises(AssertionError, match=r"Failed.*no such file"):
        fleet.launch(plan)
    assert not cgroup_exists(plan)
    assert os.listdir(fleet.directory / plan.id / "run") == []


def test_a_monitor_that_is_killed_takes_its_container_with_it(fleet: Fleet) -> None:
    ship = fleet.run("trap '' TERM HUP INT; sleep 1000")
    exec_pid = ship.exec(ExecPlan("e", fleet.boat.process("sleep 1000"))).pid
    os.kill(ship.monitor_pid, signal.SIGKILL)
    with pytest.raises(AssertionError, match="ended without Exited"):
        ship.hear(Exited)
    until(lambda: not living(ship.pid) and not living(exec_pid))
    with pytest.raises(ConnectionRefusedError):
        handle.connect(ship.plan.run_directory)
    assert exit_record.read(ship.plan.state_directory) is None


def test_containers_outlive_a_launcher_that_is_killed(fleet: Fleet) -> None:
    ships = [fleet.run("i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done") for _ in range(3)]
    os.kill(fleet.launchers[0], signal.SIGKILL)
    with fleet.connection as old:
        while protocol.receive(old) is not None:
            pass
    fleet.spawn()
    assert fleet.run("true").hear(Exited).code == 0
    for ship in ships:
        assert living(ship.pid)
        plan = ExecPlan("e", fleet.boat.process("hostname"))
        assert ship.output(Attach("e"), functools.partial(ship.exec, plan)) == "boat\n"
        assert ship.hear(Exited).exec_id == "e"
        log = Path(ship.plan.log.path)
        until(lambda log=log: log.read_text().count("\n") > 5)  # type: ignore[misc]
        ship.say(Signal(signal.SIGKILL))
        assert ship.hear(Exited).code == 137
        with LogReader(ship.plan.log.path) as reader:
            numbers = [int(record.text) for record in reader.read()]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_launcher_ends_with_its_daemon_and_monitors_do_not(fleet: Fleet) -> None:
    ship = fleet.run("sleep 1000")
    fleet.connection.close()
    ship.connection.close()
    assert os.getsid(ship.monitor_pid) == ship.monitor_pid
    assert os.waitstatus_to_exitcode(os.waitpid(fleet.launchers.pop(), 0)[1]) == 0
    ship.connection = handle.connect(ship.plan.run_directory)
    assert ship.hear(Status).pid == ship.pid
    ship.say(Signal(signal.SIGKILL))
    assert ship.hear(Exited).code == 137


def test_a_launcher_is_out_of_reach_of_its_daemons_terminal(fleet: Fleet) -> None:
    assert os.getsid(fleet.launchers[0]) == fleet.launchers[0]


def test_a_monitor_that_went_is_reported_by_the_launcher(fleet: Fleet) -> None:
    ship = fleet.run("exit 0")
    while True:
        packet = protocol.receive(fleet.connection)
        assert packet is not None
        if isinstance(packet[0], Gone):
            break
    assert packet[0] == Gone(ship.plan.launch.id, ship.monitor_pid, 0)


def test_nobody_can_write_through_the_launchers_binary(fleet: Fleet) -> None:
    """What a container sees as /proc/PID/exe while it starts is this one (CVE-2019-5736)."""
    ship = fleet.launch("true")
    for pid in (fleet.launchers[0], ship.monitor_pid, ship.pid):
        with pytest.raises(OSError, match=r"Text file busy|Read-only file system"):
            os.open(f"/proc/{pid}/exe", os.O_WRONLY)
        kept = os.open(f"/proc/{pid}/exe", os.O_PATH)  # to be opened once more when nobody runs it any longer
        assert os.fstatvfs(kept).f_flag & os.ST_RDONLY
        os.close(kept)


def test_monitors_share_most_of_their_memory(fleet: Fleet) -> None:
    ships = [fleet.run("sleep 1000") for _ in range(20)]

    def share_kb(pid: int) -> int:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        raise AssertionError("no Pss")

    shares = sorted(share_kb(ship.monitor_pid) for ship in ships)
    assert shares[len(shares) // 2] < 2000, shares  # 1.7 with 20, 1.3 with 50


def test_a_launcher_imports_only_what_a_start_needs() -> None:
    code = "import sys, sampan.launcher.forking; print(*sys.modules)"
    source = str(Path(protocol.__file__).parent.parent.parent)
    path = f"import sys; sys.path.insert(0, {source!r}); {code}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", path], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "sampan.monitor.monitor" in loaded
    heavy = {
        "asyncio",
        "msgspec",
        "aiohttp",
        "ssl",
        "sqlite3",
        "subprocess",
        "threading",
        "logging",
        "random",
        "tempfile",
    }
    assert not loaded & heavy
    assert not {
        name for name in loaded if name.startswith(("sampan.engine", "sampan.api", "sampan.wire", "sampan.oci"))
    }
