"""A terminal as rich draws on it, where rich is installed; loaded only where there is a terminal."""

from __future__ import annotations

import site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console


def open_console(out: TextIO) -> Console | None:
    """The terminal `out`, that shows texts as they are; None without rich, or where the terminal can do nothing."""
    site.main()  # the command runs without it, and rich is where packages are
    try:
        from rich.console import Console
    except ImportError:
        return None
    console = Console(file=out, highlight=False, markup=False, emoji=False)
    return console if console.is_terminal and not console.is_dumb_terminal else None
