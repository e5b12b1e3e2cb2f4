"""`sampan top`: a live view of all containers; with a container, its processes, as docker's top."""

from __future__ import annotations

import posix
import sys

from sampan.cli.formats.written import binary_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Sequence
    from select import poll

    from sampan.cli.grammar import Arguments
    from sampan.cli.signals import Caught
    from sampan.cli.terminal import RawMode
    from sampan.cli.usage import Usage
    from sampan.client.session import Session
else:  # the signal module costs 4 ms
    import _signal

SUMMARY = "Watch all containers live, or show the processes of one"
USAGE = ("", "CONTAINER [ps OPTIONS]")
DETAILS = """
Without a container: a view of all that run, the busiest first, renewed each second.
Keys: c, m, n, d sort by processor, memory, network, disk; p sorts by processes; q leaves."""
WORDS = (0, -1)
INTERSPERSED = False
OPTIONS = ()
INTERVAL_MS = 1000
STOP = "\x1a"  # Ctrl-Z, which raw mode makes a key
ORDERS = {
    "c": ("processor", "CPUPerc", lambda usage: usage.cpu),
    "m": ("memory", "MemUsage", lambda usage: usage.memory),
    "n": ("network", "NetIO", lambda usage: usage.received + usage.sent),
    "d": ("disk", "BlockIO", lambda usage: usage.read + usage.written),
    "p": ("processes", "PIDs", lambda usage: usage.processes),
}


def run(arguments: Arguments, session: Session) -> int:
    """Show the processes of a container, or everything until q."""
    if arguments.words:
        from sampan.cli.commands import container_top

        return container_top.run(arguments, session)
    if not (posix.isatty(0) and posix.isatty(1)):
        from sampan.cli.commands.stats import Meter, all_containers

        usages = Meter(session).once(all_containers(session))
        sys.stdout.write(screen(usages, "c", rows=0, columns=0))
        return 0
    return _watch(session)


def _watch(session: Session) -> int:
    import select
    import time

    from sampan.cli.commands.stats import Meter, all_containers
    from sampan.cli.signals import Caught, die_of
    from sampan.cli.terminal import RawMode, window_size

    meter = Meter(session)
    caught = Caught()
    caught.catch([_signal.SIGTERM, _signal.SIGHUP, _signal.SIGTSTP])
    keys = select.poll()
    keys.register(0, select.POLLIN)
    keys.register(caught.fd, select.POLLIN)
    raw = RawMode()
    order, number = "c", 0
    _enter(raw)
    usages: Sequence[Usage] = []
    due = 0.0
    try:
        while True:
            if time.monotonic() >= due:
                usages = meter.sample(all_containers(session))
                due = time.monotonic() + INTERVAL_MS / 1000
            rows, columns = window_size(1)
            text = screen(usages, order, rows=rows or 24, columns=columns or 80)
            sys.stdout.write("\x1b[H" + text.replace("\n", "\x1b[K\r\n") + "\x1b[J")
            sys.stdout.flush()
            pressed, number = _next(keys, caught, due - time.monotonic())
            if number == _signal.SIGTSTP or pressed == STOP:
                _leave(raw)
                posix.kill(posix.getpid(), _signal.SIGSTOP)
                _enter(raw)
            elif number or not pressed or pressed in "q\x03\x04\x1b":
                break
            order = pressed if pressed in ORDERS else order
    finally:
        _leave(raw)
        caught.restore()
    if number:
        die_of(number)
    return 0


def _next(keys: poll, caught: Caught, seconds: float) -> tuple[str, int]:
    """The key that is pressed within so long, " " for none and "" for the end of input, and the signal that comes."""
    ready = [fd for fd, _ in keys.poll(max(seconds * 1000, 1))]
    pressed = posix.read(0, 16).decode("latin-1")[:1] if 0 in ready else " "
    return pressed, max(caught.take(), default=0)


def _enter(raw: RawMode) -> None:
    sys.stdout.write("\x1b[?1049h\x1b[?25l")  # the other screen, no cursor
    sys.stdout.flush()
    raw.enter()


def _leave(raw: RawMode) -> None:
    raw.leave()
    sys.stdout.write("\x1b[?25h\x1b[?1049l")
    sys.stdout.flush()


def screen(usages: Sequence[Usage], order: str, *, rows: int, columns: int) -> str:
    """The sums of all, and the table of `sampan stats` in that order: as much as there is room for; 0 is any room."""
    from sampan.cli.usage import drawn_columns, fitted, usage_columns

    heading, column, key = ORDERS[order]
    ordered = sorted(usages, key=key, reverse=True)
    total = sum(usage.cpu for usage in usages)
    memory = binary_size(sum(usage.memory for usage in usages))
    sums = f"{len(usages)} running, {total:.0f}% of a processor, {memory} of memory, by {heading} (cmndp, q)"
    table = fitted(ordered, usage_columns() | drawn_columns(), max(rows - 1, 0), columns, kept=column)
    return f"{sums[: columns or None]}\n{table}"
