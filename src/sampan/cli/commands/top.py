"""`sampan top`: a live view of all containers; with a container, its processes, as docker's top."""

from __future__ import annotations

import posix
import sys

from sampan.cli.formats.written import binary_size, size

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
    "c": ("processor", lambda usage: usage.cpu),
    "m": ("memory", lambda usage: usage.memory),
    "n": ("network", lambda usage: usage.received + usage.sent),
    "d": ("disk", lambda usage: usage.read + usage.written),
    "p": ("processes", lambda usage: usage.processes),
}
_WIDTHS = (14, 22, 26, 26, 20, 20, 6)


def run(arguments: Arguments, session: Session) -> int:
    """Show the processes of a container, or everything until q."""
    if arguments.words:
        from sampan.cli.commands import container_top

        return container_top.run(arguments, session)
    if not (posix.isatty(0) and posix.isatty(1)):
        from sampan.cli.commands.stats import Meter, all_containers

        usages = Meter(session).once(all_containers(session))
        sys.stdout.write(screen(usages, "c", rows=len(usages) + 3, columns=200) + "\n")
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


def bar(share: float, width: int) -> str:
    """A bar of `width` cells of which `share` per cent are full."""
    eighths = round(min(max(share, 0.0), 100.0) / 100 * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(width)


def screen(usages: Sequence[Usage], order: str, *, rows: int, columns: int) -> str:
    """The whole picture as lines of at most `columns` characters."""
    heading, key = ORDERS[order]
    ordered = sorted(usages, key=key, reverse=True)
    total = sum(usage.cpu for usage in usages)
    memory = sum(usage.memory for usage in usages)
    sums = f"{len(usages)} running, {total:.0f}% of a processor, {binary_size(memory)} of memory"
    lines = [f"{sums}, by {heading} (cmndp, q)"]
    lines.append(_line("ID", "NAME", "PROCESSOR", "MEMORY", "NETWORK in/out", "DISK read/write", "PIDS"))
    lines += [_usage_line(usage) for usage in ordered[: max(rows - len(lines) - 1, 0)]]
    return "\n".join(line.rstrip()[:columns] for line in lines)


def _usage_line(usage: Usage) -> str:
    return _line(
        usage.id[:12],
        usage.name[:20],
        f"{bar(usage.cpu, 14)} {usage.cpu:7.1f}%",
        f"{bar(usage.memory_share, 14)} {binary_size(usage.memory):>9}",
        f"{size(usage.received)}/{size(usage.sent)}",
        f"{size(usage.read)}/{size(usage.written)}",
        str(usage.processes),
    )


def _line(*cells: str) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
