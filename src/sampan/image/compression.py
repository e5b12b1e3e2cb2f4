"""Compressed streams by their magic: gzip (isal), zstd, bzip2, xz and plain, both ways.

A decoder takes bytes as they come and gives pieces of bounded size, whatever a stream would blow up to; the ratio is
looked at by `inflow`. What is inside the stream is not known here.
"""

from __future__ import annotations

import bz2
import enum
import lzma
import os
from collections.abc import Callable, Iterator
from typing import IO, Any, Protocol, cast

import zstandard
from isal import igzip_lib, isal_zlib

from sampan.errors import InvalidArgument
from sampan.image.pieces import Move, Pieces, unmoved

PIECE = 1 << 18
MAGIC_BYTES = 6
_XZ_MEMORY = 256 << 20
_ZSTD_WINDOW = 128 << 20
_SENTINEL = 32


class Compression(enum.Enum):
    """How a stream is compressed, by the name that media types use."""

    NONE = ""
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"


def detect(magic: bytes) -> Compression:
    """The compression of a stream that begins with `magic` (six bytes, or less when there are no more)."""
    if magic.startswith(b"\x1f\x8b"):
        return Compression.GZIP
    if magic.startswith(b"\x28\xb5\x2f\xfd") or (magic[1:4] == b"\x2a\x4d\x18" and magic[0] & 0xF0 == 0x50):
        return Compression.ZSTD
    if magic.startswith(b"BZh"):
        return Compression.BZIP2
    if magic.startswith(b"\xfd7zXZ\0"):
        return Compression.XZ
    return Compression.NONE


class _Decompressor(Protocol):
    """What bz2, lzma and igzip_lib have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


def _gzip() -> _Decompressor:
    made: _Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return made


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


_MEMBERS: dict[Compression, Callable[[], _Decompressor]] = {
    Compression.GZIP: _gzip,
    Compression.BZIP2: bz2.BZ2Decompressor,
    Compression.XZ: _xz,
}
_FAULTS = (OSError, EOFError, lzma.LZMAError, cast("type[Exception]", igzip_lib.error))


def decompress(compression: Compression, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The plain bytes of a compressed stream, in pieces of at most 1 MiB (plain chunks go through as they are).

    Raises InvalidArgument when the stream is damaged, cut off, or has rubbish behind its end.
    """
    if compression is Compression.NONE:
        return chunks
    if compression is Compression.ZSTD:
        return _zstd_pieces(chunks)
    return _member_pieces(compression, chunks)


def plain(read: Callable[[int], bytes | memoryview], move: Move = unmoved) -> Pieces:
    """A stream without its compression, whichever it is; `read` gives its next bytes, b"" at its end.

    `move` is that of the stream as it comes.
    """
    magic = b""
    while len(magic) < MAGIC_BYTES and (more := read(PIECE)):
        magic += more

    def raw() -> Iterator[bytes | memoryview]:
        data: bytes | memoryview = magic
        while data:
            yield data
            data = read(PIECE)

    compression = detect(magic)
    if compression is Compression.NONE:
        return Pieces(raw(), move)
    return Pieces(decompress(compression, map(bytes, raw())))


def _damaged(compression: Compression, why: object) -> InvalidArgument:
    return InvalidArgument(
        f"the {compression.value} stream is damaged: {why}", remedy="take the archive from its source again"
    )


def _member_pieces(compression: Compression, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Members one behind the other, as gzip, bzip2 and xz allow; zeros may pad the end."""
    make = _MEMBERS[compression]
    decompressor: _Decompressor | None = None
    for chunk in chunks:
        data = chunk
        while data or (decompressor is not None and not decompressor.needs_input):
            if decompressor is None:
                data = data.lstrip(b"\0")
                if not data:
                    break
                decompressor = make()
            try:
                piece = decompressor.decompress(data, PIECE)
            except _FAULTS as error:
                raise _damaged(compression, error) from error
            data = b""
            if piece:
                yield piece
            if decompressor.eof:
                data = decompressor.unused_data
                decompressor = None
    if decompressor is not None:
        raise _damaged(compression, "it ends too early")


def _zstd_pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Frames one behind the other.

    The library says nothing of a frame cut off at the end. So a frame of random bytes of ours is put behind the stream:
    it comes out last if, and only if, the frame before it was whole.
    """
    sentinel = os.urandom(_SENTINEL)
    source = _Joined(chunks, zstandard.ZstdCompressor().compress(sentinel))
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    held = b""
    with decompressor.stream_reader(cast("IO[bytes]", source), read_across_frames=True, closefd=False) as reader:
        while True:
            try:
                piece = reader.read(PIECE)
            except zstandard.ZstdError as error:
                raise _damaged(Compression.ZSTD, error) from error
            if not piece:
                break
            held += piece
            if len(held) > _SENTINEL:
                yield held[:-_SENTINEL]
                held = held[-_SENTINEL:]
    if held != sentinel:
        raise _damaged(Compression.ZSTD, "it ends too early")


class _Joined:
    """A file-like object over chunks, with some last bytes behind them."""

    def __init__(self, chunks: Iterator[bytes], last: bytes) -> None:
        self._chunks = chunks
        self._last = last
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, b"" at the end."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
        if not self._rest:
            self._rest, self._last = self._last, b""
        if size < 0 or size >= len(self._rest):
            taken, self._rest = self._rest, b""
        else:
            taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def compress(compression: Compression, chunks: Iterator[bytes], level: int | None = None) -> Iterator[bytes]:
    """Compress with gzip (isal, level 0 to 3) or zstd; the same input gives the same bytes. Plain goes through.

    Raises ValueError for the others: no registry takes bzip2 or xz.
    """
    if compression is Compression.NONE:
        return chunks
    if compression is Compression.GZIP:
        return _flow(isal_zlib.compressobj(1 if level is None else level, wbits=31), chunks)
    if compression is Compression.ZSTD:
        return _flow(zstandard.ZstdCompressor(level=3 if level is None else level).compressobj(), chunks)
    raise ValueError(compression)


def _flow(compressor: Any, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if piece := compressor.compress(chunk):
            yield piece
    yield compressor.flush()
