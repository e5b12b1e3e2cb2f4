from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.mount_trees import error_of

from sampan.linux import executable, libc, mount, namespace, process
from sampan.linux.mount import AT_FDCWD, MountAttr, MountFlag
from sampan.linux.namespace import CloneFlag

if TYPE_CHECKING:
    from tests.kernel.conftest import PrivateHost


def started(fd: int, *arguments: str) -> int:
    """Execute the descriptor in a child that then waits, and return its pid."""
    pid = os.fork()
    if pid == 0:
        process.execve(f"/proc/self/fd/{fd}", ["sealed", *arguments], [])
    while not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sealed\0"):
        assert process.wait_pid(pid, block=False) is None
    return pid


def test_the_interpreter_runs_from_its_sealed_binary(host: PrivateHost) -> None:
    def check() -> tuple[str, process.Exit | None]:
        fd = process.sealed_executable()
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(write_end, 1)
            code = "import ctypes, sys; print(sys.version_info[:2], sys.executable)"
            process.execve(f"/proc/self/fd/{fd}", [sys.executable, "-c", code], [])
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            return pipe.read(), process.wait_pid(pid)

    text, ended = host.run(check)
    assert text == f"{sys.version_info[:2]} {sys.executable}\n"
    assert ended is not None
    assert ended.status == 0


def test_a_sealed_binary_cannot_be_written_even_when_it_no_longer_runs(host: PrivateHost) -> None:
    # While it runs the kernel says ETXTBSY to everyone; what counts is who may write when it has ended.
    def check() -> tuple[int, int, int, int]:
        shutil.copy("/bin/sleep", "sleep")
        fd = executable.read_only_executable(os.path.realpath("sleep"))
        pid = started(fd, "1000")
        held = os.open(f"/proc/{pid}/exe", os.O_PATH)
        running = error_of(lambda: os.open(f"/proc/{pid}/exe", os.O_WRONLY))
        truncated = error_of(lambda: os.open(f"/proc/{pid}/exe", os.O_WRONLY | os.O_TRUNC))
        os.kill(pid, signal.SIGKILL)
        process.wait_pid(pid)
        ended = error_of(lambda: os.open(f"/proc/self/fd/{held}", os.O_WRONLY))
        return running, truncated, ended, error_of(lambda: os.open("sleep", os.O_WRONLY))

    assert host.run(check) == (errno.ETXTBSY, errno.EROFS, errno.EROFS, 0)


def test_nobody_makes_a_sealed_binary_writable_again(host: PrivateHost) -> None:
    # The view of a container with every capability, and the engine's binary as its pid 1.
    def check() -> list[int]:
        shutil.copy("/bin/sleep", "sleep")
        fd = executable.read_only_executable(os.path.realpath("sleep"))
        pid = started(fd, "1000")
        exe = f"/proc/{pid}/exe"
        namespace.unshare(CloneFlag.NEWNS)
        held = os.open(exe, os.O_PATH)
        os.mkdir("at")
        Path("file").touch()
        tried = [
            error_of(lambda: mount.mount_setattr(held, clear=MountAttr.RDONLY)),
            error_of(lambda: mount.mount_setattr(AT_FDCWD, exe, clear=MountAttr.RDONLY)),
            error_of(lambda: mount.open_tree(AT_FDCWD, exe, clone=True)),
            error_of(lambda: mount.open_tree(held, "", clone=True)),
            error_of(lambda: mount.mount("", exe, "", MountFlag.REMOUNT | MountFlag.BIND)),
            error_of(lambda: mount.mount(exe, "file", "", MountFlag.BIND)),
            error_of(lambda: mount.move_mount(held, (AT_FDCWD, "file"))),
        ]
        os.kill(pid, signal.SIGKILL)
        process.wait_pid(pid)
        return [*tried, error_of(lambda: os.open(f"/proc/self/fd/{held}", os.O_WRONLY))]

    assert host.run(check) == [errno.EINVAL] * 7 + [errno.EROFS]


