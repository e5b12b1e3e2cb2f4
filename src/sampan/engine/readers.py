"""Who reads the files of a container: what has to wait until they are through, and what has not.

A reader can be slow, or stop for ever; a removal goes on all the same, and only the files stay until the last has what
it wanted. A start has to wait for those who have the root of a container that does not run: one upper directory may not
be mounted twice (Documentation/filesystems/overlayfs.rst, "Sharing and copying layers").
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Use:
    readers: int = 0
    resting: int = 0  # of these, those who have mounted the root of a container that does not run
    at_rest: asyncio.Event = field(default_factory=asyncio.Event)  # set when none of the latter is left
    after: list[Callable[[], None]] = field(default_factory=list)


class Readers:
    """Counts readers by container; from the event loop's thread."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    @contextlib.contextmanager
    def reading(self, container_id: str, *, resting: bool = False) -> Iterator[None]:
        """Somebody reads; `resting`: from a mount of a container that does not run, or writes to it."""
        use = self._uses.setdefault(container_id, _Use())
        use.readers += 1
        use.resting += resting
        try:
            yield
        finally:
            use.readers -= 1
            use.resting -= resting
            if not use.resting:
                use.at_rest.set()
            if not use.readers:
                del self._uses[container_id]
                for call in use.after:
                    call()

    def is_mounted(self, container_id: str) -> bool:
        """Whether somebody has the root of the container, which does not run."""
        use = self._uses.get(container_id)
        return use is not None and use.resting > 0

    async def unmounted(self, container_id: str) -> None:
        """Wait until nobody has it."""
        while self.is_mounted(container_id):
            use = self._uses[container_id]
            use.at_rest.clear()
            await use.at_rest.wait()

    def afterwards(self, container_id: str, call: Callable[[], None]) -> None:
        """Have `call` called when nobody reads any more: now, or by the last who does."""
        use = self._uses.get(container_id)
        if use is None:
            call()
        else:
            use.after.append(call)
