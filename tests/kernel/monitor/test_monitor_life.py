from __future__ import annotations

import errno
import os
import shutil
import signal
from typing import TYPE_CHECKING

from tests.kernel.monitor.conftest import alive, read_to_end, unframed, until

from sampan.monitor import exit_record
from sampan.monitor.log_plan import LogPlan
from sampan.monitor.protocol import Attach, Exited, Failed, Go, MonitorPlan, Signal

if TYPE_CHECKING:
    from tests.kernel.monitor.conftest import Harbour


def test_a_program_runs_and_its_exit_code_is_on_disk_and_told(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "echo hello; echo oops >&2; exit 7")
    client = session.attach(Attach(stdin=False))
    session.go()
    exited = session.exited()
    assert (exited.code, exited.signal, exited.pid) == (7, 0, session.pid)
    assert exit_record.read(session.plan.state_directory) == exited
    assert unframed(read_to_end(client)) == {1: b"hello\n", 2: b"oops\n"}
    assert harbour.gone(session.monitor_pid).status == 0


def test_nothing_runs_before_go(harbour: Harbour) -> None:
    mark = harbour.directory / "ran"
    session = harbour.launch("touch", str(mark))
    assert not mark.exists()
    session.go()
    session.exited()
    assert mark.exists()


def test_all_is_released_when_the_exit_is_told(harbour: Harbour) -> None:
    session = harbour.start("true")
    session.exited()
    assert session.marked("released")
    assert not os.path.exists(f"{session.plan.run_directory}/monitor.sock")
    assert session.next() is None


def test_a_program_that_a_signal_ended_has_128_and_the_signal(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    session.say(Signal(signal.SIGKILL))
    exited = session.exited()
    assert (exited.code, exited.signal) == (137, 9)


def test_a_monitor_passes_sigterm_on_to_its_container(harbour: Harbour) -> None:
    session = harbour.start("sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done")
    until(lambda: b"up" in session.log.read_bytes())
    os.kill(session.monitor_pid, signal.SIGTERM)
    assert session.exited().code == 3


def test_a_program_that_is_not_there_is_told_as_such_and_leaves_nothing(harbour: Harbour) -> None:
    session = harbour.launch("/no/such/program")
    client = session.attach(Attach())
    session.say(Signal(signal.SIGTERM))  # nothing runs yet that could get it
    session.say(Go())
    failed = session.wait(Failed)
    assert (failed.step, failed.errno, failed.kind) == ("execute", errno.ENOENT, "COMMAND_NOT_FOUND")
    assert read_to_end(client) == b""
    assert session.marked("aborted")
    assert exit_record.read(session.plan.state_directory) is None
    assert not os.path.exists(f"{session.plan.run_directory}/monitor.sock")
    assert harbour.gone(session.monitor_pid).status == 0


def test_a_process_that_died_at_its_gate_fails_the_start(harbour: Harbour) -> None:
    session = harbour.launch("true")
    os.kill(session.pid, signal.SIGKILL)
    until(lambda: not alive(session.pid))
    session.say(Go())
    assert session.wait(Failed).text
    assert harbour.gone(session.monitor_pid).status == 0


def test_a_failed_step_of_the_launch_is_told_with_its_name(harbour: Harbour) -> None:
    session = harbour.begin(harbour.plan("true", hostname="fail"))
    failed = session.wait(Failed)
    assert (failed.step, failed.errno, failed.text) == ("pivot", 22, "invalid argument: /nowhere")
    assert session.next() is None


def test_a_log_that_cannot_be_opened_fails_the_launch_and_names_the_file(harbour: Harbour) -> None:
    plan = harbour.plan("true", log={})
    shutil.rmtree(plan.state_directory)
    failed = harbour.begin(plan).wait(Failed)
    assert "no such file or directory" in failed.text
    assert plan.log.path in failed.text


def test_a_log_driver_that_there_is_not_fails_the_launch(harbour: Harbour) -> None:
    plan = harbour.plan("true")
    unknown = MonitorPlan(plan.launch, plan.run_directory, plan.state_directory, LogPlan("carrier-pigeon"))
    assert "carrier-pigeon" in harbour.begin(unknown).wait(Failed).text


def test_a_socket_that_cannot_be_made_aborts_the_container(harbour: Harbour) -> None:
    plan = harbour.plan("true")
    os.rmdir(plan.run_directory)
    session = harbour.begin(plan)
    assert plan.run_directory in session.wait(Failed).text
    assert session.marked("aborted")


def test_the_record_of_an_earlier_run_is_gone_before_the_next_one_is_ready(harbour: Harbour) -> None:
    plan = harbour.plan("true")
    exit_record.write(Exited(99), plan.state_directory)
    harbour.begin(plan).ready()
    assert exit_record.read(plan.state_directory) is None


def test_an_exit_whose_record_cannot_be_written_is_told_all_the_same(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    shutil.rmtree(session.plan.state_directory)
    session.say(Signal(signal.SIGKILL))
    assert session.exited().code == 137
    with open(f"{session.plan.run_directory}/monitor.log", encoding="utf-8") as trouble:
        assert "exit record was not written" in trouble.read()


def test_a_run_directory_with_a_long_name_has_its_socket(harbour: Harbour) -> None:
    plan = harbour.plan("true")
    long = f"{plan.run_directory}/{'x' * 150}"
    os.mkdir(long)
    session = harbour.begin(MonitorPlan(plan.launch, long, plan.state_directory, plan.log))
    session.ready()
    assert os.stat(f"{long}/monitor.sock").st_mode & 0o777 == 0o600
    session.later()


def test_when_the_first_connection_ends_before_go_nothing_is_left(harbour: Harbour) -> None:
    session = harbour.launch("sleep", "1000")
    client = session.attach(Attach())
    session.connection.close()
    assert harbour.gone(session.monitor_pid).status == 0
    assert read_to_end(client) == b""
    assert session.marked("aborted")
    assert not alive(session.pid)
    assert os.listdir(session.plan.run_directory) == []
    assert exit_record.read(session.plan.state_directory) is None


def test_a_monitor_has_no_descriptor_that_is_not_its_own(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    kinds = sorted(os.readlink(entry.path).split(":")[0] for entry in os.scandir(f"/proc/{session.monitor_pid}/fd"))
    expected = ["/dev/null"] * 3 + ["anon_inode", "anon_inode", "pipe", "pipe", "socket", "socket", str(session.log)]
    assert sorted(kind for kind in kinds if kind != "anon_inode") == sorted(
        kind for kind in expected if kind != "anon_inode"
    )
    assert os.getsid(session.monitor_pid) == session.monitor_pid
