"""Records of the build cache: what counts as here, and since when it was of no use."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from sampan.build.cache import BuildCache

if TYPE_CHECKING:
    from sampan.image.layers import LayerStore
    from sampan.image.records import ImageRecords

LAYERS = ("sha256:below", "sha256:above")


class Images:
    """All images are here, of the same two layers."""

    def has(self, image_id: str) -> bool:
        return bool(image_id)

    def get(self, image_id: str) -> SimpleNamespace:
        return SimpleNamespace(id=image_id, diff_ids=LAYERS)


class Layers:
    """Which layers are here, and which were looked for."""

    def __init__(self) -> None:
        self.here = set(LAYERS)
        self.looked_for: list[str] = []

    def has(self, diff_id: str) -> bool:
        self.looked_for.append(diff_id)
        return diff_id in self.here

    def list(self) -> list[str]:
        return sorted(self.here)


@pytest.fixture
def layers() -> Layers:
    return Layers()


@pytest.fixture
def cache(layers: Layers) -> Iterator[BuildCache]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE images (id TEXT)")
        made = BuildCache(connection, cast("ImageRecords", Images()), cast("LayerStore", layers))
        made.prepare()
        yield made


def age(cache: BuildCache) -> None:
    """Have all records be of no use since long ago."""
    cache.connection.execute("UPDATE build_images SET used_s = 1.0")


def test_what_a_build_finds_was_of_use_when_prune_asks(cache: BuildCache) -> None:
    for name in ("one", "two", "three"):
        cache.remember_image(f"key {name}", f"image {name}")
    age(cache)
    assert cache.image("key one") is not None
    assert cache.image("key two") is not None
    used = cache.image_ids()
    assert used["image one"] == used["image two"] > 1.0
    assert used["image three"] == 1.0


def test_what_was_of_use_is_written_when_the_build_says_so(cache: BuildCache) -> None:
    cache.remember_image("key", "image")
    age(cache)
    cache.image("key")
    cache.remember_used()
    assert cache.connection.execute("SELECT used_s > 1.0 FROM build_images").fetchall() == [(1,)]


def test_an_image_without_all_of_its_layers_is_not_found(cache: BuildCache, layers: Layers) -> None:
    cache.remember_image("key", "image")
    layers.here.remove("sha256:above")
    age(cache)
    assert cache.image("key") is None
    assert cache.image_ids() == {"image": 1.0}


def test_layers_that_a_build_holds_are_not_looked_for(cache: BuildCache, layers: Layers) -> None:
    cache.remember_image("key", "image")
    assert cache.image("key", frozenset({"sha256:below"})) is not None
    assert layers.looked_for == ["sha256:above"]
