"""A log file that rotates by size: `path`, then `path.1` and so on, the oldest with the highest number.

It is given whole lines and knows nothing of what they say. A reader that has a file open keeps it through a rotation:
files are renamed and unlinked, never truncated (see `log_reader`).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from sampan.linux.process import close_range
from sampan.monitor.loop import READABLE, Loop

_MODE = 0o640


class LogFile:
    """The file at `path`, appended to.

    It rotates before a line when it has grown to `max_size_bytes`, and of `max_files` the oldest is dropped; 0 for
    either never rotates. With `compress`, rotated files become `path.1.gz`, … by a child process. A write that fails (a
    full disk) loses what it was given, never part of a line; `on_trouble` is told.
    """

    def __init__(
        self,
        loop: Loop,
        path: str,
        *,
        max_size_bytes: int,
        max_files: int,
        compress: bool,
        on_trouble: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._path = path
        self._limit = max_size_bytes if max_files > 0 else 0
        self._max_files = max_files
        self._compress = compress and max_files > 1
        self._on_trouble = on_trouble
        self._compressing: tuple[int, int] | None = None  # pid and pidfd
        self._descriptor = self._open(0)
        self._size = os.fstat(self._descriptor).st_size

    def append(self, lines: bytes) -> None:
        """Write whole lines."""
        try:
            while self._limit > 0 and self._size + len(lines) > self._limit:
                room = self._limit - self._size
                if room > 0:
                    cut = lines.index(b"\n", room - 1) + 1
                    self._write(lines[:cut])
                    lines = lines[cut:]
                if not lines:
                    return
                self._rotate()
            if lines:
                self._write(lines)
        except OSError as error:
            self._on_trouble(f"log lines were lost: {self._path}: {error.strerror}")

    def close(self) -> None:
        """Close it, when the compression of an older one has ended too."""
        self._wait_for_compression()
        os.close(self._descriptor)

    def _open(self, flags: int) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | flags, _MODE)

    def _write(self, lines: bytes) -> None:
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._descriptor, memoryview(lines)[written:])
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += written

    def _rotate(self) -> None:
        self._wait_for_compression()
        with contextlib.suppress(FileNotFoundError):  # someone removed the log: begin a new one
            if self._max_files > 1:
                for number in range(self._max_files - 1, 1, -1):
                    self._rename(number - 1, number)
                os.rename(self._path, f"{self._path}.1")
            else:
                os.unlink(self._path)
        full = self._descriptor
        try:
            self._descriptor = self._open(os.O_EXCL)
            self._size = 0
        except OSError:
            # without a new one, the old one goes on under its own name
            if self._max_files > 1:
                os.rename(f"{self._path}.1", self._path)
            raise
        os.close(full)
        if self._compress:
            self._begin_compression()

    def _rename(self, number: int, to: int) -> None:
        for old, new in ((".gz", ""), ("", ".gz")):
            # a name of either kind makes way, so that no file is read twice
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self._path}.{number}{old}", f"{self._path}.{to}{old}")
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{self._path}.{to}{new}")

    def _begin_compression(self) -> None:
        pid = os.fork()
        if pid == 0:
            _compress_and_exit(f"{self._path}.1", f"{self._path}.gz.new")
        pidfd = os.pidfd_open(pid)
        self._compressing = (pid, pidfd)
        self._loop.watch(pidfd, READABLE, lambda _: self._wait_for_compression())

    def _wait_for_compression(self) -> None:
        if self._compressing is not None:
            pid, pidfd = self._compressing
            self._compressing = None
            os.waitpid(pid, 0)
            self._loop.forget(pidfd)
            os.close(pidfd)


def _compress_and_exit(path: str, temporary: str) -> None:
    """In a child of its own: `path` becomes `path`.gz, whole or not at all. It keeps no descriptor of the monitor's."""
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        close_range(3)
        os.nice(10)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        _gzip(path, temporary)
        times = os.stat(path)
        os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))
        os.rename(temporary, f"{path}.gz")
        os.unlink(path)
        status = 0
    finally:
        if status:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        os._exit(status)


def _gzip(path: str, target: str) -> None:
    import zlib  # only this child needs it

    packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: with a gzip header
    with open(path, "rb") as plain, open(target, "xb") as packed:
        os.fchmod(packed.fileno(), _MODE)
        while chunk := plain.read(262144):
            packed.write(packer.compress(chunk))
        packed.write(packer.flush())
