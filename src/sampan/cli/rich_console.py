"""A terminal as rich draws on it, where rich is installed; loaded only where there is a terminal."""

from __future__ import annotations

import posix
import site

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import TextIO

    from rich.console import Console
else:  # the signal module costs 4 ms
    import _signal


def open_console(out: TextIO) -> Console | None:
    """The terminal `out`, that shows texts as they are; None without rich, or where the terminal can do nothing."""
    site.main()  # the command runs without it, and rich is where packages are
    try:
        from rich.console import Console
    except ImportError:
        return None

    class Terminal(Console):
        """A terminal whose cursor, hidden while something is drawn, is there while the command is stopped (Ctrl-Z)."""

        def show_cursor(self, show: bool = True) -> bool:  # noqa: FBT001, FBT002 - rich's own
            _when_stopped(None if show else _cursor_for_the_shell(out.fileno()))
            return super().show_cursor(show)

    console = Terminal(file=out, highlight=False, markup=False, emoji=False)
    return console if console.is_terminal and not console.is_dumb_terminal else None


def _cursor_for_the_shell(fd: int) -> Callable[[int, object], None]:
    """A handler of SIGTSTP that shows the terminal's cursor while this process is stopped, and hides it afterwards."""

    def stop(number: int, _: object) -> None:
        posix.write(fd, b"\x1b[?25h")
        _signal.signal(number, _signal.SIG_DFL)
        posix.kill(posix.getpid(), number)  # returns when somebody has sent SIGCONT
        _signal.signal(number, stop)
        posix.write(fd, b"\x1b[?25l")

    return stop


def _when_stopped(handler: Callable[[int, object], None] | None) -> None:
    """Handle SIGTSTP so; None for what it does by itself. Nothing where it is ignored, or where there are threads."""
    if _signal.getsignal(_signal.SIGTSTP) == _signal.SIG_IGN:
        return
    try:
        _signal.signal(_signal.SIGTSTP, handler or _signal.SIG_DFL)
    except ValueError:  # only the main thread may
        return
