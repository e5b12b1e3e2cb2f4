"""Which layers each container's root stands on, in the engine's SQLite file.

Written before anything is made on disk, and kept when the image itself is removed by force: a container starts again
from what it was created from. Calls are synchronous and made from the one thread that owns the connection.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from sampan.image.records import Base

_TABLE = """
CREATE TABLE IF NOT EXISTS container_roots (
    container_id TEXT PRIMARY KEY, image_id TEXT NOT NULL, base TEXT NOT NULL, diff_ids TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Root:
    """What a container's root stands on: layers, lowest first, on a base."""

    container_id: str
    image_id: str
    base: Base
    diff_ids: tuple[str, ...]


class RootRecords:
    """The roots of one database; makes its table when it is not there."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.execute(_TABLE)

    def get(self, container_id: str) -> Root | None:
        """The root of a container, None when it has none."""
        row = self.connection.execute(
            "SELECT container_id, image_id, base, diff_ids FROM container_roots WHERE container_id = ?", (container_id,)
        ).fetchone()
        return None if row is None else _root(row)

    def add(self, root: Root) -> None:
        """Record a root."""
        values = (root.container_id, root.image_id, root.base.value, json.dumps(root.diff_ids))
        self.connection.execute("INSERT OR REPLACE INTO container_roots VALUES (?, ?, ?, ?)", values)

    def remove(self, container_id: str) -> None:
        """Forget a root, if there is one."""
        self.connection.execute("DELETE FROM container_roots WHERE container_id = ?", (container_id,))

    def all(self) -> list[Root]:
        """Every root."""
        rows = self.connection.execute("SELECT container_id, image_id, base, diff_ids FROM container_roots")
        return [_root(row) for row in rows]

    def uses_layer(self, diff_id: str) -> bool:
        """Whether any root stands on the layer."""
        rows = self.connection.execute("SELECT 1 FROM container_roots WHERE instr(diff_ids, ?) LIMIT 1", (diff_id,))
        return rows.fetchone() is not None


def _root(row: tuple[str, str, str, str]) -> Root:
    container_id, image_id, base, diff_ids = row
    return Root(container_id, image_id, Base(base), tuple(json.loads(diff_ids)))
