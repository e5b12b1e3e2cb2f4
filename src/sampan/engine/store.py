"""The engine's state on disk: one SQLite file in WAL mode, and the container records read from it.

Records are kept in memory too, so that a listing reads no disk; every change is written through before it is seen.
Calls are synchronous (tens of microseconds) and made from the event loop's thread alone. Images, networks and volumes
keep tables of their own in the same file, through `connection`.
"""

from __future__ import annotations

import dataclasses
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from sampan.engine.container import (
    ContainerDefinition,
    ContainerRecord,
    Created,
    Dead,
    Exited,
    Paused,
    Removing,
    Restarting,
    Running,
    State,
)
from sampan.errors import Conflict, InvalidArgument, NotFound, SystemFailure
from sampan.linux.filesystem import reserve

SCHEMA_VERSION = 1
_STATES: dict[str, type[State]] = {
    kind.__name__: kind for kind in (Created, Running, Paused, Exited, Restarting, Removing, Dead)
}
_DAMAGED = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
_JOURNAL_BYTES = 4608 << 10  # SQLite's own limit of 1000 pages with their heads, and one transaction more
_DEFINITION = msgspec.json.Decoder(ContainerDefinition)


def open_database(path: str) -> sqlite3.Connection:
    """The engine's database at `path`, made when it is not there.

    Raises SystemFailure when the file is no database, has no room, or was written by a newer sampan.
    """
    try:
        _keep_private(path)
        connection = sqlite3.connect(path, isolation_level=None)
        # no other process opens it; and an index in shared memory has room of its own to find, or a full disk's SIGBUS
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise SystemFailure(
            f"the state file {path} cannot be opened: {error}",
            remedy="move it away to begin anew, or restore it"
            if error.sqlite_errorcode & 0xFF in _DAMAGED
            else "see that its disk has room and can be written to",
        ) from error
    if version > SCHEMA_VERSION:
        raise SystemFailure(
            f"the state file {path} has version {version}, this sampan knows {SCHEMA_VERSION}",
            remedy="use the newer sampan that wrote it",
        )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS containers"
        " (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
        " state BLOB NOT NULL, definition BLOB NOT NULL) WITHOUT ROWID"
    )
    if version != SCHEMA_VERSION:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    _reserve(f"{path}-wal")
    return connection


