"""Signals as people write them: by name, with SIG or without, by number, and counted from the real-time ones."""

from __future__ import annotations

import re
import signal

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_REAL_TIME = re.compile(r"RT(MIN(\+([1-9]|1[0-5]))?|MAX(-([1-9]|1[0-4]))?)")


def signal_number(text: str) -> int:
    """The number that is meant, 0 for what means none.

    As in Docker every number but 0 is one, also where the kernel has no such signal (`is_known`).
    """
    if _NUMBER.fullmatch(text):
        return int(text)
    name = text.upper().removeprefix("SIG")
    if _REAL_TIME.fullmatch(name):
        base, step = name[:5], name[5:]
        return int(getattr(signal, f"SIG{base}")) + int(step or 0)
    known = getattr(signal.Signals, f"SIG{name}", None)
    return 0 if known is None else int(known)


def is_known(number: int) -> bool:
    """Whether the kernel has a signal of that number (signal(7))."""
    return 0 < number <= signal.SIGRTMAX
