"""The files of a rotated log, opened for reading: plain ones, and compressed ones, unpacked when they are needed.

A part keeps its file whatever is renamed or unlinked meanwhile.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import zlib

_BLOCK_BYTES = 65536
_TRAILER = struct.Struct("<II")
_MOST_ATTEMPTS = 5
_GAP = 2  # a number may be missing for a moment, while a file is renamed or compressed


class Part:
    """One file of a log."""

    def __init__(self, descriptor: int, directory: str, *, compressed: bool) -> None:
        self._descriptor = descriptor
        self._directory = directory
        self._compressed = compressed
        status = os.fstat(descriptor)
        self._identity = (status.st_dev, status.st_ino)
        self._end: int | None = None
        self._at = 0
        self._begun = b""

    def same_as(self, other: Part) -> bool:
        """Whether both are one file, or one is the other's compressed form, which has kept its time of modification.

        So may have another that was written within the same tick of the kernel's clock: what gzip notes of the content
        decides (RFC 1952, section 2.3.1).
        """
        if self._identity == other._identity:
            return True
        if not self._compressed or other._compressed or self._modified_ns() != other._modified_ns():
            return False
        at = os.fstat(self._descriptor).st_size - _TRAILER.size
        return at > 0 and _TRAILER.unpack(os.pread(self._descriptor, _TRAILER.size, at)) == other._trailer()

    def _trailer(self) -> tuple[int, int]:
        """The checksum and the size that gzip would note of this file."""
        size = checksum = 0
        while block := os.pread(self._descriptor, _BLOCK_BYTES, size):
            checksum = zlib.crc32(block, checksum)
            size += len(block)
        return checksum, size & 0xFFFFFFFF

    def is_at(self, path: str) -> bool:
        """Whether this is the file that has this name, or none has it."""
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(path)
            return self._identity == (status.st_dev, status.st_ino)
        return True

    def end_here(self) -> None:
        """Read nothing that is written from now on."""
        if not self._compressed:
            self._end = os.fstat(self._descriptor).st_size

    def read_lines(self, most: int) -> bytes:
        """The next whole lines, about `most` bytes; none means that there are none now."""
        self._unpack()
        while True:
            size = most if self._end is None else min(most, self._end - self._at)
            content = os.pread(self._descriptor, size, self._at)
            if not content:
                self._follow_cut()
                return b""
            self._at += len(content)
            content = self._begun + content
            end = content.rfind(b"\n") + 1
            self._begun = content[end:]
            if end:
                return content[:end]

    def skip_to_last(self, wanted: int) -> int:
        """Go to where the last `wanted` lines begin; how many there are from there on."""
        self._unpack()
        at = os.fstat(self._descriptor).st_size if self._end is None else self._end
        found = -1  # the newline of the last line ends it, and begins none
        while at > 0:
            start = max(0, at - _BLOCK_BYTES)
            block = os.pread(self._descriptor, at - start, start)
            count = block.count(b"\n")
            if found + count >= wanted:
                self._at = start + _position(block, found + count - wanted) + 1
                return wanted
            found += count
            at = start
        self._at = 0
        return max(found + 1, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _follow_cut(self) -> None:
        """A writer that could not write a whole line has cut off its beginning."""
        size = os.fstat(self._descriptor).st_size
        if size < self._at:
            self._at = size
            self._begun = b""

    def _modified_ns(self) -> int:
        return os.fstat(self._descriptor).st_mtime_ns

    def _unpack(self) -> None:
        if not self._compressed:
            return
        self._compressed = False
        plain = os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        unpacker = zlib.decompressobj(31)
        try:
            while packed := os.read(self._descriptor, _BLOCK_BYTES):
                _write(plain, unpacker.decompress(packed))
            _write(plain, unpacker.flush())
        except (OSError, zlib.error):
            os.close(plain)
            raise
        os.dup2(plain, self._descriptor, inheritable=False)
        os.close(plain)


def open_parts(path: str, newer_than: Part | None = None) -> list[Part]:
    """The files of the log at `path`, oldest first; only those that came after `newer_than`, when that is given.

    They are opened newest first, so that a rotation in between shows a file twice and hides none; should two happen,
    it is all done again.
    """
    for _ in range(_MOST_ATTEMPTS):
        found = _open_all(path, newer_than)
        if not found or found[-1].is_at(path):
            break
        for part in found:
            part.close()
    return found


def _open_all(path: str, newer_than: Part | None) -> list[Part]:
    found: list[Part] = []
    missing = 0
    for number in itertools.count():
        part = _open(f"{path}.{number}" if number else path, os.path.dirname(path))
        if part is None:
            missing += 1
            if missing > _GAP:
                break
        elif newer_than is not None and part.same_as(newer_than):
            part.close()
            break
        elif found and part.same_as(found[-1]):
            part.close()
        else:
            found.append(part)
    return found[::-1]


def _open(path: str, directory: str) -> Part | None:
    for suffix in ("", ".gz"):
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path + suffix, os.O_RDONLY | os.O_CLOEXEC)
            return Part(descriptor, directory, compressed=bool(suffix))
    return None


def _position(block: bytes, number: int) -> int:
    """Where the newline of this number (from 0) is in the block."""
    at = -1
    for _ in range(number + 1):
        at = block.index(b"\n", at + 1)
    return at


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
