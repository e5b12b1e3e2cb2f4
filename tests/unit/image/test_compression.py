"""Compressed streams, whole, in parts, cut off and hostile."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from collections.abc import Callable, Iterator

import pytest
import zstandard

from sampan.errors import InvalidArgument
from sampan.image.compression import MAGIC_BYTES, PIECE, Compression, compress, decompress, detect

CONTENT = random.Random(1).randbytes(300_000) + bytes(2_000_000) + b"the end"

COMPRESSORS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.GZIP: gzip.compress,
    Compression.ZSTD: lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    Compression.BZIP2: bz2.compress,
    Compression.XZ: lzma.compress,
}
each_compression = pytest.mark.parametrize("compression", COMPRESSORS, ids=lambda compression: compression.value)


def chunks(data: bytes, size: int = 10_000) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def plain(compression: Compression, data: bytes, size: int = 10_000) -> bytes:
    return b"".join(decompress(compression, chunks(data, size)))


@each_compression
@pytest.mark.parametrize("size", [1, 7_777, 10_000_000])
def test_a_stream_comes_out_plain_however_it_is_cut(compression: Compression, size: int) -> None:
    data = COMPRESSORS[compression](CONTENT[-400_000:])
    assert detect(data[:MAGIC_BYTES]) is compression
    assert plain(compression, data, size) == CONTENT[-400_000:]


@each_compression
def test_members_behind_each_other_are_one_stream(compression: Compression) -> None:
    make = COMPRESSORS[compression]
    assert plain(compression, make(b"one ") + make(b"") + make(CONTENT)) == b"one " + CONTENT


@each_compression
@pytest.mark.parametrize("missing", [1, 5, 20, 1000])
def test_a_stream_cut_off_is_refused(compression: Compression, missing: int) -> None:
    data = COMPRESSORS[compression](CONTENT)
    with pytest.raises(InvalidArgument, match=r"ends too early|damaged"):
        plain(compression, data[:-missing])


@each_compression
def test_rubbish_behind_the_end_is_refused(compression: Compression) -> None:
    data = COMPRESSORS[compression](CONTENT)
    with pytest.raises(InvalidArgument, match="damaged"):
        plain(compression, data + b"rubbish")


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.BZIP2, Compression.XZ])
def test_zeros_may_pad_the_end(compression: Compression) -> None:
    assert plain(compression, COMPRESSORS[compression](CONTENT) + bytes(5000)) == CONTENT


@each_compression
def test_damage_in_the_middle_is_refused(compression: Compression) -> None:
    data = bytearray(COMPRESSORS[compression](CONTENT))
    data[len(data) // 3] ^= 0x55
    with pytest.raises(InvalidArgument, match=r"damaged"):
        plain(compression, bytes(data))


@each_compression
def test_pieces_stay_small_whatever_the_stream_blows_up_to(compression: Compression) -> None:
    bomb = COMPRESSORS[compression](bytes(50_000_000))
    assert len(bomb) < 60_000
    assert max(map(len, decompress(compression, iter([bomb])))) <= 2 * PIECE


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD, Compression.NONE])
def test_what_is_compressed_is_the_same_each_time_and_comes_out_again(compression: Compression) -> None:
    first, second = (b"".join(compress(compression, chunks(CONTENT, size))) for size in (10_000, 10_000))
    assert first == second
    assert plain(compression, first) == CONTENT
    assert detect(first[:MAGIC_BYTES]) is compression


def test_other_programs_read_what_is_compressed() -> None:
    assert gzip.decompress(b"".join(compress(Compression.GZIP, chunks(CONTENT)))) == CONTENT
    data = b"".join(compress(Compression.ZSTD, chunks(CONTENT)))
    assert zstandard.ZstdDecompressor().decompressobj().decompress(data) == CONTENT


def test_no_layer_is_written_in_bzip2() -> None:
    with pytest.raises(ValueError, match="BZIP2"):
        compress(Compression.BZIP2, chunks(CONTENT))


@pytest.mark.parametrize("data", [b"", b"a", b"ustar", b"\x1f", b"BZ", b"\x28\xb5\x2f"])
def test_what_has_no_magic_is_plain(data: bytes) -> None:
    assert detect(data) is Compression.NONE
    assert plain(Compression.NONE, data) == data
