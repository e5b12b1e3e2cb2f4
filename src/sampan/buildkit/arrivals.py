"""What comes under a name, and may be asked for before it is there: sessions, and builds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

ARRIVES_S = 15.0


@dataclass(slots=True)
class Arrivals[T]:
    """Those that are there, by their names."""

    _there: dict[str, T] = field(default_factory=dict)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def __contains__(self, name: str) -> bool:
        return name in self._there

    def add(self, name: str, one: T) -> None:
        """One is there, in place of an earlier one of its name."""
        self._there[name] = one
        self._came.set()
        self._came = asyncio.Event()  # for the next one

    def remove(self, name: str, one: T) -> None:
        """One is gone, if it is still the one of its name."""
        if self._there.get(name) is one:
            del self._there[name]

    async def get(self, name: str) -> T | None:
        """The one of this name, waited for; None when it does not come."""
        try:
            async with asyncio.timeout(ARRIVES_S):
                while name not in self._there:
                    await self._came.wait()
        except TimeoutError:
            return None
        return self._there[name]
