"""What a client may attach to: the container's own process, or an exec'd one; its stdio, its clients, its end.

Starting it is the owner's business: `child_ends` gives the descriptors to start it with, `started` is told of the
result. From then on the target reads, fans out and reaps, and tells its owner.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import Protocol

from sampan.linux.process import Exit, pidfd_send_signal, wait_pidfd
from sampan.linux.terminal import set_window_size
from sampan.monitor import heap
from sampan.monitor.client import STDERR, STDOUT, Client
from sampan.monitor.log import Log
from sampan.monitor.loop import READABLE, Loop
from sampan.monitor.output import Output
from sampan.monitor.protocol import Attach
from sampan.monitor.stdin import Stdin

# How long a process that has ended is waited for to be outlived by writers to its output: its own children.
OUTLIVED_S = 2.0

# Chunks of this size come from a flood: soon after, what the heap grew by for their lines is given back.
_BURST_BYTES = 16384
_TRIM_AFTER_S = 1.0

_TIOCGPTPEER = 0x5441


class TargetOwner(Protocol):
    """What a target tells."""

    def target_exited(self, target: Target, /) -> None:
        """Its process has ended and is reaped; others may still write to its output."""

    def target_ended(self, target: Target, /) -> None:
        """All it ever wrote is in the log and with its clients; they wait for `finish_clients`."""

    def target_served(self, target: Target, /) -> None:
        """Its last client has left."""

    def target_detached(self, target: Target, /) -> None:
        """A client typed its detach keys."""


class Target:
    """One process with its stdio. `id` is "" for the container's own.

    `stdin_once` closes the standard input behind the first client that ends its input or leaves, as Docker does.
    """

    def __init__(
        self,
        loop: Loop,
        id: str,
        log: Log,
        owner: TargetOwner,
        *,
        terminal: bool,
        open_stdin: bool,
        stdin_once: bool,
        spool_directory: str,
    ) -> None:
        self.id = id
        self.pid = 0
        self.exit: Exit | None = None
        self.ended = False
        self._loop = loop
        self.log = log
        self._owner = owner
        self._terminal = terminal
        self._open_stdin = open_stdin
        self._stdin_once = stdin_once and not terminal
        self._spool_directory = spool_directory
        self._trimming = False
        self._pidfd = -1
        self._slave = -1  # held while the process lives: a terminal that nobody has open reads as ended (EIO)
        self._console = -1
        self._stdin: Stdin | None = None
        self._outputs: list[Output] = []
        self._clients: list[Client] = []
        self._child_ends: list[int] = []

    @property
    def has_clients(self) -> bool:
        """Whether any client is still being served."""
        return bool(self._clients)

    def child_ends(self) -> tuple[int, int, int] | None:
        """Make pipes; the ends that become 0, 1 and 2, closed by `started` or `close`. None for a terminal.

        Without `open_stdin` the first is -1: the container's own /dev/null.
        """
        if self._terminal:
            return None
        theirs_in = -1
        if self._open_stdin:
            theirs_in, ours_in = os.pipe2(os.O_CLOEXEC)
            self._adopt_stdin(ours_in)
        ours_out, theirs_out = os.pipe2(os.O_CLOEXEC)
        ours_err, theirs_err = os.pipe2(os.O_CLOEXEC)
        self._child_ends = [theirs_in, theirs_out, theirs_err]
        self._read_from(ours_out, STDOUT)
        self._read_from(ours_err, STDERR)
        return theirs_in, theirs_out, theirs_err

    def started(self, pid: int, pidfd: int, console: int = -1) -> None:
        """The process exists, perhaps at its gate; of `pidfd` and `console` this target takes duplicates."""
        self._close_child_ends()
        self.pid = pid
        self._pidfd = os.dup(pidfd)
        if console >= 0:
            self._slave = fcntl.ioctl(console, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            self._console = console = os.dup(console)
            if self._open_stdin:
                self._adopt_stdin(os.dup(console))
            self._read_from(console, STDOUT)

    def watch_for_exit(self) -> None:
        """Reap the process when it ends: from here on it counts as running."""
        self._loop.watch(self._pidfd, READABLE, lambda _: self._reap())

    def attach(self, attach: Attach, connection: socket.socket, last_words: bytes = b"") -> None:
        """Serve this client; its socket becomes this target's own.

        `last_words` are the output of a target that ended without having run.
        """
        keys = attach.detach_keys.encode("latin-1") if self._terminal else b""
        client = Client(self._loop, connection, attach, self, keys=keys, spool_directory=self._spool_directory)
        self._clients.append(client)
        client.take_early(attach.early.encode("latin-1"))
        if self._stdin is not None and self._stdin.full:
            client.set_reading(reading=False)
        if self.ended:
            if last_words:
                client.offer(STDOUT, last_words)
            client.finish()

    def finish_clients(self) -> None:
        """No more output: every client is sent what waits for it and let go."""
        for client in tuple(self._clients):
            client.finish()

    def resize(self, height: int, width: int) -> None:
        """Give the terminal a size; nothing without one."""
        if self._console >= 0 and not self.ended:
            with contextlib.suppress(OSError):
                set_window_size(self._console, height, width)

    def signal(self, number: int) -> None:
        """Signal the process, if it still is there."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                pidfd_send_signal(self._pidfd, number)

    def end_output(self) -> None:
        """Read what is there and wait for no other writer."""
        for output in self._outputs:
            output.drain()
        for output in self._outputs:
            output.close()

    def give_up(self) -> None:
        """Count it as ended, though it was not reaped (a process that the kernel does not end)."""
        self.end_output()
        if not self.ended:
            self.ended = True
            self.close()
            self._owner.target_ended(self)

    def close(self) -> None:
        """Close everything but clients' sockets; for a process that was never started, or that is no more."""
        self._close_child_ends()
        if self._stdin is not None:
            self._stdin.close()
            self._stdin = None
        for output in self._outputs:
            output.close()
        self._outputs = []  # they refer to us: without them we go as soon as nobody needs us
        for descriptor in (self._slave, self._pidfd):
            if descriptor >= 0:
                self._loop.forget(descriptor)
                os.close(descriptor)
        self._slave = self._pidfd = -1

    # what clients tell

    def client_typed(self, content: bytes) -> None:
        """Pass it to the process, and read no client while it does not take it."""
        if self._stdin is None:
            return
        was_full = self._stdin.full
        self._stdin.write(content)
        if self._stdin.full and not was_full:
            for each in self._clients:
                each.set_reading(reading=False)

    def client_ended_input(self, client: Client) -> None:
        """End-of-file for the process that is to have just one client's input; else the client is let go in a while."""
        if self._stdin is not None and self._stdin_once:
            self._stdin.end()
        else:
            client.finish_when_quiet()

    def client_detached(self) -> None:
        """Tell whose business it is."""
        self._owner.target_detached(self)

    def client_has_room(self) -> None:
        """Read on when nobody holds the output back any more."""
        if not any(client.holds_back for client in self._clients):
            for output in self._outputs:
                output.resume()

    def client_left(self, client: Client) -> None:
        """Forget it; with `stdin_once` the standard input ends with it."""
        self._clients.remove(client)
        if client.wants_stdin and self._stdin_once and self._stdin is not None:
            self._stdin.end()
        if not self._clients:
            self._owner.target_served(self)

    # the process

    def _adopt_stdin(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._stdin = Stdin(self._loop, descriptor, self._stdin_has_room)

    def _stdin_has_room(self) -> None:
        for client in tuple(self._clients):
            client.set_reading(reading=True)

    def _read_from(self, descriptor: int, stream: int) -> None:
        self._outputs.append(Output(self._loop, descriptor, stream, self._take, self._check_end))

    def _take(self, stream: int, chunk: bytes) -> None:
        if len(chunk) > _BURST_BYTES and not self._trimming:
            self._trimming = True
            self._loop.after(_TRIM_AFTER_S, self._trim)
        self.log.write(stream, chunk)
        for client in tuple(self._clients):
            client.offer(stream, chunk)
        if any(client.holds_back for client in self._clients):
            for output in self._outputs:
                output.pause()

    def _trim(self) -> None:
        self._trimming = False
        heap.trim()

    def _reap(self) -> None:
        self.exit = wait_pidfd(self._pidfd, block=False)
        if self.exit is None:
            return
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1
        if self._stdin is not None:
            self._stdin.close()
        self._owner.target_exited(self)
        if any(not output.ended for output in self._outputs):
            self._loop.after(OUTLIVED_S, self.end_output)
        self._check_end()

    def _check_end(self) -> None:
        if self.exit is None or self.ended or any(not output.ended for output in self._outputs):
            return
        self.ended = True
        self.close()
        self._owner.target_ended(self)

    def _close_child_ends(self) -> None:
        for descriptor in self._child_ends:
            if descriptor >= 0:
                os.close(descriptor)
        self._child_ends = []
