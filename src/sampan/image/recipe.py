"""A layer's recipe: what its tar archive holds beside the files, so that the very same archive can be made again.

The tree has the contents and the recipe the rest (headers in their writer's own style, padding, what is behind the
end), a hundredth of the size; so a layer is on disk once, and its digest still comes out the same, whoever wrote the
archive. Format: a zstd stream of records, each a kind and two lengths in little-endian 32 bits:

    0  literal    length, 0             then that many bytes
    1  payload    path length, parts    then the path and (offset, length) pairs of 64 bits each
    2  sheltered  path length, number   then the path: what was there until now is in the shelter under that number
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import IO

import zstandard

from sampan.errors import SystemFailure
from sampan.image.name_text import shown
from sampan.image.tar_sparse import Segment
from sampan.linux.openat import open_in_root

_RECORD = struct.Struct("<BII")
_PART = struct.Struct("<QQ")
_LITERAL, _PAYLOAD, _SHELTERED = range(3)
_FLUSH = 1 << 18
_PIECE = 1 << 20
_LONGEST = 1 << 26


class RecipeWriter:
    """Records a recipe while `unpack` goes on; `shelter_fd` is a directory for what later entries replace."""

    def __init__(self, file: IO[bytes], shelter_fd: int) -> None:
        self._out = zstandard.ZstdCompressor(level=1).stream_writer(file, closefd=False)
        self._shelter = shelter_fd
        self._pending: list[bytes] = []
        self._size = 0
        self.sheltered = 0

    def literal(self, data: bytes) -> None:
        """These bytes of the archive are in no file."""
        self._pending.append(data)
        self._size += len(data)
        if self._size >= _FLUSH:
            self._flush()

    def payload(self, path: bytes, segments: tuple[Segment, ...]) -> None:
        """The next bytes of the archive are these parts of the file at `path`."""
        self._flush()
        parts = b"".join([_PART.pack(*segment) for segment in segments])
        self._out.write(_RECORD.pack(_PAYLOAD, len(path), len(segments)) + path + parts)

    def shelter(self, path: bytes) -> tuple[int, str]:
        """What is at `path` is about to be replaced: the directory, and the name in it, to move it to."""
        self._flush()
        number = self.sheltered
        self.sheltered += 1
        self._out.write(_RECORD.pack(_SHELTERED, len(path), number) + path)
        return self._shelter, str(number)

    def finish(self) -> None:
        """Write what is pending; the file is the caller's to sync."""
        self._flush()
        self._out.flush(zstandard.FLUSH_FRAME)

    def _flush(self) -> None:
        if self._pending:
            data = b"".join(self._pending)
            self._out.write(_RECORD.pack(_LITERAL, len(data), 0) + data)
            self._pending.clear()
            self._size = 0


def replay(recipe: str, tree_fd: int, shelter_fd: int = -1) -> Iterator[bytes]:
    """The archive again, in pieces; with `shelter_fd` what was sheltered is taken from there.

    Raises SystemFailure when the recipe or a file of it is gone or too short. That the bytes are the same is for the
    caller to see by their digest.
    """
    moves = list(_moves(recipe)) if shelter_fd >= 0 else []
    for position, (kind, data, segments) in enumerate(_records(recipe)):
        if kind == _LITERAL:
            yield data
        elif kind == _PAYLOAD:
            root, path = _present_place(data, position, moves, tree_fd, shelter_fd)
            yield from _parts(root, path, segments)


def _moves(recipe: str) -> Iterator[tuple[int, bytes, int]]:
    """When (by record), what, and under which number things went into the shelter."""
    for position, (kind, data, segments) in enumerate(_records(recipe)):
        if kind == _SHELTERED:
            yield position, data, segments[0][0]


def _present_place(
    path: bytes, position: int, moves: list[tuple[int, bytes, int]], tree_fd: int, shelter_fd: int
) -> tuple[int, bytes]:
    for when, moved, number in moves:
        if when > position and (path == moved or path.startswith(moved + b"/")):
            return shelter_fd, str(number).encode() + path[len(moved) :]
    return tree_fd, path


def _records(recipe: str) -> Iterator[tuple[int, bytes, tuple[Segment, ...]]]:
    with open(recipe, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        while head := _exactly(reader, _RECORD.size, recipe, end_is_fine=True):
            kind, length, count = _RECORD.unpack(head)
            if length > _LONGEST:
                raise _broken(recipe)
            data = _exactly(reader, length, recipe)
            if kind == _PAYLOAD:
                parts = _exactly(reader, count * _PART.size, recipe)
                yield kind, data, tuple(_PART.iter_unpack(parts))
            else:
                yield kind, data, ((count, 0),)


def _exactly(reader: zstandard.ZstdDecompressionReader, size: int, recipe: str, *, end_is_fine: bool = False) -> bytes:
    data = reader.read(size) if size else b""
    while 0 < len(data) < size and (more := reader.read(size - len(data))):
        data += more
    if len(data) != size and not (end_is_fine and not data):
        raise _broken(recipe)
    return data


def _broken(recipe: str) -> SystemFailure:
    return SystemFailure(f"the layer recipe {recipe} is damaged", remedy="remove the image and get it again")


def _parts(root: int, path: bytes, segments: tuple[Segment, ...]) -> Iterator[bytes]:
    try:
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _lost(path, str(error.strerror)) from error
    try:
        for offset, length in segments:
            done = 0
            while done < length:
                piece = os.pread(fd, min(_PIECE, length - done), offset + done)
                if not piece:
                    raise _lost(path, "shorter than it was")
                done += len(piece)
                yield piece
    finally:
        os.close(fd)


def _lost(path: bytes, why: str) -> SystemFailure:
    return SystemFailure(
        f"file {shown(path)} of a layer is no longer as it was unpacked: {why}",
        remedy="something wrote below the data root; remove the image and get it again",
    )
