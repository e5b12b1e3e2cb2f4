"""A question before something is lost."""

from __future__ import annotations

import sys


def confirmed(warning: str) -> bool:
    """Whether the answer to "go on?" is yes; no answer is no."""
    sys.stdout.write(f"{warning}\nGo on? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
