"""Pseudo-terminals and terminal settings (pty(7), ioctl_tty(2), termios(3)).

Who is attached to a terminal, and what a detach key is, is not known here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import termios
from typing import Any, NamedTuple

from sampan.linux.openat import Resolve, openat2

_TIOCSPTLCK = 0x40045431
_TIOCGPTN = 0x80045430
_TIOCGPTPEER = 0x5441
_PTMX = os.makedev(5, 2)
_WINDOW_SIZE = struct.Struct("=4H")
_INT = struct.Struct("=i")


class WindowSize(NamedTuple):
    """A terminal's size in characters."""

    rows: int
    columns: int


def open_pty(devpts_fd: int = -1) -> tuple[int, int]:
    """Open a new pseudo-terminal: (master, slave), both close-on-exec and nobody's controlling terminal.

    `devpts_fd` is a descriptor of a devpts mount's root, also of a detached or another namespace's; without one it is
    /dev/ptmx. The slave comes from the master itself (TIOCGPTPEER), never from a path that a container could change.
    """
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    if devpts_fd < 0:
        master = os.open("/dev/ptmx", flags)
    else:
        # O_PATH first: only what is known to be the multiplexer is opened for use
        found = openat2(
            devpts_fd, "ptmx", os.O_PATH | os.O_NOFOLLOW, 0, Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_XDEV
        )
        try:
            status = os.fstat(found)
        finally:
            os.close(found)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _PTMX:
            raise OSError(errno.ENODEV, "not the multiplexer of a devpts file system", "ptmx")
        master = openat2(devpts_fd, "ptmx", flags, 0, Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_XDEV)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, _INT.pack(0))
        return master, fcntl.ioctl(master, _TIOCGPTPEER, flags)
    except BaseException:
        os.close(master)
        raise


def pty_number(master: int) -> int:
    """The number that the slave has in its devpts (TIOCGPTN)."""
    number: int = _INT.unpack(fcntl.ioctl(master, _TIOCGPTN, bytes(_INT.size)))[0]
    return number


def set_window_size(fd: int, rows: int, columns: int) -> None:
    """TIOCSWINSZ; the foreground process group gets SIGWINCH when it changes."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, _WINDOW_SIZE.pack(rows, columns, 0, 0))


def get_window_size(fd: int) -> WindowSize:
    """TIOCGWINSZ."""
    rows, columns, _, _ = _WINDOW_SIZE.unpack(fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(_WINDOW_SIZE.size)))
    return WindowSize(rows, columns)


def make_controlling(fd: int) -> None:
    """Make the terminal the controlling one of the caller, which must be a session leader without any (TIOCSCTTY)."""
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def set_raw(fd: int) -> list[Any]:
    """Put the terminal into raw mode (cfmakeraw(3)) and return the settings from before, for `restore`."""
    import tty  # the OCI command, which is slow by every import, seldom needs it

    before = termios.tcgetattr(fd)
    wanted = termios.tcgetattr(fd)
    tty.cfmakeraw(wanted)
    wanted[0] &= ~termios.ICRNL  # which some Pythons leave
    termios.tcsetattr(fd, termios.TCSADRAIN, wanted)
    return before


def restore(fd: int, settings: list[Any]) -> None:
    """Put back what set_raw returned, after what was written has gone out."""
    termios.tcsetattr(fd, termios.TCSADRAIN, settings)
