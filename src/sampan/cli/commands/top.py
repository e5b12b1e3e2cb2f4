"""`sampan top`: a live view of all containers; with a container, its processes, as docker's top."""

from __future__ import annotations

import posix
import sys

from sampan.cli.formats.written import binary_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.cli.grammar import Arguments
    from sampan.cli.usage import Usage
    from sampan.client.session import Session

SUMMARY = "Watch all containers live, or show the processes of one"
USAGE = ("", "CONTAINER [ps OPTIONS]")
DETAILS = """
Without a container: a view of all that run, the busiest first, renewed each second.
Keys: c, m, n, d sort by processor, memory, network, disk; p sorts by processes; q leaves."""
WORDS = (0, -1)
INTERSPERSED = False
OPTIONS = ()
INTERVAL_MS = 1000
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
    from sampan.cli.terminal import RawMode, window_size

    meter = Meter(session)
    keys = select.poll()
    keys.register(0, select.POLLIN)
    raw = RawMode()
    order = "c"
    sys.stdout.write("\x1b[?1049h\x1b[?25l")  # the other screen, no cursor
    raw.enter()
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
            if keys.poll(max((due - time.monotonic()) * 1000, 1)):
                pressed = posix.read(0, 16).decode("latin-1")
                if not pressed or pressed[0] in "q\x03\x04\x1b":
                    return 0
                order = pressed[0] if pressed[0] in ORDERS else order
    finally:
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
