"""What was built before: steps by all that goes into them, found again by later builds and after a restart.

A record leads from a key to the image that the step made and to its layer. The first kind of key has the image that
the step began from, so that a build in which nothing changed gives the same image; the second has only what a step can
see (layers and configuration), so that a step is not repeated because something without influence on it changed.
Records hold nothing: whoever removes images or layers need not know of them, and a record that leads nowhere is none.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from sampan.build.progress import Event
from sampan.build.recall import Question, Recall, Told, step_images
from sampan.image.layers import LayerStore
from sampan.image.records import Image, ImageRecords

_TABLES = """
CREATE TABLE IF NOT EXISTS build_images (key TEXT PRIMARY KEY, image_id TEXT NOT NULL, used_s REAL NOT NULL)
WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS build_layers (key TEXT PRIMARY KEY, diff_id TEXT NOT NULL, used_s REAL NOT NULL)
WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS build_images_by_image ON build_images (image_id);
"""


def key_of(*parts: str | bytes) -> str:
    """One key of many parts, of which none can be taken for another."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class BuildCache:
    """The records of one database; called from the thread that owns it."""

    connection: sqlite3.Connection
    images: ImageRecords
    layers: LayerStore
    _used: set[str] = field(default_factory=set, compare=False, repr=False)  # keys, not written yet
    _recall: Recall = field(default_factory=Recall, compare=False, repr=False)

    @property
    def version(self) -> int:
        """As long as it stays the same, no record was written or forgotten."""
        return self._recall.cleared

    def prepare(self) -> None:
        """Make the tables, and forget what leads nowhere."""
        self.connection.executescript(_TABLES)
        self.forget_lost()

    def image(self, key: str, held: Collection[str] = ()) -> Image | None:
        """The image that a step with this key made, if it is still here with all of its layers.

        Layers that the caller holds are not looked for. That it was of use is written by `remember_used`.
        """
        row = self.connection.execute("SELECT image_id FROM build_images WHERE key = ?", (key,)).fetchone()
        if row is None or not self.images.has(row[0]):
            return None
        image = self.images.get(row[0])
        if not all(diff_id in held or self.layers.has(diff_id) for diff_id in image.diff_ids):
            return None
        self._used.add(key)
        return image

    def remember_used(self) -> None:
        """Write which records were of use, all at once: a build that finds everything would wait for each."""
        if not self._used:
            return
        keys = json.dumps(sorted(self._used))
        self._used.clear()
        with suppress(sqlite3.Error):  # a full disk: a build does not fail for what only prune asks for
            self.connection.execute(
                "UPDATE build_images SET used_s = ? WHERE key IN (SELECT value FROM json_each(?))", (time.time(), keys)
            )

    def find_told(self, question: Question) -> Told | None:
        """What a whole build told that was asked the same before, if all layers of its image are still here.

        The image is: its going would have made another question of it, by the version.
        """
        told = self._recall.find(question)
        if told is None or not all(map(self.layers.has, told.diff_ids)):
            return None
        self._used.update(told.keys)
        return told

    def remember_told(self, question: Question, events: Iterable[Event], image_id: str) -> None:
        """Remember what a whole build told that found every step here."""
        found = tuple(events)
        keys = (self.key_of_image(one) for one in step_images(found))
        known = frozenset(key for key in keys if key is not None)
        self._recall.keep(question, Told(found, image_id, tuple(self.images.get(image_id).diff_ids), known))

    def layer(self, key: str) -> str | None:
        """The layer that a step with this key made, if it is still here."""
        row = self.connection.execute("SELECT diff_id FROM build_layers WHERE key = ?", (key,)).fetchone()
        return row[0] if row is not None and self.layers.has(row[0]) else None

    def remember_image(self, key: str, image_id: str) -> None:
        """Remember what a step made."""
        self._recall.clear()
        self.connection.execute("INSERT OR REPLACE INTO build_images VALUES (?, ?, ?)", (key, image_id, time.time()))

    def remember_layer(self, key: str, diff_id: str) -> None:
        """Remember the layer that a step made."""
        self._recall.clear()
        self.connection.execute("INSERT OR REPLACE INTO build_layers VALUES (?, ?, ?)", (key, diff_id, time.time()))

    def forget_lost(self) -> None:
        """Forget records whose images or layers are gone."""
        present = set(self.layers.list())
        lost = [
            (key,)
            for key, diff_id in self.connection.execute("SELECT key, diff_id FROM build_layers")
            if diff_id not in present
        ]
        self.connection.executemany("DELETE FROM build_layers WHERE key = ?", lost)
        self.connection.execute("DELETE FROM build_images WHERE image_id NOT IN (SELECT id FROM images)")

    def key_of_image(self, image_id: str) -> str | None:
        """The key of the step that made this image, None when no step is known to have."""
        row = self.connection.execute(
            "SELECT key FROM build_images WHERE image_id = ? ORDER BY used_s DESC", (image_id,)
        ).fetchone()
        return None if row is None else str(row[0])

    def image_ids(self) -> dict[str, float]:
        """The images that steps made, with when each was last of use."""
        self.remember_used()
        rows = self.connection.execute("SELECT image_id, MAX(used_s) FROM build_images GROUP BY image_id")
        return dict(rows.fetchall())

    def forget(self, image_ids: Iterable[str]) -> None:
        """Forget that steps made these images."""
        self._recall.clear()
        self.connection.executemany("DELETE FROM build_images WHERE image_id = ?", [(one,) for one in image_ids])
