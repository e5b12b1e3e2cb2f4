"""Standing by while a program runs: signals are passed on, its terminal is relayed, its end becomes an exit code.

Starting it and tidying up after it is the verbs' matter.
"""

from __future__ import annotations

import gc
import os
import select
import signal

from sampan.linux.process import pidfd_send_signal, wait_pidfd
from sampan.runtime.commands.console import Relay

# Not passed on: the two that nobody can catch, those about our own children, terminal and pipes.
_OURS = frozenset(
    {
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGCHLD,
        signal.SIGPIPE,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGURG,
        signal.SIGWINCH,
    }
)


class Signals:
    """Every signal that this process gets, as bytes of a pipe instead of its default effect."""

    def __init__(self) -> None:
        self.fd, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.valid_signals() - _OURS) | {signal.SIGWINCH}:
            signal.signal(number, _nothing)

    def numbers(self) -> bytes:
        """The numbers that arrived since."""
        try:
            return os.read(self.fd, 4096)
        except BlockingIOError:
            return b""


def _nothing(_number: int, _frame: object) -> None:
    """A handler must be there for the pipe to be written."""


def stand_by(pidfd: int, signals: Signals, master: int = -1) -> int:
    """Wait for the child behind `pidfd`, passing signals on; returns its exit code, 128 + signal when one killed it.

    `master` is its terminal's, which is relayed and closed.
    """
    gc.freeze()  # what the start has left is not looked through
    gc.enable()
    if master < 0:
        return _watch(pidfd, signals, None)
    with Relay(master) as relay:
        return _watch(pidfd, signals, relay)


def _watch(pidfd: int, signals: Signals, relay: Relay | None) -> int:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(signals.fd, select.POLLIN)
    if relay is not None:
        poll.register(relay.master, select.POLLIN)
        poll.register(0, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if signals.fd in ready:
            _pass_on(pidfd, signals.numbers(), relay)
        if relay is not None:
            if relay.master in ready and not relay.from_container():
                poll.unregister(relay.master)
            if 0 in ready and not relay.to_container():
                poll.unregister(0)
        if pidfd in ready:
            if relay is not None:
                relay.drain()
            end = wait_pidfd(pidfd)
            return end.status if end else 0


def _pass_on(pidfd: int, numbers: bytes, relay: Relay | None) -> None:
    for number in numbers:
        if number == signal.SIGWINCH:
            if relay is not None:
                relay.resize()
        elif number not in _OURS:
            try:
                pidfd_send_signal(pidfd, number)
            except ProcessLookupError:
                return
