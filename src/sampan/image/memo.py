"""What was read lately and has not changed since, so that it is not read again: a few of the latest, by key."""

from __future__ import annotations

_MOST = 32


class Memo[Value]:
    """At most 32 values; the one that was put in first goes first. Whoever changes a thing has to `forget` it."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}

    def get(self, key: str) -> Value | None:
        """What was put in under this key, unless it has gone."""
        return self._values.get(key)

    def put(self, key: str, value: Value) -> None:
        """Remember a value."""
        while len(self._values) >= _MOST:
            self._values.pop(next(iter(self._values)))
        self._values[key] = value

    def forget(self, key: str) -> None:
        """It has changed, or is no more."""
        self._values.pop(key, None)
