"""What is known of each volume, in a table of the engine's SQLite file.

A record is written before anything is made on disk and goes after everything is gone. Calls are synchronous and made
from the one thread that owns the connection.
"""

from __future__ import annotations

import enum
import json
import sqlite3
from dataclasses import dataclass, field

_TABLE = """
CREATE TABLE IF NOT EXISTS volumes (
    name TEXT PRIMARY KEY, state TEXT NOT NULL, created_at_ns INTEGER NOT NULL, anonymous INTEGER NOT NULL,
    options TEXT NOT NULL, labels TEXT NOT NULL, driver TEXT NOT NULL DEFAULT 'local'
) WITHOUT ROWID
"""


class State(enum.Enum):
    """Where a volume is in its life; only a READY one is shown."""

    FILLING = "filling"  # a copy or an archive is on its way into it: without its end there is no volume
    READY = "ready"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume; `options` are its driver's, those of `local` being type, device and o."""

    name: str
    created_at_ns: int
    anonymous: bool = False
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    state: State = State.READY
    driver: str = "local"  # or the plugin that keeps it


class VolumeRecords:
    """The volumes of one database, kept in memory too; makes its table when it is not there."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.execute(_TABLE)
        columns = {row[1] for row in connection.execute("PRAGMA table_info(volumes)")}
        if "driver" not in columns:  # a table from before there were plugins
            connection.execute("ALTER TABLE volumes ADD COLUMN driver TEXT NOT NULL DEFAULT 'local'")
        rows = connection.execute("SELECT name, state, created_at_ns, anonymous, options, labels, driver FROM volumes")
        self._known = {row[0]: _volume(row) for row in rows}

    def get(self, name: str) -> Volume | None:
        """The volume of this name, in whatever state."""
        return self._known.get(name)

    def all(self) -> list[Volume]:
        """Every volume, by name."""
        return [self._known[name] for name in sorted(self._known)]

    def save(self, volume: Volume) -> Volume:
        """Write a volume, new or changed."""
        values = (
            volume.name,
            volume.state.value,
            volume.created_at_ns,
            int(volume.anonymous),
            json.dumps(volume.options),
            json.dumps(volume.labels),
            volume.driver,
        )
        self.connection.execute("INSERT OR REPLACE INTO volumes VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        self._known[volume.name] = volume
        return volume

    def rename(self, volume: Volume, renamed: Volume) -> None:
        """Write a volume under another name; in one step, so that there is always exactly one."""
        self.connection.execute(
            "UPDATE volumes SET name = ?, anonymous = ?, labels = ? WHERE name = ?",
            (renamed.name, int(renamed.anonymous), json.dumps(renamed.labels), volume.name),
        )
        del self._known[volume.name]
        self._known[renamed.name] = renamed

    def remove(self, name: str) -> None:
        """Forget a volume, if there is one."""
        self.connection.execute("DELETE FROM volumes WHERE name = ?", (name,))
        self._known.pop(name, None)


def _volume(row: tuple[str, str, int, int, str, str, str]) -> Volume:
    name, state, created_at_ns, anonymous, options, labels, driver = row
    return Volume(name, created_at_ns, bool(anonymous), json.loads(options), json.loads(labels), State(state), driver)
