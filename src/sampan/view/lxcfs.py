"""lxcfs as the provider, where it runs on the machine and answers: somebody else's FUSE file system of the same files.

It is asked by a thread that may be left waiting for good: a FUSE server that hangs holds whoever reads from it. Its
files are laid into containers that run by a process of their own (`renewal`).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from sampan.errors import NotImplementedHere, SystemFailure
from sampan.linux.mount import mountinfo
from sampan.view.files import served_paths
from sampan.view.provider import Provided
from sampan.view.renewal import LXCFS_TYPE

_PROGRAM = """import sys
sys.path.insert(0, sys.argv.pop(1))
from sampan.view.renewal import main
main()
"""
_PATIENCE_S = 1.0


class Lxcfs:
    """The lxcfs that is mounted, if any is."""

    def __init__(self) -> None:
        self._directory = ""

    def start(self) -> Provided:
        """Where it is mounted, the last that answers. Raises NotImplementedHere when none does."""
        for target in reversed([entry.target for entry in mountinfo() if entry.fstype == LXCFS_TYPE]):
            self._directory = target
            paths: list[str] = []
            if self.answers() and _bounded(lambda: paths.extend(self._paths())):  # noqa: B023 -- called at once
                return Provided("", target, tuple(paths))
        raise NotImplementedHere("no lxcfs answers on this machine", remedy="sampan serves the files itself")

    def answers(self) -> bool:
        """Whether a file of it can be read within a second."""
        return _bounded(self._probe)

    def renew(self, pids: list[int], paths: tuple[str, ...]) -> None:
        """See Provider."""
        words = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(Path(__file__).parents[2]), self._directory]
        child = os.posix_spawn(
            sys.executable, [*words, ",".join(paths), *map(str, pids)], {"LC_ALL": "C.UTF-8"}, setsigmask=()
        )
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            raise SystemFailure(
                f"the files of lxcfs were not laid into containers that run: exit code {code}",
                remedy="start the containers again",
            )

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
