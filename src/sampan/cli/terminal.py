"""The terminal that the command runs in: its size, and raw mode with the way back.

Loaded only where a terminal matters. termios(3).
"""

from __future__ import annotations

import posix
import termios
import tty

STDIN, STDOUT, STDERR = 0, 1, 2


def window_size(fd: int) -> tuple[int, int]:
    """(rows, columns) of the terminal behind `fd`; (0, 0) when there is none."""
    try:
        size = posix.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return size.lines, size.columns


class RawMode:
    """The terminal behind `fd` in raw mode, from `enter` to `leave`; both may be called again and again."""

    def __init__(self, fd: int = STDIN) -> None:
        self._fd = fd
        self._before: list[object] | None = None

    def enter(self) -> None:
        """What is typed goes through byte by byte, unechoed (cfmakeraw in termios(3))."""
        if self._before is not None or not posix.isatty(self._fd):
            return
        before = termios.tcgetattr(self._fd)
        raw = termios.tcgetattr(self._fd)
        tty.cfmakeraw(raw)
        raw[0] &= ~termios.ICRNL  # which some Pythons leave
        termios.tcsetattr(self._fd, termios.TCSADRAIN, raw)
        self._before = before

    def leave(self) -> None:
        """As it was before."""
        if self._before is None:
            return
        before, self._before = self._before, None
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)  # type: ignore[arg-type] # what tcgetattr gave
        except termios.error:
            return  # the terminal is gone, and its mode with it


def read_keys(text: str) -> bytes:
    """The bytes of --detach-keys: letters, or ctrl- and a letter or sign, with commas between.

    Raises ValueError for anything else.
    """
    found = bytearray()
    for key in text.split(","):
        if len(key) == 1:
            found += key.encode()
        elif key.startswith("ctrl-") and len(key) == 6 and key[5] in "abcdefghijklmnopqrstuvwxyz@[\\]^_":
            found.append(ord(key[5].upper()) & 0x1F)
        else:
            raise ValueError(f"{key!r} is no key (write letters, or ctrl-p and the like)")
    return bytes(found)


class KeyWatch:
    """Sees whether a sequence of keys has been typed; the daemon acts on it, here it is only known that it will."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._at = 0
        self.seen = False

    def feed(self, data: bytes) -> None:
        """Look at what was typed."""
        for byte in data:
            if byte == self._keys[self._at]:
                self._at += 1
                if self._at == len(self._keys):
                    self.seen = True
                    self._at = 0
            else:
                self._at = 1 if byte == self._keys[0] else 0
