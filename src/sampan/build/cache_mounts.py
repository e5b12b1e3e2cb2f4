"""Cache mounts: directories by name that outlive builds, for what package managers and compilers keep.

A name stands for one directory below the data root, and for a row that is there before the directory is. Builds that
run at once share it, take turns, or get another one each, as each asks. Nothing in it is part of an image.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sampan.build.instructions import Sharing
from sampan.image.tree import disk_usage, place_apart, remove_tree

_TABLE = """
CREATE TABLE IF NOT EXISTS build_caches (
    directory TEXT PRIMARY KEY, name TEXT NOT NULL, created_s REAL NOT NULL, used_s REAL NOT NULL,
    uses INTEGER NOT NULL, whole INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """A cache as it is listed; its size is asked for apart, since it takes a walk."""

    directory: str
    name: str
    created_s: float
    used_s: float
    uses: int
    in_use: bool

    @property
    def description(self) -> str:
        """What it is, in BuildKit's words."""
        return f"mount {self.name}"


@dataclass(slots=True)
class Lease:
    """A cache while a step uses it: `path` is its directory; `is_new` when nobody has filled it yet."""

    path: str
    directory: str
    is_new: bool
    release: Callable[[], None]


@dataclass(slots=True)
class CacheMounts:
    """The caches of one engine; called from the thread that owns the database."""

    connection: sqlite3.Connection
    path: str
    dispose: Callable[[str], None] = remove_tree
    _users: dict[str, int] = field(default_factory=dict)
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make table and directory; remove what a crash has left half made."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        place_apart(self.path)
        self.connection.execute(_TABLE)
        self.connection.execute("DELETE FROM build_caches WHERE whole = 0")
        known = {row[0] for row in self.connection.execute("SELECT directory FROM build_caches")}
        for name in os.listdir(self.path):
            if name not in known:
                self._throw_away(name)

    async def take(self, name: str, sharing: Sharing) -> Lease:
        """The cache of this name, for one step; with `locked` after whoever has it, with `private` never one in use.

        A new one is an empty directory that the caller fills, and confirms with `fill`.
        """
        if sharing is Sharing.LOCKED:
            turn = self._turns.setdefault(name, asyncio.Lock())
            await turn.acquire()
            return self._lease(self._first(name), turn.release)
        if sharing is Sharing.PRIVATE:
            free = next((one for one in self._directories(name) if not self._users.get(one)), "")
            return self._lease(free or self._add(name), lambda: None)
        return self._lease(self._first(name), lambda: None)

    def hold(self, record: CacheRecord) -> Lease:
        """Keep a cache from being removed while it is read."""
        return self._lease(record.directory, lambda: None)

    def add(self, name: str) -> Lease:
        """A new empty cache that no step finds, until `fill` and `rename` let it be the one of its name."""
        return self._lease(self._add(name), lambda: None)

    def rename(self, lease: Lease, name: str) -> None:
        """Let a whole cache have another name."""
        self.connection.execute("UPDATE build_caches SET name = ? WHERE directory = ?", (name, lease.directory))

    def fill(self, lease: Lease) -> None:
        """Say that the new cache is whole."""
        self.connection.execute("UPDATE build_caches SET whole = 1 WHERE directory = ?", (lease.directory,))

    def all(self) -> list[CacheRecord]:
        """Every cache, oldest first."""
        rows = self.connection.execute(
            "SELECT directory, name, created_s, used_s, uses FROM build_caches WHERE whole = 1 ORDER BY created_s"
        )
        return [
            CacheRecord(directory, name, created_s, used_s, uses, in_use=directory in self._users)
            for directory, name, created_s, used_s, uses in rows
        ]

    def size_bytes(self, directory: str) -> int:
        """What a cache takes of the disk; slow."""
        try:
            return disk_usage(os.path.join(self.path, directory))
        except FileNotFoundError:
            return 0

    def remove(self, directories: Iterable[str]) -> list[str]:
        """Remove those of the caches that nobody uses; returns them. The disk is freed by `dispose`."""
        removed = []
        for directory in directories:
            if self._users.get(directory):
                continue
            self._throw_away(directory)
            self.connection.execute("DELETE FROM build_caches WHERE directory = ?", (directory,))
            removed.append(directory)
        return removed

    def _throw_away(self, directory: str) -> None:
        doomed = os.path.join(self.path, f"gone-{secrets.token_hex(8)}")
        try:
            os.rename(os.path.join(self.path, directory), doomed)
        except FileNotFoundError:
            return
        self.dispose(doomed)

    def _directories(self, name: str) -> list[str]:
        rows = self.connection.execute("SELECT directory FROM build_caches WHERE name = ? ORDER BY created_s", (name,))
        return [row[0] for row in rows]

    def _first(self, name: str) -> str:
        known = self._directories(name)
        return known[0] if known else self._add(name)

    def _add(self, name: str) -> str:
        known = set(self._directories(name))
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        number = 0
        while (directory := f"{digest}-{number}") in known:
            number += 1
        now = time.time()
        self.connection.execute("INSERT INTO build_caches VALUES (?, ?, ?, ?, 0, 0)", (directory, name, now, now))
        os.makedirs(os.path.join(self.path, directory, "data"), mode=0o755, exist_ok=True)
        return directory

    def _lease(self, directory: str, end_turn: Callable[[], None]) -> Lease:
        (whole,) = self.connection.execute(
            "SELECT whole FROM build_caches WHERE directory = ?", (directory,)
        ).fetchone() or (0,)
        self.connection.execute(
            "UPDATE build_caches SET used_s = ?, uses = uses + 1 WHERE directory = ?", (time.time(), directory)
        )
        self._users[directory] = self._users.get(directory, 0) + 1

        def release() -> None:
            self._users[directory] -= 1
            if not self._users[directory]:
                del self._users[directory]
            end_turn()

        path = os.path.join(self.path, directory, "data")
        os.makedirs(path, mode=0o755, exist_ok=True)  # of a new one, or of one whose directory was lost
        return Lease(path, directory, not whole, release)
