from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sampan.linux import process

STATUS = Path("/proc/self/status")


def test_a_title_is_what_the_command_line_shows_of_a_process_and_of_its_forks() -> None:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            process.set_title("sampan-test of a title")
            if os.fork() == 0:
                process.set_title("sampan-test " + "x" * 4096)
                os.write(write_end, Path("/proc/self/cmdline").read_bytes().rstrip(b"\0")[:16] + b"\n")
                os._exit(0)
            os.wait()
            os.write(write_end, Path("/proc/self/cmdline").read_bytes().rstrip(b"\0"))
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(pid, 0)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read().split(b"\n") == [b"sampan-test xxxx", b"sampan-test of a title"]


@pytest.fixture
def child() -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    yield pid
    try:
        os.kill(pid, signal.SIGKILL)
        process.wait_pid(pid)
    except ProcessLookupError:
        pass


def exit_code_of(function: Callable[[], object]) -> int:
    """What a child exits with that calls the function: 0, or its result, or the errno it raised, or 255."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            code = int(bool(function())) ^ 1
        except OSError as error:
            code = error.errno or 254
        finally:
            os._exit(code)
    ended = process.wait_pid(pid)
    assert ended is not None
    return ended.status


def test_a_process_is_signalled_through_its_descriptor_and_waited_for(child: int) -> None:
    pidfd = process.pidfd_open(child)
    assert not os.get_inheritable(pidfd)
    assert process.wait_pidfd(pidfd, block=False) is None
    process.pidfd_send_signal(pidfd, signal.SIGTERM)
    ended = process.wait_pidfd(pidfd)
    assert ended == process.Exit(child, 0, signal.SIGTERM, core_dumped=False)
    assert ended.status == 143
    with pytest.raises(ProcessLookupError):
        process.pidfd_send_signal(pidfd, 0)
    os.close(pidfd)


def test_an_exit_code_is_told_from_a_signal() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    ended = process.wait_pid(pid)
    assert ended == process.Exit(pid, 7, 0, core_dumped=False)
    assert ended.status == 7


def test_waiting_for_any_child_says_when_there_is_none() -> None:
    def reap() -> bool:
        with pytest.raises(ChildProcessError):
            process.wait_any()
        pid = os.fork()
        if pid == 0:
            os._exit(3)
        return process.wait_any(block=True) == process.Exit(pid, 3, 0, core_dumped=False)

    assert exit_code_of(reap) == 0


def test_a_descriptor_of_no_process_is_refused() -> None:
    with pytest.raises(ProcessLookupError):
        process.pidfd_open(2**22 + 1)


def test_another_process_descriptor_is_duplicated(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("there")
    ready, ready_in_child = os.pipe()
    pid = os.fork()
    if pid == 0:
        fd = os.open(tmp_path / "file", os.O_RDONLY)
        os.write(ready_in_child, bytes([fd]))
        signal.pause()
        os._exit(0)
    number = os.read(ready, 1)[0]
    pidfd = process.pidfd_open(pid)
    fd = process.pidfd_getfd(pidfd, number)
    try:
        assert os.read(fd, 10) == b"there"
        assert not os.get_inheritable(fd)
        with pytest.raises(OSError, match="pidfd_getfd") as caught:
            process.pidfd_getfd(pidfd, 9999)
        assert caught.value.errno == errno.EBADF
    finally:
        os.kill(pid, signal.SIGKILL)
        process.wait_pid(pid)
        for each in (fd, pidfd, ready, ready_in_child):
            os.close(each)


def test_a_range_of_descriptors_is_closed_or_marked() -> None:
    def close() -> bool:
        first = os.dup(0)
        os.set_inheritable(first, True)  # noqa: FBT003 - its only argument
        process.close_range(first, flags=process.CLOSE_RANGE_CLOEXEC)
        marked = not os.get_inheritable(first)
        process.close_range(first)
        try:
            os.fstat(first)
        except OSError as error:
            return marked and error.errno == errno.EBADF
        return False

    assert exit_code_of(close) == 0


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (process.set_no_new_privileges, "NoNewPrivs:\t1"),
        (lambda: process.set_name("sampan-name-too-long"), "Name:\tsampan-name-too"),
    ],
)
def test_an_attribute_shows_in_the_status_of_the_process(act: Callable[[], None], line: str) -> None:
    def check() -> bool:
        act()
        return line in STATUS.read_text().splitlines()

    assert exit_code_of(check) == 0


def test_dumpable_is_set_and_read() -> None:
    def check() -> bool:
        before = process.is_dumpable()
        process.set_dumpable(False)
        return before and not process.is_dumpable()

    assert exit_code_of(check) == 0


def test_a_subreaper_gets_its_orphans() -> None:
    def adopt() -> bool:
        process.set_child_subreaper(True)
        read_end, write_end = os.pipe()
        middle = os.fork()
        if middle == 0:
            if os.fork() == 0:
                os.close(write_end)
                os.read(read_end, 1)  # until the subreaper lets go
                os._exit(9)
            os._exit(0)
        process.wait_pid(middle)
        os.close(write_end)
        orphan = process.wait_any(block=True)
        return orphan is not None and orphan.code == 9

    assert exit_code_of(adopt) == 0


def test_a_child_dies_with_its_parent() -> None:
    read_end, write_end = os.pipe()
    parent = os.fork()
    if parent == 0:
        if os.fork() == 0:
            process.set_parent_death_signal(signal.SIGKILL)
            os.write(write_end, b".")
            signal.pause()
        os.close(write_end)
        os.read(read_end, 1)
        os._exit(0)
    os.close(write_end)
    process.wait_pid(parent)
    assert os.read(read_end, 1) == b""  # only when the grandchild is gone is there no writer any more
    os.close(read_end)


def test_the_start_time_is_when_the_process_started_in_ticks_since_boot() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    descriptors = len(os.listdir("/proc/self/fd"))
    before = int(time.clock_gettime(time.CLOCK_BOOTTIME) * ticks)
    pid = os.fork()
    if pid == 0:
        signal.pause()
    after = int(time.clock_gettime(time.CLOCK_BOOTTIME) * ticks)
    try:
        assert before - 1 <= process.start_time(pid) <= after + 1
        assert process.start_time(str(pid)) == process.start_time(pid)
        assert process.start_time("self") <= before
        assert len(os.listdir("/proc/self/fd")) == descriptors
    finally:
        os.kill(pid, signal.SIGKILL)
        process.wait_pid(pid)


def test_the_start_time_is_read_whatever_the_name_is() -> None:
    def check() -> bool:
        before = process.start_time("self")
        process.set_name(") R 1 (x) 9")
        return process.start_time("self") == before

    assert exit_code_of(check) == 0


def test_the_start_time_of_no_process_is_an_error() -> None:
    with pytest.raises(ProcessLookupError):
        process.start_time(2**22 + 1)


def test_execve_passes_arguments_and_environment_as_they_are(tmp_path: Path) -> None:
    out = tmp_path / "out"
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT), 1)
        process.execve(
            "/bin/sh", ["sh", "-c", 'echo "$0|$1|$A"; tr "\\0" "\\n" </proc/$$/environ', "x", "y z"], ["A=1", "odd"]
        )
        os._exit(99)
    process.wait_pid(pid)
    assert out.read_text().splitlines()[:3] == ["x|y z|1", "A=1", "odd"]


@pytest.mark.parametrize(
    ("path", "expected"), [("/missing", errno.ENOENT), ("/etc", errno.EACCES), ("/etc/passwd", errno.EACCES)]
)
def test_execve_that_fails_returns_with_the_reason(path: str, expected: int) -> None:
    with pytest.raises(OSError, match="execve") as caught:
        process.execve(path, ["x"], [])
    assert (caught.value.errno, caught.value.filename) == (expected, path)


def test_a_null_byte_in_an_argument_or_variable_is_refused() -> None:
    with pytest.raises(OSError, match="null byte"):
        process.execve("/bin/true", ["true", "a\0b"], [])
    with pytest.raises(OSError, match="null byte"):
        process.execve("/bin/true", ["true"], ["A=b\0C=d"])


def test_execveat_executes_a_descriptor() -> None:
    fd = os.open("/bin/sh", os.O_PATH | os.O_CLOEXEC)
    assert exit_code_of(lambda: process.execveat(fd, "", ["sh", "-c", "exit 6"], [])) == 6
    os.close(fd)


def test_scheduling_attributes_are_set() -> None:
    def check() -> bool:
        process.sched_setattr(os.SCHED_BATCH, nice=5)
        process.ioprio_set(2 << 13 | 6)
        process.sched_setaffinity({min(os.sched_getaffinity(0))})
        return (
            os.sched_getscheduler(0) == os.SCHED_BATCH
            and os.getpriority(os.PRIO_PROCESS, 0) == 5
            and process.ioprio_get() == (2 << 13 | 6)
            and len(os.sched_getaffinity(0)) == 1
        )

    assert exit_code_of(check) == 0
    assert exit_code_of(lambda: process.sched_setattr(99)) == errno.EINVAL
    assert exit_code_of(lambda: process.ioprio_set(7 << 13)) == errno.EINVAL


def test_a_personality_is_set() -> None:
    def check() -> bool:
        process.personality(0x0040000)  # ADDR_NO_RANDOMIZE
        return process.personality(0xFFFFFFFF) == 0x0040000

    assert exit_code_of(check) == 0


def test_signals_are_as_a_fresh_program_expects() -> None:
    def check() -> bool:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
        before = dict(line.split(":\t") for line in STATUS.read_text().splitlines())
        process.reset_signals()
        after = dict(line.split(":\t") for line in STATUS.read_text().splitlines())
        none = "0" * 16
        return before["SigIgn"] != none != before["SigBlk"] and after["SigIgn"] == none == after["SigBlk"]

    assert exit_code_of(check) == 0


@pytest.mark.parametrize("wrong", [(-1, 0, []), (0, -1, []), (0, 0, [-1]), (1 << 32, 0, []), (0, 0, [(1 << 32) - 1])])
def test_a_number_that_is_no_id_is_refused_before_anything_is_changed(wrong: tuple[int, int, list[int]]) -> None:
    before = STATUS.read_text().splitlines()
    with pytest.raises(OSError, match="not a user or group id") as caught:
        process.set_ids(*wrong)
    assert caught.value.errno == errno.EINVAL
    changed = [line for line in STATUS.read_text().splitlines() if line.startswith(("Uid", "Gid", "Groups"))]
    assert changed == [line for line in before if line.startswith(("Uid", "Gid", "Groups"))]


def test_a_memory_file_is_written_and_read() -> None:
    fd = process.memfd("name")
    assert os.readlink(f"/proc/self/fd/{fd}") == "/memfd:name (deleted)"
    assert not os.get_inheritable(fd)
    os.close(fd)
