"""Which images there are: their configs and layers, in the engine's SQLite file.

An image is its config document, by whose digest it is known; layers are named here by diff-id and kept by `layers`.
Tags are `names`. Calls are synchronous, take microseconds, and are made from the one thread that owns the connection.
"""

from __future__ import annotations

import enum
import hashlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sampan.errors import NotFound
from sampan.oci.digest import digest_of
from sampan.oci.image_spec import ContainerDefaults, ImageConfig, decode_config

_TABLES = """
CREATE TABLE IF NOT EXISTS images (
    id TEXT PRIMARY KEY, config BLOB NOT NULL, base TEXT NOT NULL, size INTEGER NOT NULL, parent TEXT NOT NULL,
    tagged_s REAL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS images_by_parent ON images (parent);
CREATE TABLE IF NOT EXISTS image_layers (
    image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE, position INTEGER NOT NULL, diff_id TEXT NOT NULL,
    PRIMARY KEY (image_id, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS image_layers_by_layer ON image_layers (diff_id);
CREATE TABLE IF NOT EXISTS image_documents (
    image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE, digest TEXT NOT NULL,
    PRIMARY KEY (image_id, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_made (
    image_id TEXT PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE, made_s REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS layer_origins (
    diff_id TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, media_type TEXT NOT NULL,
    repository TEXT NOT NULL, PRIMARY KEY (diff_id, digest, repository)
) WITHOUT ROWID;
"""
_ALL = "SELECT id, config, base, size, parent, tagged_s, made_s FROM images LEFT JOIN image_made ON image_id = id"
_ONE = f"{_ALL} WHERE id = ?"


