"""What counts as a change for builds that are asked again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from sampan.build.cache import BuildCache
from sampan.build.recall import question_of
from sampan.build.request import BuildRequest
from sampan.image.layers import LayerStore
from sampan.image.records import ImageRecords


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildCache]:
    layers = LayerStore(str(tmp_path_factory.mktemp("layers")))
    layers.prepare()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        made = BuildCache(connection, ImageRecords(connection), layers)
        made.prepare()
        yield made


@pytest.mark.parametrize(
    "change",
    [
        lambda cache: cache.remember_image("key", "image"),
        lambda cache: cache.remember_layer("key", "layer"),
        lambda cache: cache.forget(["image"]),
    ],
    ids=["image", "layer", "forgotten"],
)
def test_a_build_that_began_before_a_record_changed_is_kept_for_nobody(
    cache: BuildCache, change: Callable[[BuildCache], None]
) -> None:
    before = question_of(BuildRequest(), (b"archive",), (cache.version,))
    assert before == question_of(BuildRequest(), (b"arch", b"ive"), (cache.version,))
    change(cache)
    assert before != question_of(BuildRequest(), (b"archive",), (cache.version,))
