"""The mounts of this machine as a test may compare them while others run beside it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def mounts_seen_from(*own: str | Path) -> set[str]:
    """Mount points: all but those in the temporary directory, where other tests are at work, and those in `own`."""
    temporary = os.path.realpath(tempfile.gettempdir()) + "/"
    places = {line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    inside = tuple(f"{path}" for path in own)
    return {place for place in places if not place.startswith(temporary) or place.startswith(inside)}