class Base(enum.Enum):
    """What is below an image's layers: nothing, or the machine's own root (`host`)."""

    NOTHING = "nothing"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Image:
    """An image; `size` is the sum of its layers' files, `parent` the image it was committed or built from, if known.

    `made_s` is when it came to be here, where its config says another time so that it is the same wherever it is built.
    """

    id: str
    config: ImageConfig
    base: Base
    size: int
    parent: str = ""
    tagged_s: float | None = None
    made_s: float | None = None

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The layers, lowest first."""
        return self.config.rootfs.diff_ids or ()

    @property
    def defaults(self) -> ContainerDefaults:
        """What a container of it does unless it is told otherwise."""
        return self.config.config or ContainerDefaults()


@dataclass(frozen=True, slots=True)
class Origin:
    """A form in which a layer is known to a registry: the repository (a whole name) that has it by this digest."""

    digest: str
    size: int
    media_type: str
    repository: str


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """The chain id of each layer with all below it (OCI image specification, config.md, Layer ChainID)."""
    found: list[str] = []
    for diff_id in diff_ids:
        if found:
            chained = hashlib.sha256(f"{found[-1]} {diff_id}".encode()).hexdigest()
            found.append(f"sha256:{chained}")
        else:
            found.append(diff_id)
    return found


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing; within another transaction it is a part of that."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class ImageRecords:
    """The images of one database; makes its tables when they are not there."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.version = 0  # another one when images came or went
        connection.executescript(_TABLES)

    def add(
        self,
        config: bytes,
        *,
        size: int,
        base: Base = Base.NOTHING,
        parent: str = "",
        documents: Iterable[str] = (),
        made_s: float | None = None,
    ) -> Image:
        """Record an image by its config document; one that is there already stays, with the time it was made at.

        `documents` are digests of blobs (manifests) that live as long as the image. Raises InvalidArgument when the
        config is none.
        """
        decoded = decode_config(config)
        image_id = str(digest_of(config))
        with transaction(self.connection):
            known = self.connection.execute(
                "INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?, ?, NULL)",
                (image_id, config, base.value, size, parent),
            )
            if known.rowcount:
                self.version += 1
                self.connection.executemany(
                    "INSERT INTO image_layers VALUES (?, ?, ?)",
                    [(image_id, number, diff_id) for number, diff_id in enumerate(decoded.rootfs.diff_ids or ())],
                )
            if known.rowcount and made_s is not None:
                self.connection.execute("INSERT OR REPLACE INTO image_made VALUES (?, ?)", (image_id, made_s))
            self.connection.executemany(
                "INSERT OR IGNORE INTO image_documents VALUES (?, ?)", [(image_id, digest) for digest in documents]
            )
        return self.get(image_id)

    def get(self, image_id: str) -> Image:
        """The image of exactly this id. NotFound in Docker's words."""
        row = self.connection.execute(_ONE, (image_id,)).fetchone()
        if row is None:
            raise NotFound(f"No such image: {image_id}")
        return _image(row)

    def config_document(self, image_id: str) -> bytes:
        """The config, byte for byte. NotFound."""
        row = self.connection.execute("SELECT config FROM images WHERE id = ?", (image_id,)).fetchone()
        if row is None:
            raise NotFound(f"No such image: {image_id}")
        document: bytes = row[0]
        return document

    def has(self, image_id: str) -> bool:
        """Whether there is an image of exactly this id."""
        return self.connection.execute("SELECT 1 FROM images WHERE id = ?", (image_id,)).fetchone() is not None

    def search(self, prefix: str) -> list[str]:
        """The ids that begin with `prefix`, with or without "sha256:"; none when it is no hexadecimal number."""
        digits = prefix.removeprefix("sha256:")
        if not digits or not set(digits) <= set("0123456789abcdef"):
            return []
        first = f"sha256:{digits}"
        rows = self.connection.execute("SELECT id FROM images WHERE id >= ? AND id < ?", (first, first + "g"))
        return [row[0] for row in rows]

    def all(self) -> list[Image]:
        """Every image, in no order."""
        return [_image(row) for row in self.connection.execute(_ALL)]

    def children(self, image_id: str) -> list[str]:
        """The images that were made from this one."""
        rows = self.connection.execute("SELECT id FROM images WHERE parent = ?", (image_id,))
        return [row[0] for row in rows]

    def touch(self, image_id: str) -> None:
        """Remember that the image was given a tag just now."""
        self.connection.execute("UPDATE images SET tagged_s = ? WHERE id = ?", (time.time(), image_id))

    def remove(self, image_id: str) -> None:
        """Forget the image, if there is one; its layers are the caller's to release."""
        self.version += 1
        with transaction(self.connection):
            self.connection.execute("DELETE FROM image_layers WHERE image_id = ?", (image_id,))
            self.connection.execute("DELETE FROM image_documents WHERE image_id = ?", (image_id,))
            self.connection.execute("DELETE FROM image_made WHERE image_id = ?", (image_id,))
            self.connection.execute("DELETE FROM images WHERE id = ?", (image_id,))

    def uses_layer(self, diff_id: str) -> bool:
        """Whether any image has the layer."""
        rows = self.connection.execute("SELECT 1 FROM image_layers WHERE diff_id = ? LIMIT 1", (diff_id,))
        return rows.fetchone() is not None

    def documents_of(self, image_id: str) -> list[str]:
        """The digests of the blobs that live as long as the image."""
        rows = self.connection.execute("SELECT digest FROM image_documents WHERE image_id = ?", (image_id,))
        return [row[0] for row in rows]

    def documents_used(self) -> set[str]:
        """The digests of blobs that any image has."""
        return {row[0] for row in self.connection.execute("SELECT DISTINCT digest FROM image_documents")}

    def add_origin(self, diff_id: str, origin: Origin) -> None:
        """Remember that a registry has this layer."""
        values = (diff_id, origin.digest, origin.size, origin.media_type, origin.repository)
        self.connection.execute("INSERT OR REPLACE INTO layer_origins VALUES (?, ?, ?, ?, ?)", values)

    def origins(self, diff_id: str) -> list[Origin]:
        """Where this layer is known to be."""
        rows = self.connection.execute(
            "SELECT digest, size, media_type, repository FROM layer_origins WHERE diff_id = ?", (diff_id,)
        )
        return [Origin(*row) for row in rows]

    def layer_of(self, digest: str) -> str | None:
        """The diff-id of the layer that a registry knows by `digest`, if it was ever seen."""
        row = self.connection.execute("SELECT diff_id FROM layer_origins WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else row[0]

    def forget_layer(self, diff_id: str) -> None:
        """Forget where a layer that is gone was known to be."""
        self.connection.execute("DELETE FROM layer_origins WHERE diff_id = ?", (diff_id,))


def _image(row: tuple[str, bytes, str, int, str, float | None, float | None]) -> Image:
    image_id, config, base, size, parent, tagged_s, made_s = row
    return Image(image_id, decode_config(config), Base(base), size, parent, tagged_s, made_s)
