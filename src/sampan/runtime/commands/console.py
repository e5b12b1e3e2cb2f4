"""The caller's end of a container's terminal: handed over to another process, or relayed to the caller's own.

Which of both it is, `create`, `run` and `exec` decide; the terminal itself is made inside the container.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import stat
import termios

from sampan.errors import InvalidArgument
from sampan.linux import terminal
from sampan.linux.socket_path import reachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_PIECE = 65536


def check_console(path: str, *, has_terminal: bool, stays: bool) -> None:
    """Refuse what cannot be, before anything is started.

    A terminal needs someone at its other end: this process when it `stays`, else whoever listens at `path`.
    """
    if has_terminal and not stays and not path:
        raise InvalidArgument(
            "a detached container with a terminal needs a console socket",
            remedy="use --console-socket, or no terminal",
        )
    if path and not has_terminal:
        raise InvalidArgument("--console-socket is for containers with a terminal", remedy="set process.terminal")
    if path and not _is_socket(path):
        raise InvalidArgument(f"--console-socket {path!r} is not a unix socket")


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def send_console(path: str, master: int) -> None:
    """Send the master to the process that listens at `path`, as runc and crun do it, and close it here."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, reachable(path) as near:
            connection.connect(near)
            rights = array.array("i", [master])
            connection.sendmsg([b"/dev/ptmx"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    finally:
        os.close(master)


class Relay:
    """Copies between a terminal's master and the caller's standard input and output; a context manager.

    The caller's terminal is raw meanwhile, and its size is the container's. Output that goes to a file or a pipe has
    plain line feeds.
    """

    def __init__(self, master: int) -> None:
        self.master = master
        self._is_terminal = os.isatty(0)
        self._settings: list[object] | None = None

    def __enter__(self) -> Self:
        if self._is_terminal:
            self._settings = terminal.set_raw(0)
            self.resize()
        return self

    def __exit__(self, *_: object) -> None:
        if self._settings is not None:
            terminal.restore(0, self._settings)
        os.close(self.master)

    def resize(self) -> None:
        """Give the container's terminal the size of the caller's."""
        if self._is_terminal:
            size = terminal.get_window_size(0)
            with contextlib.suppress(OSError):
                terminal.set_window_size(self.master, size.rows, size.columns)

    def to_container(self) -> bool:
        """Copy what the caller typed; False at the end of input."""
        piece = os.read(0, _PIECE)
        with contextlib.suppress(OSError):  # nobody reads it any more
            _write_all(self.master, piece)
        return bool(piece)

    def from_container(self) -> bool:
        """Copy what the container wrote; False when its terminal is closed everywhere."""
        try:
            piece = os.read(self.master, _PIECE)
        except OSError:  # EIO: no slave is open
            return False
        _write_all(1, piece)
        return bool(piece)

    def drain(self) -> None:
        """Copy what is left after the program's end, without waiting for others that hold the terminal open."""
        os.set_blocking(self.master, False)
        while self.from_container():
            pass


def keep_line_feeds(master: int) -> None:
    """Stop the terminal from writing a carriage return before each line feed, when nobody sees it on a screen."""
    if not os.isatty(1):
        settings = termios.tcgetattr(master)
        settings[1] &= ~termios.ONLCR
        termios.tcsetattr(master, termios.TCSANOW, settings)


def _write_all(fd: int, content: bytes) -> None:
    while content:
        content = content[os.write(fd, content) :]
