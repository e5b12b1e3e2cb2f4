"""Layers that are whole but may not have reached the disk: written out behind everybody's back, doubted after a crash.

A layer that has just been made carries a file `unsettled` with the id of the kernel's boot. A thread writes the file
system out a moment later, and takes the file away. As long as the machine lives, the layer is as good as any; when it
is found with the id of another boot, the power went meanwhile, and its archive is rebuilt and compared before anybody
sees it. So no one waits for a disk, and no one gets a layer with holes in it. Making layers is `layers`.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from contextlib import suppress
from functools import cache

from sampan.linux.filesystem import syncfs

MARK = "unsettled"
_PATIENCE_S = 2.0  # layers come together, and a disk that is left alone serves those who wait for it

log = logging.getLogger(__name__)


@cache
def boot_id() -> str:
    """Which boot of the kernel this is (random(4))."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def mark(directory: str) -> None:
    """Note in the directory of a layer that it may not be on the disk yet."""
    with open(os.path.join(directory, MARK), "w", encoding="ascii") as file:
        file.write(boot_id())


def marked_boot(directory: str) -> str | None:
    """In which boot the layer was marked, None when it is on the disk."""
    try:
        with open(os.path.join(directory, MARK), encoding="ascii", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


class Settler:
    """Writes layers out in a thread that comes with the first and goes with the last."""

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._waiting: set[str] = set()
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._fd = -1

    def open(self, path: str) -> None:
        """Know the file system of the directory `path`; its descriptor is kept, since syncfs may take long."""
        if self._fd < 0:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._fd)

    def settle(self, directory: str) -> None:
        """Have the layer in this directory written out, soon."""
        with self._lock:
            self.open(os.path.dirname(directory))
            self._waiting.add(directory)
            if self._thread is None:
                self._hurry.clear()
                self._thread = threading.Thread(target=self._work, name="settle", daemon=True)
                self._thread.start()

    def finish(self) -> None:
        """Write out what waits, now; returns when it is on the disk."""
        self._hurry.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            self._hurry.wait(self._patience_s)
            with self._lock:
                directories, self._waiting = self._waiting, set()
                if not directories:
                    self._thread = None
                    return
            _write_out(self._fd, directories)


def _write_out(fd: int, directories: set[str]) -> None:
    try:
        syncfs(fd)
    except OSError:
        log.exception("layers are not known to be on the disk; the next start after a crash will check them")
        return
    for directory in directories:
        with suppress(OSError):  # removed meanwhile
            os.unlink(os.path.join(directory, MARK))
