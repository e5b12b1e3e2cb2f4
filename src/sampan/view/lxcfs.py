"""lxcfs as the provider, where it runs on the machine and answers: somebody else's FUSE file system of the same files.

It is asked by a thread that may be left waiting for good: a FUSE server that hangs holds whoever reads from it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from sampan.errors import NotImplementedHere
from sampan.linux.mount import mountinfo
from sampan.view.files import served_paths
from sampan.view.provider import Provided

_PATIENCE_S = 1.0


class Lxcfs:
    """The lxcfs that is mounted, if any is."""

    was_found = True

    def __init__(self) -> None:
        self._directory = ""

    def start(self) -> Provided:
        """Where it is mounted. Raises NotImplementedHere when none is, or none that answers."""
        found = [entry.target for entry in mountinfo() if entry.fstype == "fuse.lxcfs"]
        self._directory = found[-1] if found else ""
        paths: list[str] = []
        if not self._directory or not self.answers() or not _bounded(lambda: paths.extend(self._paths())):
            raise NotImplementedHere("no lxcfs answers on this machine", remedy="sampan serves the files itself")
        return Provided("", self._directory, tuple(paths))

    def answers(self) -> bool:
        """Whether a file of it can be read within a second."""
        return _bounded(self._probe)

    def close(self) -> None:
        """Nothing of it is ours."""

    def _probe(self) -> None:
        with open(f"{self._directory}/proc/uptime", "rb") as file:
            file.read()

    def _paths(self) -> tuple[str, ...]:
        return tuple(path for path in served_paths() if os.path.exists(f"{self._directory}/{path}"))


def _bounded(act: Callable[[], object]) -> bool:
    """Whether `act()` returns in time without an OSError."""
    done: list[bool] = []

    def run() -> None:
        try:
            act()
        except OSError:
            return
        done.append(True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return bool(done)
