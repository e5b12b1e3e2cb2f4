"""Trees and archives for tests of layers: made as root, compared whole."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.image.conftest import MakeArchive, make_archive

from sampan.image.layers import LayerStore
from sampan.image.unpack import unpack
from sampan.image.unpack_terms import Unpacked, Whiteouts

Tree = dict[str, tuple[object, ...]]


def tree_of(root: Path | str) -> Tree:
    """All that a tree is: kind, mode, owner, time, links, device, target, xattrs and content of every name."""
    found: Tree = {}
    for directory, names, files in os.walk(root):
        for name in [".", *names, *files]:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            is_file = stat.S_ISREG(status.st_mode)
            found[os.path.relpath(path, root)] = (
                stat.filemode(status.st_mode),
                (status.st_uid, status.st_gid),
                status.st_mtime_ns,
                status.st_nlink if is_file else 1,
                status.st_rdev,
                os.readlink(path) if stat.S_ISLNK(status.st_mode) else "",
                sorted(
                    (key, os.getxattr(path, key, follow_symlinks=False))
                    for key in os.listxattr(path, follow_symlinks=False)
                ),
                hashlib.sha256(Path(path).read_bytes()).hexdigest() if is_file else "",
            )
    return found


@pytest.fixture
def archive() -> MakeArchive:
    return make_archive


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty directory to unpack into, with a world around it that must stay as it is."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "canary").write_text("alive")
    (outside / "canary").chmod(0o600)
    made = tmp_path / "root"
    made.mkdir()
    return made


Unpack = Callable[[bytes], Unpacked]


@pytest.fixture
def unpacked(root: Path) -> Iterator[Unpack]:
    """Unpacks an archive into `root` in small pieces, and sees that nothing outside of it changed."""
    before = tree_of(root.parent / "outside"), sorted(os.listdir(root.parent))
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)

    def run(data: bytes, whiteouts: Whiteouts = Whiteouts.OVERLAY) -> Unpacked:
        try:
            return unpack((data[at : at + 700] for at in range(0, len(data), 700)), fd, whiteouts=whiteouts)
        finally:
            assert (tree_of(root.parent / "outside"), sorted(os.listdir(root.parent))) == before

    yield run
    os.close(fd)
    assert (tree_of(root.parent / "outside"), sorted(os.listdir(root.parent))) == before


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that a PrivateHost sees too: its own root covers tmp_path."""
    return tmp_path_factory.mktemp("disk")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:", isolation_level=None)
    yield opened
    opened.close()


@pytest.fixture
def layers(disk: Path) -> LayerStore:
    store = LayerStore(str(disk / "data/layers"), durable=False)
    store.prepare()
    return store
