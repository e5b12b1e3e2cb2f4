"""Detach keys in what a client types: recognised across reads, and passed on when the sequence is broken off."""

from __future__ import annotations


class DetachKeys:
    """Watches typed bytes for `keys`; with no keys everything passes.

    As Docker does, a byte that breaks a sequence off does not begin another: Ctrl-P Ctrl-P types both.
    """

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def filter(self, typed: bytes) -> tuple[bytes, bool]:
        """What is to be passed on of `typed` and of bytes held back before, and whether the keys were completed.

        What follows a completed sequence is dropped with it.
        """
        keys = self._keys
        if not keys or (not self._matched and keys[0] not in typed):
            return typed, False
        passed = bytearray()
        for value in typed:
            if value == keys[self._matched]:
                self._matched += 1
                if self._matched == len(keys):
                    self._matched = 0
                    return bytes(passed), True
            else:
                passed += keys[: self._matched]
                passed.append(value)
                self._matched = 0
        return bytes(passed), False

    def held_back(self) -> bytes:
        """The beginning of a sequence that was never completed, once the client has stopped typing."""
        held, self._matched = self._keys[: self._matched], 0
        return held
