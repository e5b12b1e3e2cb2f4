"""What images are called: tags, and the digests by which registries know them, each pointing to an image id.

A name is a whole one ("docker.io/library/debian"); how people write it is `oci.reference`. Whether an image may lose
its names is `images`.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict

from sampan.image.records import transaction
from sampan.oci.digest import parse_digest
from sampan.oci.reference import Reference, parse_reference

_TABLES = """
CREATE TABLE IF NOT EXISTS image_tags (
    name TEXT NOT NULL, tag TEXT NOT NULL, image_id TEXT NOT NULL, PRIMARY KEY (name, tag)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS image_tags_by_image ON image_tags (image_id);
CREATE TABLE IF NOT EXISTS image_digests (
    name TEXT NOT NULL, digest TEXT NOT NULL, image_id TEXT NOT NULL, PRIMARY KEY (name, digest)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS image_digests_by_image ON image_digests (image_id);
"""


class ImageNames:
    """The names in one database; makes its tables when they are not there."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.version = 0  # another one when a name means something else than before
        connection.executescript(_TABLES)

    def find(self, reference: Reference) -> str | None:
        """The id of the image that the reference names; one with a digest is looked up by that alone."""
        if reference.digest is not None:
            query, key = "SELECT image_id FROM image_digests WHERE name = ? AND digest = ?", str(reference.digest)
        else:
            query, key = "SELECT image_id FROM image_tags WHERE name = ? AND tag = ?", reference.tag
        row = self.connection.execute(query, (reference.name, key)).fetchone()
        return None if row is None else row[0]

    def point(self, reference: Reference, image_id: str) -> str | None:
        """Let a reference with a tag or a digest name the image; returns the id that it named before."""
        before = self.find(reference)
        if reference.digest is not None:
            query, key = "INSERT OR REPLACE INTO image_digests VALUES (?, ?, ?)", str(reference.digest)
        else:
            query, key = "INSERT OR REPLACE INTO image_tags VALUES (?, ?, ?)", reference.tag
        self.connection.execute(query, (reference.name, key, image_id))
        self.version += before != image_id
        return before

    def drop(self, reference: Reference) -> None:
        """Let the reference name nothing."""
        self.version += 1
        if reference.digest is not None:
            query, key = "DELETE FROM image_digests WHERE name = ? AND digest = ?", str(reference.digest)
        else:
            query, key = "DELETE FROM image_tags WHERE name = ? AND tag = ?", reference.tag
        self.connection.execute(query, (reference.name, key))

    def drop_all(self, image_id: str) -> list[Reference]:
        """Take all names from an image; returns them."""
        had = self.of(image_id)
        with transaction(self.connection):
            for reference in had:
                self.drop(reference)
        return had

    def of(self, image_id: str) -> list[Reference]:
        """The references that name the image, tags first, in order."""
        tags = self.connection.execute("SELECT name, tag FROM image_tags WHERE image_id = ?", (image_id,))
        found = [parse_reference(f"{name}:{tag}") for name, tag in sorted(tags)]
        digests = self.connection.execute("SELECT name, digest FROM image_digests WHERE image_id = ?", (image_id,))
        return found + [parse_reference(name).with_digest(parse_digest(digest)) for name, digest in sorted(digests)]

    def tags_of(self, name: str) -> list[tuple[str, str]]:
        """The tags of one whole name, with the ids."""
        rows = self.connection.execute("SELECT tag, image_id FROM image_tags WHERE name = ? ORDER BY tag", (name,))
        return list(rows)

    def all(self) -> dict[str, list[Reference]]:
        """Every image's references, as `of` gives them."""
        found: defaultdict[str, list[Reference]] = defaultdict(list)
        for name, tag, image_id in self.connection.execute("SELECT name, tag, image_id FROM image_tags"):
            found[image_id].append(parse_reference(f"{name}:{tag}"))
        for name, digest, image_id in self.connection.execute("SELECT name, digest, image_id FROM image_digests"):
            found[image_id].append(parse_reference(name).with_digest(parse_digest(digest)))
        for references in found.values():
            references.sort(key=lambda one: (one.digest is not None, one.name, one.tag, str(one.digest)))
        return dict(found)
