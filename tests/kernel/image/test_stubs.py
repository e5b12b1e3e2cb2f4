"""Mount points that an image lacks: made once for all steps whose layers agree about them, and never by mistake."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.kernel.image.conftest import tree_of

from sampan.image.layers import LayerStore
from sampan.image.stubs import StubShelf, Targets

TARGETS: Targets = (("proc", True), ("etc/hosts", False))


@pytest.fixture
def shelf(layers: LayerStore) -> StubShelf:
    return StubShelf(layers)


@pytest.fixture
def base(disk: Path) -> Path:
    (disk / "base" / "etc").mkdir(parents=True)
    return disk / "base"


def layer(disk: Path, name: str, *paths: str) -> str:
    (disk / name).mkdir()
    for path in paths:
        (disk / name / path).mkdir(parents=True)
    return str(disk / name)


def test_what_the_layers_lack_is_made_and_what_they_have_is_not(shelf: StubShelf, base: Path, disk: Path) -> None:
    (base / "proc").mkdir()
    shelf.place([str(base)], TARGETS, str(disk / "stubs"))
    assert sorted(set(tree_of(os.path.realpath(disk / "stubs")))) == [".", "etc", "etc/hosts"]
    (base / "etc/hosts").touch()
    shelf.place([str(base), layer(disk, "another")], TARGETS, str(disk / "none"))
    assert not os.path.lexists(disk / "none")
    assert len(os.listdir(shelf.layers.path)) == 1


def test_a_layer_without_a_say_shares_and_one_with_a_say_does_not(shelf: StubShelf, base: Path, disk: Path) -> None:
    lowers = {
        "first": [str(base)],
        "same": [layer(disk, "silent", "usr"), str(base)],
        "other": [layer(disk, "speaks", "proc"), str(base)],
    }
    for name, layers in lowers.items():
        shelf.place(layers, TARGETS, str(disk / f"stubs-{name}"))
    shared = {name: os.path.realpath(disk / f"stubs-{name}") for name in lowers}
    assert shared["same"] == shared["first"]
    assert sorted(os.listdir(shared["first"])) == ["etc", "proc"]
    assert os.listdir(shared["other"]) == ["etc"]


def test_the_root_keeps_the_mode_that_the_topmost_layer_gives_it(shelf: StubShelf, base: Path, disk: Path) -> None:
    closed = layer(disk, "closed")
    os.chmod(closed, 0o711)
    for name, layers in (("open", [str(base)]), ("closed", [closed, str(base)])):
        shelf.place(layers, TARGETS, str(disk / f"stubs-{name}"))
    assert os.stat(disk / "stubs-closed").st_mode & 0o7777 == 0o711
    assert os.stat(disk / "stubs-open").st_mode & 0o7777 == base.stat().st_mode & 0o7777


def test_nothing_is_shared_when_a_link_is_on_the_way(shelf: StubShelf, disk: Path) -> None:
    (disk / "linked" / "usr/etc").mkdir(parents=True)
    (disk / "linked" / "etc").symlink_to("usr/etc")
    base = str(disk / "linked")
    shelf.place([base], TARGETS, str(disk / "first"))
    above = layer(disk, "above", "usr/etc/hosts")
    shelf.place([above, base], TARGETS, str(disk / "second"))
    assert (disk / "first/usr/etc/hosts").is_file()
    assert os.listdir(disk / "second") == ["proc"]
    assert os.listdir(shelf.layers.path) == []


def test_shared_ones_that_somebody_removed_are_made_again(shelf: StubShelf, base: Path, disk: Path) -> None:
    shelf.place([str(base)], TARGETS, str(disk / "first"))
    shelf.layers.prepare()
    shelf.place([str(base)], TARGETS, str(disk / "second"))
    assert not (disk / "first").exists()
    assert (disk / "second/etc/hosts").is_file()
