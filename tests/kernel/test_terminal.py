from __future__ import annotations

import errno
import os
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from sampan.linux import mount, namespace, process, terminal
from sampan.linux.mount import AT_FDCWD
from sampan.linux.namespace import CloneFlag

if TYPE_CHECKING:
    from tests.kernel.conftest import PrivateHost

OPTIONS = [("newinstance", None), ("ptmxmode", "0666"), ("mode", "0620")]


def test_a_terminal_comes_from_a_devpts_that_is_mounted_nowhere(host: PrivateHost) -> None:
    def check() -> tuple[int, int, bytes]:
        devpts = mount.make_filesystem("devpts", OPTIONS)
        master, slave = terminal.open_pty(devpts)
        before = len(os.listdir("/proc/self/fd"))
        second, _ = terminal.open_pty(devpts)
        assert len(os.listdir("/proc/self/fd")) == before + 2
        os.write(slave, b"hello")
        assert not os.get_inheritable(master)
        assert not os.get_inheritable(slave)
        return terminal.pty_number(master), terminal.pty_number(second), os.read(master, 10)

    assert host.run(check) == (0, 1, b"hello")


def test_a_terminal_comes_from_the_devpts_of_another_mount_namespace(host: PrivateHost) -> None:
    def check() -> tuple[int, str, bool]:
        os.mkdir("pts")
        ready, ready_in_child = os.pipe()
        pid, _ = namespace.clone3(CloneFlag.NEWNS)
        if pid == 0:
            mount.mount("devpts", "pts", "devpts", 0, "newinstance,ptmxmode=0666")
            os.write(ready_in_child, b".")
            signal.pause()
        os.read(ready, 1)
        devpts = os.open(f"/proc/{pid}/root{os.getcwd()}/pts", os.O_PATH | os.O_DIRECTORY)
        master, slave = terminal.open_pty(devpts)
        seen = os.stat("0", dir_fd=devpts)
        return (
            terminal.pty_number(master),
            os.listdir("pts")[0] if os.listdir("pts") else "",
            os.path.samestat(seen, os.fstat(slave)),
        )

    assert host.run(check) == (0, "", True)


def test_the_slave_does_not_come_from_what_lies_over_its_path(host: PrivateHost) -> None:
    # CVE-2025-52565: /dev/pts/N may be anything by the time it is looked up
    def check() -> tuple[bool, bytes]:
        os.mkdir("pts")
        devpts = mount.make_filesystem("devpts", OPTIONS)
        mount.move_mount(devpts, (AT_FDCWD, "pts"))
        first, _ = terminal.open_pty(devpts)
        with open("trap", "w"):
            pass
        mount.move_mount(mount.open_tree(AT_FDCWD, "trap", clone=True), (AT_FDCWD, f"pts/{terminal.pty_number(first)}"))
        os.close(first)
        master, slave = terminal.open_pty(devpts)
        os.write(master, b"line\n")
        return os.isatty(slave), os.read(slave, 10)

    assert host.run(check) == (True, b"line\n")


def test_another_device_in_the_place_of_the_multiplexer_is_refused(host: PrivateHost) -> None:
    def check() -> None:
        os.mkdir("pts")
        os.mknod("pts/ptmx", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        terminal.open_pty(os.open("pts", os.O_PATH))

    with pytest.raises(OSError, match="not the multiplexer"):
        host.run(check)


def test_what_is_mounted_over_the_multiplexer_is_refused(host: PrivateHost) -> None:
    def check() -> None:
        os.mkdir("pts")
        devpts = mount.make_filesystem("devpts", OPTIONS)
        mount.move_mount(devpts, (AT_FDCWD, "pts"))
        mount.move_mount(mount.open_tree(AT_FDCWD, "/dev/ptmx", clone=True), (AT_FDCWD, "pts/ptmx"))
        terminal.open_pty(devpts)

    with pytest.raises(OSError, match="openat2") as caught:
        host.run(check)
    assert caught.value.errno == errno.EXDEV


def test_a_terminal_that_cannot_be_had_leaves_no_descriptor(host: PrivateHost) -> None:
    def check() -> bool:
        devpts = mount.make_filesystem("devpts", [*OPTIONS, ("max", "1")])
        terminal.open_pty(devpts)
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="openat2") as caught:
            terminal.open_pty(devpts)
        assert caught.value.errno == errno.ENOSPC
        return os.listdir("/proc/self/fd") == before

    assert host.run(check)


def test_a_slave_can_be_bound_over_a_file_by_its_descriptor(host: PrivateHost) -> None:
    def check() -> bool:
        os.mkdir("pts")
        devpts = mount.make_filesystem("devpts", OPTIONS)
        mount.move_mount(devpts, (AT_FDCWD, "pts"))
        _, slave = terminal.open_pty(devpts)
        with open("console", "w"):
            pass
        mount.move_mount(mount.open_tree(slave, "", clone=True), (AT_FDCWD, "console"))
        return os.path.samestat(os.stat("console"), os.fstat(slave))

    assert host.run(check)


def test_a_program_in_another_namespace_has_the_terminal_as_its_own(host: PrivateHost) -> None:
    def check() -> str:
        os.mkdir("pts")
        devpts = mount.make_filesystem("devpts", OPTIONS)
        master, slave = terminal.open_pty(devpts)
        pid, pidfd = namespace.clone3(CloneFlag.NEWNS | CloneFlag.NEWPID)
        if pid == 0:
            mount.move_mount(devpts, (AT_FDCWD, "pts"))
            os.setsid()
            terminal.make_controlling(slave)
            for fd in range(3):
                os.dup2(slave, fd)
            process.execve(
                "/bin/sh",
                ["sh", "-c", "stty -a </dev/tty | head -n 1; exit 3"],
                ["PATH=/bin:/usr/bin"],
            )
        terminal.set_window_size(master, 33, 77)
        os.close(slave)
        text = os.read(master, 1000).decode()
        ended = process.wait_pidfd(pidfd)
        assert ended is not None
        assert ended.status == 3
        return text

    assert "rows 33; columns 77" in host.run(check)
