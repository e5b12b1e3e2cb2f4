"""Blobs by digest: written whole, verified, resumed, collected."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from sampan.errors import Conflict, InvalidArgument, NotFound, SystemFailure
from sampan.image.content import ContentStore

CONTENT = b'{"a": "document"}'


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    made = ContentStore(str(tmp_path / "content"))
    made.prepare()
    return made


def files(store: ContentStore) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(directory, name), store.path)
        for directory, _, names in os.walk(store.path)
        for name in names
    )


def test_a_document_is_read_by_its_digest(store: ContentStore) -> None:
    assert store.write(CONTENT) == digest(CONTENT)
    assert store.write(CONTENT, digest(CONTENT)) == digest(CONTENT)
    assert store.read(digest(CONTENT)) == CONTENT
    assert store.has(digest(CONTENT))
    assert files(store) == ["blobs/sha256/" + digest(CONTENT).removeprefix("sha256:")]


def test_other_algorithms_have_their_own_place(store: ContentStore) -> None:
    assert store.write(CONTENT, digest(CONTENT, "sha512")) == digest(CONTENT, "sha512")
    assert store.read(digest(CONTENT, "sha512")) == CONTENT
    assert store.list() == [digest(CONTENT, "sha512")]


def test_another_digest_than_the_expected_keeps_nothing(store: ContentStore) -> None:
    with pytest.raises(InvalidArgument, match="instead of"):
        store.write(CONTENT, digest(b"other"))
    assert files(store) == []


def test_a_document_that_is_not_there_is_not_found(store: ContentStore) -> None:
    assert not store.has(digest(CONTENT))
    with pytest.raises(NotFound):
        store.read(digest(CONTENT))
    store.remove(digest(CONTENT))


@pytest.mark.parametrize("name", ["../../etc/passwd", "sha256:../x", "md5:" + "0" * 32, "sha256:" + "0" * 63])
def test_what_is_no_digest_names_no_file(store: ContentStore, name: str) -> None:
    with pytest.raises(InvalidArgument):
        store.has(name)


def test_damage_on_disk_is_noticed(store: ContentStore) -> None:
    store.write(CONTENT)
    (Path(store.path) / files(store)[0]).write_bytes(b"tampered")
    with pytest.raises(SystemFailure, match="damaged"):
        store.read(digest(CONTENT))


def test_only_root_s_own_eyes_see_the_blobs(store: ContentStore) -> None:
    store.write(CONTENT)
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o700
    assert stat.S_IMODE((Path(store.path) / files(store)[0]).stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_nothing(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemFailure, match="No space left") as caught:
        store.write(CONTENT)
    assert "prune" in caught.value.remedy
    assert files(store) == []


def test_what_a_crash_left_is_removed_but_partials_stay(store: ContentStore) -> None:
    with store.partial(digest(CONTENT)) as partial:
        partial.write(CONTENT[:5])
    (Path(store.path) / "new-0123").write_bytes(b"half")
    store.prepare()
    assert files(store) == ["partial/" + digest(CONTENT).replace(":", "-")]


def test_a_download_goes_on_where_it_broke_off(store: ContentStore) -> None:
    with store.partial(digest(CONTENT)) as partial:
        assert partial.size == 0
        partial.write(CONTENT[:4])
        partial.write(CONTENT[4:9])
        assert partial.size == 9
        assert not partial.verify()
    with store.partial(digest(CONTENT)) as partial:
        assert partial.size == 9
        assert b"".join(partial.read()) == CONTENT[:9]
        partial.write(CONTENT[9:])
        assert partial.verify()
        partial.discard()
    assert files(store) == []


def test_a_download_may_start_anew(store: ContentStore) -> None:
    with store.partial(digest(CONTENT)) as partial:
        partial.write(b"wrong")
        partial.restart()
        assert partial.size == 0
        partial.write(CONTENT)
        assert partial.verify()


def test_two_downloads_of_one_blob_do_not_mix(store: ContentStore) -> None:
    with store.partial(digest(CONTENT)) as partial:
        with pytest.raises(Conflict, match="already"):
            store.partial(digest(CONTENT))
        partial.discard()
    store.partial(digest(CONTENT)).close()


def test_opening_while_another_finishes_gives_a_new_file(store: ContentStore) -> None:
    wanted = digest(CONTENT)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(200):
                try:
                    partial = store.partial(wanted)
                except Conflict:
                    continue
                with partial:
                    partial.write(CONTENT)
                    if not partial.verify():
                        raise AssertionError
                    partial.discard()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_collecting_keeps_what_is_referred_to(store: ContentStore) -> None:
    kept, dropped = store.write(b"kept"), store.write(b"dropped")
    assert store.collect([kept]) == len(b"dropped")
    assert store.has(kept)
    assert not store.has(dropped)


def test_collecting_removes_old_partials_that_no_one_writes(store: ContentStore) -> None:
    for data in (b"old", b"new"):
        with store.partial(digest(data)) as partial:
            partial.write(data)
    old = Path(store.path) / "partial" / digest(b"old").replace(":", "-")
    os.utime(old, (time.time() - 1000, time.time() - 1000))
    with store.partial(digest(b"old")):
        assert store.collect([], partials_older_than_s=500) == 0
    os.utime(old, (time.time() - 1000, time.time() - 1000))
    assert store.collect([], partials_older_than_s=500) == 3
    assert files(store) == ["partial/" + digest(b"new").replace(":", "-")]
    assert store.collect([]) == 0