def test_a_process_that_runs_from_a_sealed_binary_needs_no_other(host: PrivateHost) -> None:
    def check() -> tuple[str, int]:
        fd = process.sealed_executable()
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(write_end, 1)
            code = (
                f"import os, sys; sys.path[:0] = {sys.path!r}\n"
                "from sampan.linux import executable\n"
                "before = len(os.listdir('/proc/self/fd'))\n"
                "fd = executable.sealed_executable()\n"
                "print(os.path.samestat(os.stat(fd), os.stat('/proc/self/exe')),"
                " bool(os.fstatvfs(fd).f_flag & os.ST_RDONLY), len(os.listdir('/proc/self/fd')) - before)\n"
                "print(fd)"
            )
            process.execve(f"/proc/self/fd/{fd}", [sys.executable, "-c", code], [])
        os.close(write_end)
        process.wait_pid(pid)
        with os.fdopen(read_end) as pipe:
            return pipe.readline().strip(), os.fstat(fd).st_ino - os.stat(sys.executable).st_ino

    assert host.run(check) == ("True True 1", 0)


def test_the_running_interpreter_cannot_be_truncated_through_itself(host: PrivateHost) -> None:
    def check() -> int:
        fd = process.sealed_executable()
        assert not os.get_inheritable(fd)
        pid = started(fd, "-c", "import time; time.sleep(1000)")
        return error_of(lambda: os.open(f"/proc/{pid}/exe", os.O_WRONLY | os.O_TRUNC))

    assert host.run(check) == errno.EROFS


@pytest.mark.parametrize("missing", ["open_tree", "mount_setattr"])
def test_without_the_kernels_help_the_binary_is_a_sealed_copy(
    host: PrivateHost, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delitem(libc.NUMBERS, missing)
    assert host.run(copy_is_sealed)


def test_without_privilege_the_binary_is_a_sealed_copy(host: PrivateHost) -> None:
    def check() -> bool:
        process.set_ids(1000, 1000, [])
        process.set_dumpable(True)
        return copy_is_sealed()

    assert host.run(check)


def test_a_copy_can_be_executed_where_memory_files_are_not_executable_by_default(host: PrivateHost) -> None:
    def check() -> int:
        Path("/proc/sys/vm/memfd_noexec").write_text("1")
        fd = executable.copied_executable("/bin/true")
        pid = os.fork()
        if pid == 0:
            process.execve(f"/proc/self/fd/{fd}", ["true"], [])
        ended = process.wait_pid(pid)
        return ended.status if ended else -1

    assert host.run(check, pid=True) == 0


def test_a_binary_that_cannot_be_sealed_for_want_of_descriptors_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "too many")

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(executable, "open_tree", fail)
    with pytest.raises(OSError, match="too many"):
        executable.sealed_executable()
    monkeypatch.setattr(os, "sendfile", fail)
    with pytest.raises(OSError, match="too many"):
        executable.copied_executable()
    monkeypatch.setattr(os, "memfd_create", fail)
    with pytest.raises(OSError, match="too many"):
        executable.copied_executable()
    assert os.listdir("/proc/self/fd") == before


def copy_is_sealed() -> bool:
    descriptors = len(os.listdir("/proc/self/fd"))
    fd = process.sealed_executable()
    assert len(os.listdir("/proc/self/fd")) == descriptors + 1
    assert os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:")
    assert not os.get_inheritable(fd)
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o755
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & 0xF == 0xF  # no more seals, no shrinking, growing or writing
    with open(f"/proc/self/fd/{fd}", "rb") as copy, open("/proc/self/exe", "rb") as own:
        assert copy.read() == own.read()
    pid = started(fd, "-c", "import time; time.sleep(1000)")
    held = os.open(f"/proc/{pid}/exe", os.O_PATH)
    os.kill(pid, signal.SIGKILL)
    process.wait_pid(pid)
    writable = os.open(f"/proc/self/fd/{held}", os.O_WRONLY)
    return (
        error_of(lambda: os.write(writable, b"x")) == errno.EPERM
        and error_of(lambda: os.ftruncate(writable, 0)) == errno.EPERM
        and error_of(lambda: os.ftruncate(writable, 1 << 30)) == errno.EPERM
    )
