"""The last contexts of clients that send theirs again and again: a build takes from one what has not changed.

Each is the directory that a build was made from, under a name that its client gives; nothing is written to it any more.
A daemon that starts has none. The last ones are kept, up to a bound for all of them and a part of the disk; one that
was not used for an hour goes when any of them is asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MOST = 16
MOST_BYTES = 4 << 30
PART_OF_DISK = 20  # a twentieth of it at the most
KEPT_S = 3600.0


@dataclass(slots=True)
class KeptContext:
    """One of them: `used_s` is when a build was last made with it (realtime clock)."""

    id: str
    path: str
    size_bytes: int
    created_s: float
    used_s: float
    uses: int = 0
    readers: int = 0
    is_gone: bool = False

    @property
    def description(self) -> str:
        """What it is, in BuildKit's words."""
        return "local source for context"


@dataclass(slots=True)
class KeptContexts:
    """Those of one engine, below `directory`; `dispose` frees the disk of a path in the background."""

    directory: str
    dispose: Callable[[str], None]
    _kept: dict[str, KeptContext] = field(default_factory=dict)

    def prepare(self) -> None:
        """Have removed what another daemon has left."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        for name in os.listdir(self.directory):
            self.dispose(os.path.join(self.directory, name))

    def all(self) -> list[KeptContext]:
        """What is kept, the longest unused first."""
        self._let_go_of_old()
        return sorted(self._kept.values(), key=lambda one: one.used_s)

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[str]:
        """The directory that is kept under a name, there as long as the block lasts; "" when there is none."""
        self._let_go_of_old()
        found = self._kept.get(_id(name))
        if found is None:
            yield ""
            return
        found.readers += 1
        found.used_s = time.time()
        found.uses += 1
        try:
            yield found.path
        finally:
            found.readers -= 1
            if found.is_gone and not found.readers:
                self.dispose(found.path)

    def keep(self, name: str, context: str, size_bytes: int) -> None:
        """Keep a directory under a name, in place of an earlier one. It is taken away from where it is."""
        kept_id, now = _id(name), time.time()
        self.remove([kept_id])
        most_bytes = self._most_bytes()
        if size_bytes > most_bytes:
            return
        path = f"{self.directory}/{kept_id[:32]}-{time.monotonic_ns():x}"
        os.rename(context, path)
        self._kept[kept_id] = KeptContext(kept_id, path, size_bytes, now, now)
        waiting = self.all()
        while len(waiting) > MOST or sum(one.size_bytes for one in waiting) > most_bytes:
            self.remove([waiting.pop(0).id])

    def remove(self, ids: list[str]) -> list[str]:
        """Let go of these; whoever reads one reads it to the end. What there was of them."""
        found = [one for one in map(self._kept.get, ids) if one is not None]
        for one in found:
            del self._kept[one.id]
            one.is_gone = True
            if not one.readers:
                self.dispose(one.path)
        return [one.id for one in found]

    def _most_bytes(self) -> int:
        disk = os.statvfs(self.directory)
        return min(MOST_BYTES, disk.f_blocks * disk.f_frsize // PART_OF_DISK)

    def _let_go_of_old(self) -> None:
        self.remove([one.id for one in self._kept.values() if one.used_s < time.time() - KEPT_S])


def _id(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
