"""The layers on disk: whole or not there, once each, and the same archive out as in."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import random
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.image.conftest import MakeArchive, make_archive

from sampan.errors import InvalidArgument, NotFound, SystemFailure
from sampan.image.compression import Compression
from sampan.image.layers import LayerStore
from sampan.image.tar_entry import Entry, Kind
from sampan.image.tar_write import END, encode_entry


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def add(layers: LayerStore, data: bytes) -> str:
    return layers.add(io.BytesIO(data).read)[0].diff_id


def again(layers: LayerStore, diff_id: str) -> bytes:
    return b"".join(layers.archive(diff_id))


@pytest.fixture
def data(archive: MakeArchive) -> bytes:
    return archive(
        Entry(b"d", Kind.DIRECTORY, mode=0o700),
        ("d/file", random.Random(2).randbytes(700_000)),
        Entry(b"hard", Kind.LINK, link=b"d/file"),
        ("empty", b""),
        (".wh.gone", b""),
    )


def test_a_layer_is_known_by_the_digest_of_its_plain_archive(layers: LayerStore, data: bytes) -> None:
    compressed = gzip.compress(data)  # with the time in it
    layer, arrived = layers.add(io.BytesIO(compressed).read)
    assert layer.diff_id == digest(data)
    assert arrived.digest == digest(compressed)
    assert arrived.compression is Compression.GZIP
    assert (layer.bytes, layer.tar_bytes, layer.entries) == (700_000, len(data), 5)
    assert layers.list() == [layer.diff_id]
    assert layers.has(layer.diff_id)
    assert layers.get(layer.diff_id) == layer
    assert sorted(os.listdir(layers.diff(layer.diff_id))) == ["d", "empty", "gone", "hard"]


@pytest.mark.parametrize("compressed", [gzip.compress, lambda data: zstandard.ZstdCompressor().compress(data), bytes])
def test_the_same_archive_comes_out_byte_for_byte(layers: LayerStore, data: bytes, compressed: object) -> None:
    assert callable(compressed)
    tail = b"rubbish behind the end".ljust(10_240, b"!")  # as tar pads its last record
    diff_id = add(layers, compressed(data + tail))
    assert again(layers, diff_id) == data + tail


names = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a", "l/a", "l", "d", ".wh.a", "d/.wh..wh..opq"])
contents = st.binary(max_size=2000)
entries = st.one_of(
    st.tuples(names, contents),
    st.builds(Entry, names.map(str.encode), st.sampled_from([Kind.DIRECTORY, Kind.FIFO])),
    st.builds(Entry, names.map(str.encode), st.just(Kind.SYMLINK), link=st.sampled_from([b"d", b"b", b"/d/e"])),
    st.builds(Entry, names.map(str.encode), st.just(Kind.LINK), link=st.sampled_from([b"a", b"d/a"])),
)


@given(wanted=st.lists(entries, max_size=12))
@settings(max_examples=100, deadline=None)
def test_whatever_an_archive_does_to_its_own_files_it_comes_out_again_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[Entry | tuple[str, bytes]]
) -> None:
    layers = LayerStore(str(tmp_path_factory.mktemp("layers")), durable=False)
    data = make_archive(*wanted)
    try:
        diff_id = add(layers, data)
    except InvalidArgument:
        assert os.listdir(layers.path) == []
    else:
        assert again(layers, diff_id) == data


def test_what_entries_replaced_is_sheltered_outside_of_the_tree(layers: LayerStore, archive: MakeArchive) -> None:
    data = archive(("f", b"first"), ("d/x", b"in a directory"), ("f", b"second"), ("d", b"now a file"))
    diff_id = add(layers, data)
    assert layers.get(diff_id).sheltered == 2
    assert sorted(os.listdir(layers.diff(diff_id))) == ["d", "f"]
    assert (Path(layers.diff(diff_id)) / "f").read_bytes() == b"second"
    assert again(layers, diff_id) == data


def test_a_sparse_file_comes_out_as_it_was_archived(layers: LayerStore) -> None:
    entry = Entry(b"holes", Kind.FILE, size=1 << 26, segments=((1 << 20, 512), (1 << 26, 0)))
    data = encode_entry(entry) + b"d" * 512 + END
    assert again(layers, add(layers, data)) == data


def test_a_layer_written_to_behind_our_back_is_noticed(layers: LayerStore, data: bytes) -> None:
    diff_id = add(layers, data)
    file = Path(layers.diff(diff_id)) / "d/file"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(SystemFailure, match="no longer as it was"):
        again(layers, diff_id)
    file.write_bytes(whole[:-1])
    with pytest.raises(SystemFailure, match="shorter than it was"):
        again(layers, diff_id)
    file.unlink()
    with pytest.raises(SystemFailure, match="No such file"):
        again(layers, diff_id)


@pytest.mark.parametrize("compressed", [gzip.compress, bytes])
def test_a_layer_may_be_known_to_others_by_another_algorithm(
    layers: LayerStore, data: bytes, compressed: Callable[[bytes], bytes]
) -> None:
    packed = compressed(data)
    name = f"sha512:{hashlib.sha512(packed).hexdigest()}"
    layer, arrived = layers.add(io.BytesIO(packed).read, expected_digest=name, expected_diff_id=digest(data))
    assert (arrived.digest, layer.diff_id) == (name, digest(data))
    layers.detach(layer.diff_id)
    with pytest.raises(InvalidArgument, match="instead of sha512:"):
        layers.add(io.BytesIO(packed).read, expected_digest=f"sha512:{'0' * 128}")
    with pytest.raises(InvalidArgument):
        layers.add(io.BytesIO(packed).read, expected_digest="md5:00")
    assert layers.list() == []


def test_a_wrong_digest_leaves_nothing(layers: LayerStore, data: bytes) -> None:
    packed = gzip.compress(data)
    with pytest.raises(InvalidArgument, match="instead of"):
        layers.add(io.BytesIO(packed).read, expected_diff_id=digest(b""))
    with pytest.raises(InvalidArgument, match="instead of"):
        layers.add(io.BytesIO(packed).read, expected_digest=digest(b""))
    assert os.listdir(layers.path) == []
    layers.add(io.BytesIO(packed).read, expected_diff_id=digest(data), expected_digest=digest(packed))
    assert layers.list() == [digest(data)]


@pytest.mark.parametrize("missing", [1, 600, 5000])
def test_a_stream_cut_off_leaves_nothing(layers: LayerStore, data: bytes, missing: int) -> None:
    with pytest.raises(InvalidArgument):
        add(layers, gzip.compress(data)[:-missing])
    assert os.listdir(layers.path) == []


def test_a_source_that_fails_leaves_nothing(layers: LayerStore, data: bytes) -> None:
    source = io.BytesIO(data)

    def read(size: int) -> bytes:
        if source.tell() > 300_000:
            raise ConnectionResetError("gone")
        return source.read(size)

    with pytest.raises(ConnectionResetError):
        layers.add(read)
    assert os.listdir(layers.path) == []


def test_a_layer_that_is_there_already_is_kept(layers: LayerStore, data: bytes) -> None:
    inode = os.stat(layers.diff(add(layers, data))).st_ino
    assert os.stat(layers.diff(add(layers, data))).st_ino == inode
    assert len(os.listdir(layers.path)) == 1


def test_threads_that_add_one_layer_at_once_make_one(layers: LayerStore, data: bytes) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(add(layers, data))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [digest(data)] * 6
    assert os.listdir(layers.path) == [digest(data).removeprefix("sha256:")]
    assert again(layers, digest(data)) == data


def test_what_a_crash_left_half_made_is_removed_at_the_start(layers: LayerStore, data: bytes) -> None:
    diff_id = add(layers, data)
    half = Path(layers.path) / "new-0123456789abcdef"
    (half / "diff/a/b").mkdir(parents=True)
    (half / "diff/a/b/c").touch()
    layers.prepare()
    assert layers.list() == [diff_id]
    assert len(os.listdir(layers.path)) == 1


def test_others_than_root_cannot_walk_into_the_layers(layers: LayerStore) -> None:
    """A setuid program of an image must not be within a host user's reach (CVE-2021-41091)."""
    os.chmod(layers.path, 0o755)
    layers.prepare()
    assert stat.S_IMODE(os.stat(layers.path).st_mode) == 0o700


