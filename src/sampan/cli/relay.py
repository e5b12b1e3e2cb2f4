"""Carrying bytes between this terminal (or these pipes) and a process in a container, until it ends or we leave it.

One loop over poll(2): standard input to the socket, frames from the socket to standard output and error, signals and
window sizes to the daemon. Nothing is buffered without bound: input is read only while the socket takes it.
"""

from __future__ import annotations

import _socket
import posix
import select

from sampan.cli.signals import Caught, die_of, forwarded, name_of
from sampan.client.failure import ClientError
from sampan.client.frames import STDERR, Frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from sampan.cli.terminal import KeyWatch, RawMode
    from sampan.client.session import Hijacked, Session
    from sampan.client.transport import Connection
else:  # the signal module costs 4 ms
    import _signal

_ENDED = select.POLLIN | select.POLLHUP | select.POLLERR
_STEP = 65536


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, however small the steps."""
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(fd, view) :]
        except BlockingIOError:  # a descriptor that someone else made non-blocking
            waiter = select.poll()
            waiter.register(fd, select.POLLOUT)
            waiter.poll()


class Target:
    """The process at the other end: how signals and window sizes reach it. `kind` is "containers" or "exec"."""

    def __init__(self, session: Session, kind: str, id: str) -> None:
        self._session = session
        self._path = f"/{kind}/{id}"

    def resize(self, rows: int, columns: int) -> None:
        """Tell the window's size; that the process has ended meanwhile is no failure."""
        if rows or columns:
            self._post("resize", {"h": rows, "w": columns})

    def signal(self, number: int) -> None:
        """Send a signal; that the process has ended meanwhile is no failure."""
        self._post("kill", {"signal": name_of(number)})

    def _post(self, verb: str, query: dict[str, str | int | bool | None]) -> None:
        try:
            self._session.call("POST", f"{self._path}/{verb}", query)
        except ClientError:
            return


class Relay:
    """One session with a process.

    `stdin` says whether input is passed on; `tty` whether the other side has a terminal; `outputs` whether output
    comes at all; `proxy` whether signals are passed on.
    """

    def __init__(self, stream: Hijacked, target: Target, *, stdin: bool, tty: bool, outputs: bool, proxy: bool) -> None:
        self._stream = stream
        self._target = target
        self._stdin = stdin
        self._tty = tty
        self._outputs = outputs
        self._proxy = proxy
        self._pending = b""
        self._frames = Frames() if stream.multiplexed else None
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], bool]] = {}
        self._raw: RawMode | None = None
        self._keys: KeyWatch | None = None
        self._caught = Caught()
        self.last = b""  # what came last

    def prepare(self, detach_keys: str = "") -> None:
        """Take signals and the terminal over; `finish` gives them back, and must be called whatever happens."""
        if self._proxy:
            self._caught.catch(forwarded())
        if self._tty:
            from sampan.cli.terminal import KeyWatch, RawMode, read_keys

            self._caught.catch([_signal.SIGWINCH])
            if self._stdin and posix.isatty(0):
                self._keys = KeyWatch(read_keys(detach_keys or "ctrl-p,ctrl-q"))
                self._raw = RawMode()
                self._caught.catch([_signal.SIGTERM, _signal.SIGHUP, _signal.SIGTSTP, _signal.SIGINT, _signal.SIGQUIT])
                self._raw.enter()

    def finish(self) -> None:
        """Give the terminal and the signals back."""
        if self._raw is not None:
            self._raw.leave()
            self._raw = None
        self._caught.restore()

    @property
    def detached(self) -> bool:
        """Whether the keys that leave the process running were typed."""
        return self._keys is not None and self._keys.seen

    def run(self, until: Connection | None = None) -> None:
        """Carry bytes until the stream ends; without outputs, until `until` has something to say or the input ends."""
        self._register(self._caught.fd, self._signals)
        self._register(self._stream.socket.fileno(), self._receive)
        if self._stdin:
            self._register(0, self._read_input)
        if until is not None and not self._outputs:
            self._register(until.socket.fileno(), lambda: False)
        if self._stream.early:
            self._give_out(self._stream.connection.take(len(self._stream.early)))
        while True:
            for fd, _ in self._poll.poll():
                handler = self._handlers.get(fd)
                if handler is not None and not handler():
                    return

    def _register(self, fd: int, handler: Callable[[], bool]) -> None:
        self._handlers[fd] = handler
        self._poll.register(fd, select.POLLIN)

    def _forget(self, fd: int) -> None:
        del self._handlers[fd]
        self._poll.unregister(fd)

    def _receive(self) -> bool:
        """The socket is ready; False when the stream has ended."""
        if self._pending and not self._send():
            return False
        socket = self._stream.socket
        pending = getattr(socket, "pending", None)  # an encrypted socket keeps bytes that poll cannot see
        while True:
            try:
                data = socket.recv(_STEP, _socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True  # it was the other direction
            except ConnectionResetError:
                return False
            if not data:
                return False
            self._give_out(data)
            if pending is None or not pending():
                return True

    def _give_out(self, data: bytes) -> None:
        self.last = data
        if self._frames is None:
            write_all(1, data)
            return
        for stream, part in self._frames.feed(data):
            write_all(2 if stream >= STDERR else 1, part)

    def _read_input(self) -> bool:
        """Standard input is ready."""
        try:
            data = posix.read(0, _STEP)
        except BlockingIOError:
            return True
        except OSError:
            data = b""  # closed, or its terminal is gone
        if not data:
            self._forget(0)
            if not self._pending:
                self._stream.half_close()
            self._stdin = False
            return True
        if self._keys is not None:
            self._keys.feed(data)
        self._pending += data
        return self._send()

    def _send(self) -> bool:
        """Send what is pending as far as the socket takes it, and read input only when nothing is left."""
        socket = self._stream.socket
        try:
            sent = socket.send(self._pending, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):
            self._pending = b""  # the process reads no more; what it still prints is to be seen
            if 0 in self._handlers:
                self._forget(0)
            self._stdin = False
            self._poll.modify(socket.fileno(), select.POLLIN)
            return True
        self._pending = self._pending[sent:]
        self._poll.modify(socket.fileno(), select.POLLIN | (select.POLLOUT if self._pending else 0))
        if 0 in self._handlers:
            self._poll.modify(0, 0 if self._pending else select.POLLIN)
        elif not self._pending:
            self._stream.half_close()
        return True

    def _signals(self) -> bool:
        """Pass on what was caught."""
        for number in self._caught.take():
            if number == _signal.SIGWINCH and self._tty:
                from sampan.cli.terminal import window_size

                self._target.resize(*window_size(1))
            elif number == _signal.SIGTSTP and self._raw is not None:
                self._raw.leave()
                posix.kill(posix.getpid(), _signal.SIGSTOP)
                self._raw.enter()
            elif self._proxy:
                self._target.signal(number)
            else:
                self.finish()
                die_of(number)
        return True
