from __future__ import annotations

import errno
import fcntl
import os
import signal
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.linux import process, terminal


@pytest.fixture
def pty() -> Iterator[tuple[int, int]]:
    master, slave = terminal.open_pty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_what_one_end_writes_the_other_reads(pty: tuple[int, int]) -> None:
    master, slave = pty
    os.write(slave, b"out\n")
    assert os.read(master, 100) == b"out\r\n"
    os.write(master, b"in\n")
    assert os.read(slave, 100) == b"in\n"


def test_both_ends_are_close_on_exec_and_nobodys_controlling_terminal(pty: tuple[int, int]) -> None:
    assert not any(os.get_inheritable(fd) for fd in pty)
    assert os.ttyname(pty[1]) == f"/dev/pts/{terminal.pty_number(pty[0])}"

    def check() -> bool:
        os.setsid()  # a session leader is given a terminal that it opens without O_NOCTTY
        _, slave = terminal.open_pty()
        with pytest.raises(OSError, match="Inappropriate ioctl"):
            os.tcgetpgrp(slave)
        return True

    pid = os.fork()
    if pid == 0:
        os._exit(0 if check() else 1)
    ended = process.wait_pid(pid)
    assert ended is not None
    assert ended.status == 0


def test_a_window_size_set_on_one_end_is_seen_on_the_other(pty: tuple[int, int]) -> None:
    terminal.set_window_size(pty[0], 24, 65535)
    assert terminal.get_window_size(pty[1]) == terminal.WindowSize(rows=24, columns=65535)


def test_a_session_leader_makes_it_its_controlling_terminal(pty: tuple[int, int]) -> None:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        terminal.make_controlling(pty[1])
        os._exit(0 if os.tcgetpgrp(pty[1]) == os.getpgrp() and os.open("/dev/tty", os.O_RDWR) >= 0 else 1)
    ended = process.wait_pid(pid)
    assert ended is not None
    assert ended.status == 0


def test_interrupt_reaches_the_foreground_of_the_controlling_terminal(pty: tuple[int, int]) -> None:
    ready, ready_in_child = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.setsid()
        terminal.make_controlling(pty[1])
        os.write(ready_in_child, b".")
        signal.pause()
        os._exit(1)
    os.read(ready, 1)
    os.write(pty[0], b"\x03")
    ended = process.wait_pid(pid)
    assert ended is not None
    assert ended.signal == signal.SIGINT
    os.close(ready)
    os.close(ready_in_child)


def test_raw_mode_passes_every_byte_and_is_undone(pty: tuple[int, int]) -> None:
    master, slave = pty
    every_byte = bytes(range(256))
    before = terminal.set_raw(slave)
    os.write(master, every_byte)
    assert os.read(slave, 1000) == every_byte
    os.write(slave, every_byte)
    assert os.read(master, 1000) == every_byte
    assert termios.tcgetattr(slave) != before
    terminal.restore(slave, before)
    assert termios.tcgetattr(slave) == before


def test_raw_mode_is_that_of_cfmakeraw(pty: tuple[int, int]) -> None:
    settings = termios.tcgetattr(pty[1])
    cleared = (
        {"IGNBRK", "BRKINT", "PARMRK", "ISTRIP", "INLCR", "IGNCR", "ICRNL", "IXON"},
        {"OPOST"},
        {"PARENB"},
        {"ECHO", "ECHONL", "ICANON", "ISIG", "IEXTEN"},
    )
    kept = ({"IMAXBEL", "IUTF8"}, {"ONLCR"}, {"CREAD", "HUPCL"}, {"ECHOCTL"})
    for index, names in enumerate(zip(cleared, kept, strict=True)):
        for name in names[0] | names[1]:
            settings[index] |= getattr(termios, name, 0o40000 if name == "IUTF8" else 0)
    settings[6][termios.VMIN], settings[6][termios.VTIME] = 9, 9
    termios.tcsetattr(pty[1], termios.TCSANOW, settings)
    before = termios.tcgetattr(pty[1])
    assert terminal.set_raw(pty[1]) == before
    raw = termios.tcgetattr(pty[1])
    for index, names in enumerate(zip(cleared, kept, strict=True)):
        assert {name for name in names[0] if raw[index] & getattr(termios, name)} == set()
        assert {name for name in names[1] - {"IUTF8"} if not raw[index] & getattr(termios, name)} == set()
    assert raw[2] & termios.CSIZE == termios.CS8
    assert (raw[6][termios.VMIN], raw[6][termios.VTIME]) == (1, 0)


def test_a_kernel_that_gives_no_slave_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOTTY, "no such thing")

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(fcntl, "ioctl", fail)
    with pytest.raises(OSError, match="no such thing"):
        terminal.open_pty()
    assert os.listdir("/proc/self/fd") == before


def test_what_is_no_multiplexer_is_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH)
    with pytest.raises(FileNotFoundError):
        terminal.open_pty(fd)
    descriptors = os.listdir("/proc/self/fd")
    (tmp_path / "ptmx").touch()
    with pytest.raises(OSError, match="not the multiplexer"):
        terminal.open_pty(fd)
    (tmp_path / "ptmx").unlink()
    (tmp_path / "ptmx").symlink_to("/dev/ptmx")
    with pytest.raises(OSError, match="not the multiplexer"):
        terminal.open_pty(fd)
    assert os.listdir("/proc/self/fd") == descriptors
    os.close(fd)
