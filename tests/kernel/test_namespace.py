from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.linux import limit, mount, namespace, process
from sampan.linux.namespace import CloneFlag

if TYPE_CHECKING:
    from tests.kernel.conftest import PrivateHost

MAP = [(0, 100000, 65536)]


def in_clone(function: Callable[[], object], flags: int = 0, *, cgroup_fd: int = -1) -> str:
    """Call the function in a child of clone3 and return what it returned, as text."""
    read_end, write_end = os.pipe()
    pid, pidfd = namespace.clone3(flags, cgroup_fd=cgroup_fd)
    if pid == 0:
        try:
            text = f"child got {pidfd}" if pidfd != -1 else str(function())
        except BaseException as error:  # noqa: BLE001 - shown by the parent
            text = repr(error)
        os.write(write_end, text.encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        text = pipe.read()
    ended = process.wait_pidfd(pidfd)
    os.close(pidfd)
    assert ended == process.Exit(pid, 0, 0, core_dumped=False)
    return text


def inode(kind: str) -> int:
    return os.stat(f"/proc/self/ns/{kind}").st_ino


@pytest.mark.parametrize("kind", ["mnt", "uts", "ipc", "net", "cgroup", "user", "time"])
def test_a_child_gets_a_new_namespace_of_the_kind_asked_for_and_of_no_other(host: PrivateHost, kind: str) -> None:
    def check() -> set[str]:
        before = {each: inode(each) for each in namespace.KINDS}
        text = in_clone(lambda: [inode(each) for each in namespace.KINDS], namespace.KINDS[kind])
        after = dict(zip(namespace.KINDS, map(int, text.strip("[]").split(",")), strict=True))
        return {each for each in before if before[each] != after[each]}

    assert host.run(check) == {kind}


def test_a_child_in_a_new_pid_namespace_is_its_pid_1(host: PrivateHost) -> None:
    assert host.run(lambda: in_clone(os.getpid, CloneFlag.NEWPID)) == "1"


def test_the_child_knows_its_own_ids(host: PrivateHost) -> None:
    def check() -> tuple[str, int]:
        return in_clone(lambda: (os.getppid(), os.getpid() == int(os.readlink("/proc/self")))), os.getpid()

    text, parent = host.run(check)
    assert text == f"({parent}, True)"


def test_the_c_library_knows_the_thread_of_the_child(host: PrivateHost) -> None:
    # It remembers the thread's id, and clone3 has to have it renewed: the clock of the parent's thread is not ours.
    def check() -> str:
        return in_clone(lambda: time.clock_gettime(time.pthread_getcpuclockid(threading.get_ident())) >= 0)

    assert host.run(check) == "True"


def test_a_signal_that_the_child_raises_reaches_the_child(host: PrivateHost) -> None:
    def check() -> process.Exit | None:
        pid, pidfd = namespace.clone3(0)
        if pid == 0:
            signal.signal(signal.SIGUSR1, signal.SIG_DFL)
            signal.raise_signal(signal.SIGUSR1)
            os._exit(0)
        return process.wait_pidfd(pidfd)

    ended = host.run(check)
    assert ended is not None
    assert ended.signal == signal.SIGUSR1


def test_a_child_of_the_child_can_be_made_and_waited_for(host: PrivateHost) -> None:
    assert host.run(lambda: in_clone(lambda: in_clone(lambda: "inner", CloneFlag.NEWUTS), CloneFlag.NEWPID)) == "inner"


def test_the_pidfd_is_the_childs_and_close_on_exec(host: PrivateHost) -> None:
    def check() -> tuple[bool, bool, process.Exit | None]:
        pid, pidfd = namespace.clone3(0)
        if pid == 0:
            time.sleep(60)
        shown = f"Pid:\t{pid}\n" in Path(f"/proc/self/fdinfo/{pidfd}").read_text()
        process.pidfd_send_signal(pidfd, signal.SIGKILL)
        return shown, os.get_inheritable(pidfd), process.wait_pidfd(pidfd)

    shown, inheritable, ended = host.run(check)
    assert shown
    assert not inheritable
    assert ended is not None
    assert ended.signal == signal.SIGKILL


def test_the_exit_signal_is_the_one_asked_for(host: PrivateHost) -> None:
    def check(exit_signal: int) -> bool:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGUSR1})
        pid, pidfd = namespace.clone3(0, exit_signal=exit_signal)
        if pid == 0:
            os._exit(0)
        process.wait_pidfd(pidfd)
        return bool(signal.sigpending() == ({exit_signal} if exit_signal else set()))

    assert host.run(lambda: check(signal.SIGCHLD))
    assert host.run(lambda: check(signal.SIGUSR1))
    assert host.run(lambda: check(0))


def test_a_child_with_the_callers_parent_is_its_sibling(host: PrivateHost) -> None:
    def check() -> bool:
        middle, _ = namespace.clone3(0)
        if middle == 0:
            pid, _ = namespace.clone3(CloneFlag.PARENT)
            os._exit(0 if pid == 0 else 1)
        ended = {process.wait_any(block=True), process.wait_any(block=True)}
        return {exited.code for exited in ended if exited} == {0, 1} and middle in {x.pid for x in ended if x}

    assert host.run(check)


