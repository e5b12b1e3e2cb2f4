"""Signals as events of a loop: caught, told by a descriptor that becomes readable, and taken one by one."""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:  # the signal module costs 4 ms
    import _signal

# Not passed on: about our own children and sockets; sent by Go's runtime; and those by which a shell stops a reader.
KEPT = frozenset({_signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGURG, _signal.SIGTTIN, _signal.SIGTTOU})
UNCATCHABLE = frozenset({_signal.SIGKILL, _signal.SIGSTOP})
FAULTS = frozenset({_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGABRT, _signal.SIGTRAP})


def forwarded() -> list[int]:
    """The signals that a proxy passes on."""
    return sorted(set(_signal.valid_signals()) - KEPT - UNCATCHABLE - FAULTS)


def name_of(number: int) -> str:
    """A signal's name without SIG, as the API takes it."""
    for name in dir(_signal):
        if name.startswith("SIG") and name[3] != "_" and getattr(_signal, name) == number and name != "SIGCLD":
            return name[3:]
    lowest = int(_signal.SIGRTMIN)
    return f"RTMIN+{number - lowest}" if number > lowest else str(number)


class Caught:
    """Signals that are caught between `catch` and `restore`."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._before: dict[int, object] = {}
        self.fd, self._write_fd = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self._wakeup_before = _signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def catch(self, numbers: list[int]) -> None:
        """Catch these from now on."""
        for number in numbers:
            self._before.setdefault(number, _signal.signal(number, self._handle))

    def _handle(self, number: int, _: object) -> None:
        self._numbers.append(number)

    def take(self) -> list[int]:
        """Those that came since the last call, in order."""
        try:
            while posix.read(self.fd, 512):
                pass
        except BlockingIOError:
            pass
        taken, self._numbers = self._numbers, []
        return taken

    def restore(self) -> None:
        """As it was before."""
        for number, handler in self._before.items():
            _signal.signal(number, handler)  # type: ignore[arg-type] # what signal() itself gave
        self._before.clear()
        _signal.set_wakeup_fd(self._wakeup_before)
        posix.close(self.fd)
        posix.close(self._write_fd)


def die_of(number: int) -> None:
    """End by the signal itself, with its default effect."""
    _signal.signal(number, _signal.SIG_DFL)
    posix.kill(posix.getpid(), number)