def _keep_private(path: str) -> None:
    """Root's alone to read: containers' variables are in it. SQLite gives its further files the same mode."""
    for name in (path, f"{path}-wal", f"{path}-shm"):
        with suppress(OSError):
            os.chmod(name, 0o600)
    with suppress(OSError):  # why it cannot be made, SQLite says
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _reserve(journal: str) -> None:
    """Have room for the journal until it begins anew: what is removed from a full disk is written there first.

    Only the journal is opened here: closing the database's own file would drop SQLite's locks (fcntl(2)).
    """
    with suppress(OSError):  # a disk that is full already, or a file system that cannot
        fd = os.open(journal, os.O_RDWR | os.O_CLOEXEC)
        try:
            reserve(fd, _JOURNAL_BYTES)
        finally:
            os.close(fd)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class ContainerStore:
    """The container records, by id and by name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._records: dict[str, ContainerRecord] = {}
        self._ids: dict[str, str] = {}
        self._foretold: set[str] = set()  # ids of which the disk says more than the memory
        rows = connection.execute("SELECT kind, state, definition FROM containers")
        for kind, state, definition in rows:
            self._remember(_record(kind, state, definition))

    def all(self) -> list[ContainerRecord]:
        """Every record, newest first."""
        return sorted(self._records.values(), key=lambda record: record.created_at_ns, reverse=True)

    def get(self, container_id: str) -> ContainerRecord | None:
        """The record of this full id."""
        return self._records.get(container_id)

    def find(self, reference: str) -> ContainerRecord:
        """The record that a user means by a full id, a name with or without the slash, or a unique start of an id.

        Raises NotFound, or InvalidArgument when several ids start so.
        """
        record = self._records.get(reference) or self._records.get(self._ids.get(reference.removeprefix("/"), ""))
        if record:
            return record
        matches = [key for key in self._records if key.startswith(reference)] if reference else []
        if len(matches) > 1:
            raise InvalidArgument(
                f"multiple IDs found with provided prefix: {reference}", remedy="give more of the id, or the name"
            )
        if not matches:
            raise NotFound(f"No such container: {reference}", remedy="`sampan ps -a` lists the containers")
        return self._records[matches[0]]

    def holder(self, name: str) -> str | None:
        """The id of the container that has this name."""
        return self._ids.get(name)

    def add(self, record: ContainerRecord) -> ContainerRecord:
        """Write a new record. Raises Conflict, in Docker's words, when the name is taken."""
        owner = self._ids.get(record.name)
        if owner:
            raise Conflict(
                f'Conflict. The container name "/{record.name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name.",
                remedy=f"remove it with `sampan rm {record.name}`, or pass another --name",
            )
        kind, state, definition = _row(record)
        self.connection.execute(
            "INSERT INTO containers (id, name, kind, state, definition) VALUES (?, ?, ?, ?, ?)",
            (record.id, record.name, kind, state, definition),
        )
        self._remember(record)
        return record

    def save(self, record: ContainerRecord) -> ContainerRecord:
        """Write what has changed of a known record. Raises NotFound when it was removed meanwhile.

        How the step of a build goes on is not written: the next daemon removes its container whatever has become of it.
        """
        before = self._known(record)
        if _is_still_step(before, record):
            pass
        elif record.id not in self._foretold and dataclasses.replace(before, state=record.state) == record:
            kind, state, _ = _row(record)
            self.connection.execute("UPDATE containers SET kind = ?, state = ? WHERE id = ?", (kind, state, record.id))
        else:
            self._write(record)
            self._foretold.discard(record.id)
            self._ids.pop(before.name, None)
        self._remember(record)
        return record

    def foretell(self, record: ContainerRecord) -> None:
        """Write what is about to come true, for who finds it after a crash; everybody else learns of it by `save`.

        Raises NotFound when it was removed meanwhile.
        """
        if not _is_still_step(self._known(record), record):
            self._foretold.add(record.id)
            self._write(record)

    def _known(self, record: ContainerRecord) -> ContainerRecord:
        known = self._records.get(record.id)
        if known is None:
            raise NotFound(f"No such container: {record.id}")
        return known

    def _write(self, record: ContainerRecord) -> None:
        kind, state, definition = _row(record)
        self.connection.execute(
            "UPDATE containers SET name = ?, kind = ?, state = ?, definition = ? WHERE id = ?",
            (record.name, kind, state, definition, record.id),
        )

    def remove(self, container_id: str) -> None:
        """Forget a container; nothing happens when it is not known."""
        self.connection.execute("DELETE FROM containers WHERE id = ?", (container_id,))
        record = self._records.pop(container_id, None)
        self._foretold.discard(container_id)
        if record:
            self._ids.pop(record.name, None)

    def _remember(self, record: ContainerRecord) -> None:
        self._records[record.id] = record
        self._ids[record.name] = record.id


def _is_still_step(before: ContainerRecord, record: ContainerRecord) -> bool:
    """Whether the record is that of a build's step, with nothing new that would have to be given back."""
    return before.build_step and record.build_step and before.mounts == record.mounts


def _row(record: ContainerRecord) -> tuple[str, bytes, bytes]:
    state = msgspec.json.encode(record.state)
    definition = {field.name: getattr(record, field.name) for field in dataclasses.fields(ContainerDefinition)}
    return type(record.state).__name__, state, msgspec.json.encode(definition)


def _record(kind: str, state: bytes, definition: bytes) -> ContainerRecord:
    known = _DEFINITION.decode(definition)
    values = {field.name: getattr(known, field.name) for field in dataclasses.fields(ContainerDefinition)}
    return ContainerRecord(**values, state=msgspec.json.decode(state, type=_STATES[kind]))
