"""One pass over a stream: digests and the consumer, and every way in which either can fail."""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
from collections.abc import Iterator

import pytest

from sampan.errors import InvalidArgument
from sampan.image.compression import Compression
from sampan.image.inflow import flow_in
from sampan.image.tar_read import ArchiveLimits

CONTENT = bytes(range(256)) * 40_000


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def keep(pieces: Iterator[bytes]) -> bytes:
    return b"".join(pieces)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "unpack"] == []


def test_a_compressed_stream_has_two_digests() -> None:
    data = gzip.compress(CONTENT)
    arrived, result = flow_in(io.BytesIO(data).read, keep)
    assert result == CONTENT
    assert (arrived.digest, arrived.size) == (digest(data), len(data))
    assert (arrived.diff_id, arrived.plain_size) == (digest(CONTENT), len(CONTENT))
    assert arrived.compression is Compression.GZIP


def test_a_plain_stream_has_one() -> None:
    arrived, result = flow_in(io.BytesIO(CONTENT).read, keep)
    assert result == CONTENT
    assert arrived.digest == arrived.diff_id == digest(CONTENT)


def test_a_stream_that_comes_byte_by_byte_is_recognised() -> None:
    data = io.BytesIO(gzip.compress(CONTENT[:1000]))
    assert flow_in(lambda _: data.read(1), keep)[1] == CONTENT[:1000]


def test_an_empty_stream_is_empty() -> None:
    arrived, result = flow_in(lambda _: b"", keep)
    assert (arrived.size, result) == (0, b"")


@pytest.mark.parametrize("packed", [True, False])
def test_what_the_consumer_leaves_is_digested_all_the_same(packed: bool) -> None:  # noqa: FBT001
    data = gzip.compress(CONTENT) if packed else CONTENT
    arrived, first = flow_in(io.BytesIO(data).read, lambda pieces: next(pieces)[:3])
    assert first == CONTENT[:3]
    assert arrived.diff_id == digest(CONTENT)


def test_the_consumer_s_failure_is_the_caller_s_and_reading_stops() -> None:
    read = 0

    def endless(size: int) -> bytes:
        nonlocal read
        read += size
        return bytes(size)

    def fail(pieces: Iterator[bytes]) -> None:
        next(pieces)
        raise InvalidArgument("no tar archive")

    with pytest.raises(InvalidArgument, match="no tar archive"):
        flow_in(endless, fail)
    assert read < 1 << 24


def test_a_source_that_fails_ends_the_consumer_without_a_result() -> None:
    ended = threading.Event()

    def broken(size: int) -> bytes:
        if broken_after.read(1):
            return bytes(size)
        raise ConnectionResetError("gone")

    def consume(pieces: Iterator[bytes]) -> None:
        try:
            for _ in pieces:
                pass
            pytest.fail("the consumer took a broken stream for a whole one")
        finally:
            ended.set()

    broken_after = io.BytesIO(b"1234567890123")
    with pytest.raises(ConnectionResetError):
        flow_in(broken, consume)
    assert ended.is_set()


def test_a_damaged_stream_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="ends too early"):
        flow_in(io.BytesIO(gzip.compress(CONTENT)[:-9]).read, keep)


def test_a_stream_that_blows_up_past_the_limits_is_refused() -> None:
    bomb = gzip.compress(bytes(30_000_000))
    assert flow_in(io.BytesIO(bomb).read, lambda pieces: sum(map(len, pieces)))[1] == 30_000_000
    limits = ArchiveLimits(ratio_free_bytes=1_000_000, max_ratio=100)
    with pytest.raises(InvalidArgument, match="more than 100 times"):
        flow_in(io.BytesIO(bomb).read, lambda pieces: sum(map(len, pieces)), limits)
