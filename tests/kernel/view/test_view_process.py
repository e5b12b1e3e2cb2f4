"""The process that serves the files, on the real kernel and without an engine."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import until

from sampan.errors import NotImplementedHere
from sampan.linux.apart import in_mounts_of, in_private_mounts
from sampan.linux.mount import MountFlag, mount
from sampan.view.client import ViewProcess
from sampan.view.provider import Provided

PATIENCE_S = 30.0
_NOBODY = 2**22 + 1  # beyond what pids may be


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ViewProcess]:
    made = ViewProcess(str(tmp_path))
    yield made
    made.close()


def _inside(provided: Provided, path: str) -> str:
    """What this test reads from a file of the server's."""
    namespace = os.open(provided.namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return in_mounts_of(namespace, lambda: Path(provided.directory, path).read_text())
    finally:
        os.close(namespace)


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_it_mounts_where_the_machine_does_not_see_it_and_ends_with_its_last_daemon(process: ViewProcess) -> None:
    provided = process.start()
    assert provided.directory not in Path("/proc/self/mountinfo").read_text()
    assert Path(f"/proc/{provided.pid}/comm").read_text() == "sampan-view\n"
    assert process.answers()
    process.close()
    until(lambda: _is_gone(provided.pid), PATIENCE_S)


def test_who_is_in_no_container_reads_what_the_machine_says(process: ViewProcess) -> None:
    provided = process.start()
    for path in provided.paths:
        assert _inside(provided, path), path
    machine = Path("/proc/meminfo").read_text().splitlines()[0]
    assert _inside(provided, "proc/meminfo").splitlines()[0] == machine
    assert _inside(provided, "proc/cpuinfo").count("processor") == Path("/proc/cpuinfo").read_text().count("processor")


def test_a_second_daemon_finds_the_one_that_runs(process: ViewProcess, tmp_path: Path) -> None:
    provided = process.start()
    second = ViewProcess(str(tmp_path))
    try:
        assert second.find() == provided
        assert second.answers()
        assert process.answers()
    finally:
        second.close()


def test_one_that_an_earlier_daemon_left_hanging_is_ended_by_the_next(process: ViewProcess, tmp_path: Path) -> None:
    provided = process.start()
    os.kill(provided.pid, signal.SIGSTOP)
    second = ViewProcess(str(tmp_path))
    try:
        assert second.find() is None
        assert second.start().pid != provided.pid
        until(lambda: _is_gone(provided.pid), PATIENCE_S)
        assert second.answers()
    finally:
        second.close()


def test_a_killed_server_leaves_nobody_waiting(process: ViewProcess) -> None:
    provided = process.start()
    namespace = os.open(provided.namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.kill(provided.pid, signal.SIGKILL)
        until(lambda: _is_gone(provided.pid), PATIENCE_S)
        with pytest.raises(OSError) as caught:
            in_mounts_of(namespace, lambda: Path(provided.directory, "proc/meminfo").read_text())
        assert caught.value.errno == errno.ENOTCONN
    finally:
        os.close(namespace)
    assert not process.answers()
    assert process.start().pid != provided.pid


def test_one_that_hangs_is_ended_and_its_reader_gets_on(process: ViewProcess) -> None:
    provided = process.start()
    namespace = os.open(provided.namespace, os.O_RDONLY | os.O_CLOEXEC)
    os.kill(provided.pid, signal.SIGSTOP)
    failures: list[OSError] = []

    def read() -> None:
        try:
            in_mounts_of(namespace, lambda: Path(provided.directory, "proc/meminfo").read_text())
        except OSError as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert not process.answers()
        reader.join(PATIENCE_S)
        assert [failure.errno for failure in failures] in ([errno.ENOTCONN], [errno.ECONNABORTED])
    finally:
        os.close(namespace)


def test_who_renews_for_a_server_does_not_keep_its_connection_alive(process: ViewProcess) -> None:
    provided = process.start()
    is_seen = threading.Event()

    def renew() -> None:
        while not is_seen.is_set():
            process.renew([_NOBODY] * 1000, provided.paths)

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        until(lambda: any(_holds_no_connection(child) for child in _children(provided.pid)), PATIENCE_S)
    finally:
        is_seen.set()
        renewing.join(PATIENCE_S)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _holds_no_connection(pid: str) -> bool:
    """Whether a process that has not ended has nothing of /dev/fuse open."""
    try:
        held = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return bool(held) and "/dev/fuse" not in held


def test_a_file_reads_the_same_in_small_pieces(process: ViewProcess) -> None:
    provided = process.start()

    def read() -> tuple[bytes, bytes]:
        descriptor = os.open(f"{provided.directory}/proc/cpuinfo", os.O_RDONLY | os.O_CLOEXEC)
        try:
            pieces = b""
            while piece := os.read(descriptor, 97):
                pieces += piece
            os.lseek(descriptor, 0, os.SEEK_SET)
            return pieces, os.read(descriptor, 1 << 20)
        finally:
            os.close(descriptor)

    namespace = os.open(provided.namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces, whole = in_mounts_of(namespace, read)
    finally:
        os.close(namespace)
    names = [line.partition(b":")[0] for line in pieces.splitlines()]
    assert names == [line.partition(b":")[0] for line in whole.splitlines()]


def test_who_copies_in_the_kernel_is_sent_to_read_and_sees_the_size(process: ViewProcess) -> None:
    provided = process.start()
    path = f"{provided.directory}/proc/cpuinfo"

    def sizes() -> tuple[int, int, int]:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        sink = os.memfd_create("sink")
        try:
            with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
                os.sendfile(sink, descriptor, None, 1 << 20)
            return os.fstat(sink).st_size, os.fstat(descriptor).st_size, len(os.read(descriptor, 1 << 20))
        finally:
            os.close(descriptor)
            os.close(sink)

    namespace = os.open(provided.namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sent, told, read = in_mounts_of(namespace, sizes)
    finally:
        os.close(namespace)
    assert sent == 0
    assert told == read > 0


def test_without_fuse_it_says_so_and_ends(process: ViewProcess) -> None:
    def start() -> None:
        mount("/dev/null", "/dev/fuse", "", MountFlag.BIND)
        process.start()

    with pytest.raises(NotImplementedHere, match="cannot have a view of their own") as caught:
        in_private_mounts(start)
    assert "--resource-view host" in caught.value.remedy
    assert not process.answers()
