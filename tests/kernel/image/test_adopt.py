"""A step's upper directory becomes a layer where it is."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from tests.kernel.image.conftest import tree_of

from sampan.image.adopt import adopt, is_small
from sampan.image.commit import commit_layer
from sampan.image.layers import LayerStore
from sampan.linux.overlay import make_opaque, make_whiteout


@pytest.fixture
def layers(tmp_path: Path) -> LayerStore:
    store = LayerStore(str(tmp_path / "layers"), durable=False)
    store.prepare()
    return store


def make_upper(place: Path) -> str:
    """What a step may leave: files, links of both kinds, marks, attributes, holes."""
    place.mkdir()
    (place / "etc").mkdir(mode=0o700)
    (place / "etc" / "passwd").write_text("root:x:0:0\n")
    os.chown(place / "etc" / "passwd", 5, 6)
    (place / "etc" / "suid").write_bytes(b"x" * 3000)
    (place / "etc" / "suid").chmod(0o4755)
    os.link(place / "etc" / "suid", place / "etc" / "twin")
    os.symlink("/elsewhere", place / "etc" / "link")
    os.setxattr(place / "etc" / "passwd", "user.note", b"seen")
    make_whiteout(str(place / "gone"))
    (place / "anew").mkdir()
    make_opaque(str(place / "anew"))
    with (place / "holes").open("wb") as file:
        file.truncate(8 << 20)
        file.seek(4 << 20)
        file.write(b"in the middle")
    for name in ("etc", "anew", "holes"):
        os.utime(place / name, (1000, 1000))
    return str(place)


def test_an_adopted_tree_has_the_digest_that_a_commit_of_it_has(layers: LayerStore, tmp_path: Path) -> None:
    upper = make_upper(tmp_path / "upper")
    with layers.hold() as hold:
        committed = commit_layer(upper, LayerStore(str(tmp_path), durable=False), hold)
        adopted = adopt(upper, layers, hold)
    assert adopted == committed
    assert not os.path.exists(upper)


def test_an_adopted_layer_gives_its_archive_again_byte_for_byte(layers: LayerStore, tmp_path: Path) -> None:
    with layers.hold() as hold:
        layer = adopt(make_upper(tmp_path / "upper"), layers, hold)
    digest = hashlib.sha256(b"".join(layers.archive(layer.diff_id))).hexdigest()
    assert layer.diff_id == f"sha256:{digest}"


def test_an_adopted_tree_is_the_same_tree_and_not_a_copy(layers: LayerStore, tmp_path: Path) -> None:
    upper = Path(make_upper(tmp_path / "upper"))
    before, inode = tree_of(upper), (upper / "holes").stat().st_ino
    with layers.hold() as hold:
        layer = adopt(str(upper), layers, hold)
    after = Path(layers.diff(layer.diff_id))
    assert tree_of(after) == before
    assert (after / "holes").stat().st_ino == inode


def test_a_second_tree_that_is_the_same_leaves_nothing(layers: LayerStore, tmp_path: Path) -> None:
    with layers.hold() as hold:
        first = adopt(make_upper(tmp_path / "one"), layers, hold, latest_mtime_s=2000)
        second = adopt(make_upper(tmp_path / "two"), layers, hold, latest_mtime_s=2000)
    assert first == second
    assert os.listdir(layers.path) == [first.diff_id.removeprefix("sha256:")]


def test_a_tree_whose_layer_is_there_already_is_left_to_whoever_frees_the_disk(
    layers: LayerStore, tmp_path: Path
) -> None:
    disposed: list[str] = []
    with layers.hold() as hold:
        adopt(make_upper(tmp_path / "one"), layers, hold, latest_mtime_s=2000, dispose=disposed.append)
        assert disposed == []
        adopt(make_upper(tmp_path / "two"), layers, hold, latest_mtime_s=2000, dispose=disposed.append)
    assert [os.path.dirname(path) for path in disposed] == [layers.path]
    assert os.path.isdir(disposed[0])


def test_no_file_of_an_adopted_tree_is_later_than_the_epoch_that_is_asked_for(
    layers: LayerStore, tmp_path: Path
) -> None:
    ids = []
    for name in ("one", "two"):
        upper = Path(make_upper(tmp_path / name))
        (upper / "etc" / name).mkdir()
        (upper / "etc" / name).rename(upper / "etc" / "new")
        with layers.hold() as hold:
            ids.append(adopt(str(upper), layers, hold, latest_mtime_s=2000).diff_id)
    assert ids[0] == ids[1]
    root = Path(layers.diff(ids[0]))
    times = {path.lstat().st_mtime for path in root.rglob("*") if not stat.S_ISCHR(path.lstat().st_mode)}
    assert times == {1000, 2000}


def test_only_a_directory_of_few_files_and_bytes_is_small(tmp_path: Path) -> None:
    upper = make_upper(tmp_path / "upper")
    (tmp_path / "upper" / "holes").unlink()
    assert is_small(upper)
    for number in range(20):
        (tmp_path / "upper" / "anew" / str(number)).touch()
    assert not is_small(upper)
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "sparse").touch()
    os.truncate(tmp_path / "large" / "sparse", 1 << 20)
    assert not is_small(str(tmp_path / "large"))
