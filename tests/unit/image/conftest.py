"""Archives for tests, made of entries in memory, and an image store to put them into."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sampan.image.images import Images
from sampan.image.layers import LayerStore
from sampan.image.names import ImageNames
from sampan.image.records import ImageRecords
from sampan.image.root_records import RootRecords
from sampan.image.tar_entry import Entry, Kind
from sampan.image.tar_write import END, encode_entry, padding

MakeArchive = Callable[..., bytes]


def make_archive(*entries: Entry | tuple[str, bytes]) -> bytes:
    """An archive of entries without data, and of (name, content) pairs."""
    blocks = []
    for one in entries:
        if isinstance(one, Entry):
            blocks.append(encode_entry(one))
        else:
            name, content = one
            entry = Entry(name.encode(), Kind.FILE, size=len(content), mtime_ns=1_700_000_000_000_000_000)
            blocks += [encode_entry(entry), content, padding(len(content))]
    return b"".join(blocks) + END


@pytest.fixture
def archive() -> MakeArchive:
    return make_archive


@dataclass
class Containers:
    """Which container is of an image, by the image's id: what the engine would answer."""

    runs: dict[str, str] = field(default_factory=dict)
    stands: dict[str, str] = field(default_factory=dict)

    def running(self, image_id: str) -> str | None:
        return self.runs.get(image_id)

    def stopped(self, image_id: str) -> str | None:
        return self.stands.get(image_id)


@pytest.fixture
def containers() -> Containers:
    return Containers()


@pytest.fixture
def images(tmp_path: Path, containers: Containers) -> Iterator[Images]:
    """An empty image store."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    layers = LayerStore(str(tmp_path / "layers"), durable=False)
    layers.prepare()
    yield Images(ImageRecords(connection), ImageNames(connection), RootRecords(connection), layers, containers)
    connection.close()