def test_a_group_inherited_from_the_data_root_does_not_reach_the_files(layers: LayerStore, data: bytes) -> None:
    os.chown(layers.path, 0, 4321)
    os.chmod(layers.path, 0o2700)
    diff = Path(layers.diff(add(layers, data)))
    assert not diff.stat().st_mode & stat.S_ISGID
    assert (diff / "d/file").stat().st_gid == 0


def test_a_removed_layer_is_gone_and_removing_it_again_is_nothing(layers: LayerStore, data: bytes) -> None:
    diff_id = add(layers, data)
    layers.remove(diff_id)
    layers.remove(diff_id)
    assert not layers.has(diff_id)
    assert os.listdir(layers.path) == []
    with pytest.raises(NotFound, match="not here"):
        layers.get(diff_id)


@pytest.mark.parametrize("name", ["sha256:../../etc", "sha512:" + "0" * 64, "0" * 64, "sha256:" + "G" * 64, ""])
def test_what_is_no_digest_names_no_place(layers: LayerStore, name: str) -> None:
    with pytest.raises(InvalidArgument, match="no sha256 digest"):
        layers.remove(name)


def test_an_opaque_root_is_known(layers: LayerStore, archive: MakeArchive) -> None:
    assert layers.get(add(layers, archive((".wh..wh..opq", b"")))).opaque_root
    assert not layers.get(add(layers, archive(("d/.wh..wh..opq", b"")))).opaque_root


def test_directories_in_stock_are_given_first_and_leave_nothing(layers: LayerStore) -> None:
    before = set(os.listdir(layers.path))
    layers.stock(2)
    ready = {os.path.join(layers.path, name) for name in set(os.listdir(layers.path)) - before}
    given = {layers.begin(), layers.begin()}
    assert (len(ready), given) == (2, ready)
    assert layers.begin() not in ready
    layers.stock(2)
    layers.stock(0)
    assert len(set(os.listdir(layers.path)) - before) == 3


def test_a_disk_that_takes_no_directory_has_none_in_stock(layers: LayerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)
        layers.stock(1)
    assert os.path.isdir(layers.begin())