def test_a_child_starts_inside_a_cgroup(host: PrivateHost) -> None:
    unified = next((entry.target for entry in mount.mountinfo() if entry.fstype == "cgroup2"), None)
    if unified is None:
        pytest.skip("needs a cgroup v2 hierarchy")
    path = Path(unified) / f"sampan-test-clone-{os.getpid()}"
    path.mkdir()
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
        text = host.run(lambda: in_clone(lambda: Path("/proc/self/cgroup").read_text(), cgroup_fd=fd))
        os.close(fd)
        assert f"0::/{path.name}" in text
    finally:
        path.rmdir()


def test_a_descriptor_that_is_no_cgroup_is_refused(host: PrivateHost) -> None:
    with pytest.raises(OSError, match="clone3") as caught:
        host.run(lambda: namespace.clone3(0, cgroup_fd=os.open("/", os.O_RDONLY)))
    assert caught.value.errno == errno.EBADF


def test_flags_that_contradict_each_other_are_refused(host: PrivateHost) -> None:
    with pytest.raises(OSError, match="clone3") as caught:
        host.run(lambda: namespace.clone3(CloneFlag.NEWNS | 0x200))  # CLONE_FS
    assert caught.value.errno == errno.EINVAL


def test_a_hostname_in_a_new_namespace_stays_there(host: PrivateHost) -> None:
    def check() -> str:
        namespace.unshare(CloneFlag.NEWUTS)
        Path("/proc/sys/kernel/hostname").write_text("boat")
        return os.uname().nodename

    assert host.run(check) == "boat"
    assert os.uname().nodename != "boat"


def test_a_namespace_is_joined_by_its_descriptor(host: PrivateHost) -> None:
    def check() -> bool:
        before = namespace.open_namespace("self", "uts")
        first = inode("uts")
        namespace.unshare(CloneFlag.NEWUTS)
        left = inode("uts") != first
        namespace.setns(before, CloneFlag.NEWUTS)
        return left and inode("uts") == first

    assert host.run(check)


def test_several_namespaces_are_joined_at_once_through_a_pidfd(host: PrivateHost) -> None:
    def check() -> bool:
        pid, pidfd = namespace.clone3(CloneFlag.NEWUTS | CloneFlag.NEWIPC | CloneFlag.NEWNET)
        if pid == 0:
            time.sleep(60)
        kinds = ("uts", "ipc", "net")
        theirs = [os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in kinds]
        namespace.setns(pidfd, CloneFlag.NEWUTS | CloneFlag.NEWIPC | CloneFlag.NEWNET)
        return [inode(kind) for kind in kinds] == theirs

    assert host.run(check)


def test_a_namespace_of_another_kind_than_asked_for_is_refused(host: PrivateHost) -> None:
    with pytest.raises(OSError, match="setns") as caught:
        host.run(lambda: namespace.setns(namespace.open_namespace("self", "uts"), CloneFlag.NEWNET))
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("kind", sorted(namespace.KINDS))
def test_the_kind_of_a_namespace_is_told_from_its_descriptor(kind: str) -> None:
    fd = namespace.open_namespace("self", kind)
    assert not os.get_inheritable(fd)
    assert namespace.kind_of(fd) == kind
    os.close(fd)


