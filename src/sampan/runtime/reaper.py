"""Pid 1 of a container started with `--init`.

It starts the user's program as its child, hands it every signal, reaps whatever is orphaned, and ends with the
program's exit code. It is our interpreter that stays, forked from a warm parent, so it is kept small and shut: every
descriptor is closed, it is not dumpable (nobody inside without CAP_SYS_PTRACE over the host's user namespace can read
its memory or /proc entries; in a container with a user namespace nobody at all), it has the program's ids,
capabilities and system call filter, and its binary is the sealed one. What could still be read from its memory by a
container that was given CAP_SYS_PTRACE without a user namespace: its own plan (environment included, which it has
anyway), host paths of its layers and volumes, and whatever the launcher or monitor held before the clone, which must
therefore hold no secret.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Callable
from contextlib import suppress

from sampan.linux import process

_ALL = signal.valid_signals()
_NOT_FORWARDED = frozenset({signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU, signal.SIGKILL, signal.SIGSTOP})
_STANDARD_INPUT = 0


def supervise(start: Callable[[], None]) -> None:
    """Fork: `start` executes the program in the child, and the caller becomes the reaper; neither comes back.

    The child gets a process group of its own, in the foreground of the terminal when there is one, as tini does it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    pid = os.fork()
    if pid == 0:
        _take_foreground()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        start()
        os._exit(126)
    process.close_range(0)
    process.set_name("sampan-init")
    process.set_title("sampan-init")
    _reap(pid)


def _take_foreground() -> None:
    """A process group of its own; a terminal follows it, SIGTTOU is blocked here."""
    os.setpgid(0, 0)
    with suppress(OSError):
        fcntl.ioctl(_STANDARD_INPUT, termios.TIOCSPGRP, struct.pack("=i", os.getpgrp()))


def _reap(pid: int) -> None:
    while True:
        number = signal.sigwaitinfo(_ALL).si_signo
        if number == signal.SIGCHLD:
            _collect(pid)
        elif number not in _NOT_FORWARDED:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _collect(pid: int) -> None:
    """Reap every process that ended; leave with the program's code when it is among them."""
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except OSError as error:
            if error.errno == errno.ECHILD:
                return
            raise
        if ended == 0:
            return
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
