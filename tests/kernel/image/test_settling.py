"""Layers reach the disk behind everybody's back; what was not there when the machine went down is found out."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from tests.unit.image.conftest import make_archive

from sampan.image.layers import LayerStore
from sampan.image.settling import MARK, boot_id

ARCHIVE = make_archive(("d/one", b"1" * 5000), ("two", b"2" * 5000))


@pytest.fixture
def layers(tmp_path: Path) -> LayerStore:
    store = LayerStore(str(tmp_path / "layers"))
    store.prepare()
    return store


def add(layers: LayerStore) -> Path:
    """A layer's directory."""
    layer, _ = layers.add(io.BytesIO(ARCHIVE).read)
    return Path(layers.diff(layer.diff_id)).parent


def go_down_and_up(layers: LayerStore, place: Path) -> LayerStore:
    """The store as another boot of the machine finds it, with the layer as it was."""
    (place / MARK).write_text("another boot")
    found = LayerStore(layers.path)
    found.prepare()
    found.settle()
    return found


def test_a_layer_is_there_at_once_and_on_the_disk_when_it_is_waited_for(layers: LayerStore) -> None:
    place = add(layers)
    assert (place / MARK).read_text() == boot_id()
    assert len(layers.list()) == 1
    layers.settle()
    assert not (place / MARK).exists()


def test_a_layer_that_was_whole_when_the_machine_went_down_stays(layers: LayerStore) -> None:
    place = add(layers)
    layers.settle()
    found = go_down_and_up(layers, place)
    assert len(found.list()) == 1
    assert not (place / MARK).exists()


@pytest.mark.parametrize("lost", ["diff/two", "diff/d/one", "recipe", "layer.json"])
@pytest.mark.parametrize("how", ["empty", "gone", "other"])
def test_a_layer_that_lost_something_when_the_machine_went_down_is_gone(
    layers: LayerStore, lost: str, how: str
) -> None:
    place = add(layers)
    layers.settle()
    match how:
        case "empty":
            os.truncate(place / lost, 0)
        case "gone":
            (place / lost).unlink()
        case _:
            (place / lost).write_bytes(bytes(len((place / lost).read_bytes())))
    found = go_down_and_up(layers, place)
    assert found.list() == []
    assert not place.exists()


def test_a_layer_of_this_boot_is_not_doubted(layers: LayerStore) -> None:
    place = add(layers)
    layers.settle()
    (place / MARK).write_text(boot_id())
    os.truncate(place / "diff/two", 0)  # would be found if anybody looked
    found = LayerStore(layers.path)
    found.prepare()
    assert len(found.list()) == 1
    found.settle()
    assert not (place / MARK).exists()


def test_a_layer_that_is_removed_before_it_is_on_the_disk_is_no_trouble(layers: LayerStore) -> None:
    place = add(layers)
    layers.remove("sha256:" + place.name)
    layers.settle()
    assert os.listdir(layers.path) == []