def test_what_is_no_namespace_has_no_kind(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    with pytest.raises(OSError, match="ioctl"):
        namespace.kind_of(fd)
    os.close(fd)


def test_a_user_namespace_is_made_with_its_maps_and_no_process(host: PrivateHost) -> None:
    def check() -> tuple[str, str, int, bool]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        descriptors = len(os.listdir("/proc/self/fd"))
        fd = namespace.make_user_namespace([(0, 100000, 65536), (65536, 5, 1)], MAP)
        quiet = not signal.sigpending()
        left_open = len(os.listdir("/proc/self/fd")) - descriptors
        namespace.setns(fd, CloneFlag.NEWUSER)
        return Path("/proc/self/uid_map").read_text(), Path("/proc/self/gid_map").read_text(), left_open, quiet

    uid_map, gid_map, left_open, quiet = host.run(check)
    assert [line.split() for line in uid_map.splitlines()] == [["0", "100000", "65536"], ["65536", "5", "1"]]
    assert gid_map.split() == ["0", "100000", "65536"]
    assert left_open == 1
    assert quiet


def test_a_child_that_waits_for_another_thread_s_lock_does_not_keep_a_user_namespace_from_being_made(
    host: PrivateHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait_for_ever(*_: int) -> None:
        time.sleep(3600)

    def check() -> bool:
        monkeypatch.setattr(os, "read", wait_for_ever)
        os.close(namespace.make_user_namespace(MAP, MAP))
        with pytest.raises(ChildProcessError):
            process.wait_any()
        return True

    assert host.run(check)


@pytest.mark.parametrize("maps", [[], [(0, 100000, 10), (5, 200000, 10)], [(0, 1, 1)] * 341])
def test_maps_that_the_kernel_refuses_are_an_error_that_shows_them(
    host: PrivateHost, maps: list[tuple[int, int, int]]
) -> None:
    def check() -> tuple[int, int]:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="write '") as caught:
            namespace.make_user_namespace(maps, MAP)
        assert caught.value.errno == errno.EINVAL
        assert str(caught.value.filename).endswith("/uid_map")
        with pytest.raises(ChildProcessError):
            process.wait_any()
        return before, len(os.listdir("/proc/self/fd"))

    before, after = host.run(check)
    assert before == after


@pytest.mark.parametrize("line", [(0, 1 << 32, 1), (1 << 32, 0, 1), (-1, 0, 1), (0, 0, 0), (0, 0, (1 << 32) + 1)])
def test_an_id_map_that_the_kernel_would_cut_to_32_bits_is_refused(
    host: PrivateHost, line: tuple[int, int, int]
) -> None:
    with pytest.raises(OSError, match=f"not an id map: {line[0]} {line[1]} {line[2]}") as caught:
        host.run(lambda: namespace.make_user_namespace([line], MAP))
    assert caught.value.errno == errno.EINVAL


def test_a_user_namespace_that_cannot_be_made_leaves_no_descriptor(host: PrivateHost) -> None:
    def check() -> tuple[int, int]:
        limit.prlimit(0, limit.NUMBERS["RLIMIT_NPROC"], 0, 0)
        process.set_ids(1000, 1000, [])
        process.set_dumpable(True)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(BlockingIOError, match="clone3"):
            namespace.make_user_namespace(MAP, MAP)
        return before, len(os.listdir("/proc/self/fd"))

    before, after = host.run(check)
    assert before == after


def test_the_owner_of_a_namespace_is_the_user_namespace_it_was_made_in(host: PrivateHost) -> None:
    def check() -> tuple[str, bool]:
        pid, _ = namespace.clone3(CloneFlag.NEWUSER | CloneFlag.NEWUTS)
        if pid == 0:
            time.sleep(60)
        owner = namespace.owner_of(namespace.open_namespace(pid, "uts"))
        return namespace.kind_of(owner), os.fstat(owner).st_ino == os.stat(f"/proc/{pid}/ns/user").st_ino

    assert host.run(check) == ("user", True)


def test_setgroups_is_denied_in_a_user_namespace(host: PrivateHost) -> None:
    def check() -> tuple[str, int]:
        pid, _ = namespace.clone3(CloneFlag.NEWUSER)
        if pid == 0:
            time.sleep(60)
        namespace.deny_setgroups(pid)
        namespace.write_id_map(pid, "uid", MAP)
        namespace.write_id_map(pid, "gid", MAP)
        namespace.setns(namespace.open_namespace(pid, "user"), CloneFlag.NEWUSER)
        with pytest.raises(PermissionError) as caught:
            process.set_supplementary_groups([1])
        return Path(f"/proc/{pid}/setgroups").read_text(), caught.value.errno or 0

    assert host.run(check) == ("deny\n", errno.EPERM)


def test_ids_in_a_user_namespace_are_those_of_its_maps(host: PrivateHost) -> None:
    def check() -> tuple[int, int, list[int], int]:
        Path("file").touch()
        os.chown("file", 100005, 100006)
        namespace.setns(namespace.make_user_namespace(MAP, MAP), CloneFlag.NEWUSER)
        process.set_ids(5, 6, [7, 8])
        return os.getuid(), os.getgid(), os.getgroups(), os.stat("file").st_uid

    assert host.run(check) == (5, 6, [7, 8], 5)


def test_clocks_of_a_time_namespace_have_their_offsets(host: PrivateHost) -> None:
    def check() -> tuple[float, float]:
        namespace.unshare(CloneFlag.NEWTIME)
        namespace.write_time_offsets("self", [("monotonic", 1000, 0), ("boottime", 5000, 500_000_000)])
        monotonic, boottime = time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME)
        text = in_clone(lambda: f"{time.clock_gettime(time.CLOCK_MONOTONIC)} {time.clock_gettime(time.CLOCK_BOOTTIME)}")
        first, second = map(float, text.split())
        return first - monotonic, second - boottime

    monotonic, boottime = host.run(check)
    assert 1000 <= monotonic < 1100
    assert 5000.5 <= boottime < 5100


def test_offsets_are_frozen_once_a_process_is_inside(host: PrivateHost) -> None:
    def check() -> int:
        pid, _ = namespace.clone3(CloneFlag.NEWTIME)
        if pid == 0:
            time.sleep(60)
        with pytest.raises(OSError, match="timens_offsets") as caught:
            namespace.write_time_offsets(pid, [("monotonic", 1, 0)])
        return caught.value.errno or 0

    assert host.run(check) == errno.EACCES


def test_a_clock_that_has_no_offset_is_refused_by_name(host: PrivateHost) -> None:
    def check() -> None:
        namespace.unshare(CloneFlag.NEWTIME)
        namespace.write_time_offsets("self", [("realtime", 1, 0)])

    with pytest.raises(OSError, match="realtime 1 0"):
        host.run(check)
