"""Where the files of a container's view come from: our own process, or lxcfs where that runs on the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Provided:
    """Files that stand ready: `paths` below `directory` in the mount namespace at `namespace` ("" for the caller's).

    `pid` is the process that answers them, 0 when it is somebody else's.
    """

    namespace: str
    directory: str
    paths: tuple[str, ...]
    pid: int = 0


class Provider(Protocol):
    """Someone who serves the files; every call is bounded in time and may block, so it is for a thread."""

    def start(self) -> Provided:
        """Have it serve. Raises NotImplementedHere where it cannot, SystemFailure when it fails."""

    def answers(self) -> bool:
        """Whether it still does."""

    def renew(self, pids: list[int], paths: tuple[str, ...]) -> None:
        """Have its files laid into the containers of these first processes, in the place of another provider's.

        Returns when that is done; SystemFailure when it fails for all of them.
        """

    def close(self) -> None:
        """Let it be."""
