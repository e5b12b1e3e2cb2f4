"""A directory as a tar archive in pieces: sorted, owned by root, without what ignore rules keep out.

Names of one file stay one file. A file that changes while it is read is cut or filled to the size that was announced.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sampan.build.ignore import IgnoreRules
from sampan.cli.grammar import Failure
from sampan.image.tar_entry import Entry, Kind
from sampan.image.tar_write import END, encode_entry, padding

_PIECE = 1 << 18
_SECOND = 1_000_000_000


def pack_files(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """An archive of these files alone."""
    yield b"".join(_given(files)) + END


def pack_directory(root: str, rules: IgnoreRules | None, extra: Mapping[str, bytes]) -> Iterator[bytes]:
    """An archive of what is below `root`, and of files given by content, which take the place of those below it."""
    packing = _Packing(root, rules, frozenset(extra))
    yield from _gathered([*_given(extra)], packing.below(""))
    yield END


def compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The archive in gzip's format."""
    deflate = zlib.compressobj(6, wbits=31)
    for piece in pieces:
        if data := deflate.compress(piece):
            yield data
    yield deflate.flush()


def _given(files: Mapping[str, bytes]) -> Iterator[bytes]:
    for name, content in files.items():
        yield encode_entry(Entry(os.fsencode(name), Kind.FILE, size=len(content), payload=len(content)))
        yield content + padding(len(content))


def _gathered(first: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    """Small pieces put together to larger ones."""
    kept, size = first, sum(map(len, first))
    for piece in rest:
        kept.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield b"".join(kept)
            kept, size = [], 0
    yield b"".join(kept)


@dataclass(slots=True)
class _Packing:
    root: str
    rules: IgnoreRules | None
    replaced: frozenset[str]
    seen: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def below(self, directory: str) -> Iterator[bytes]:
        """Everything below a directory, named from the root."""
        try:
            with os.scandir(os.path.join(self.root, directory)) as found:
                names = sorted(entry.name for entry in found)
        except OSError as error:
            raise _unreadable(directory or self.root, error) from error
        for name in names:
            path = f"{directory}/{name}" if directory else name
            if path in self.replaced:
                continue
            excluded = self.rules is not None and self.rules.excludes(path)
            status = os.lstat(os.path.join(self.root, path))
            if not excluded:
                yield from self._one(path, status)
            if stat.S_ISDIR(status.st_mode) and not (excluded and self.rules and self.rules.skips(path)):
                yield from self.below(path)

    def _one(self, path: str, status: os.stat_result) -> Iterator[bytes]:
        entry = Entry(
            os.fsencode(path),
            Kind.FILE,
            mode=stat.S_IMODE(status.st_mode),
            mtime_ns=int(status.st_mtime) * _SECOND,
        )
        match stat.S_IFMT(status.st_mode):
            case stat.S_IFDIR:
                entry.kind = Kind.DIRECTORY
            case stat.S_IFLNK:
                entry.kind, entry.link = Kind.SYMLINK, os.fsencode(os.readlink(os.path.join(self.root, path)))
            case stat.S_IFREG:
                yield from self._file(entry, path, status)
                return
            case stat.S_IFIFO:
                entry.kind = Kind.FIFO
            case _:
                return  # sockets and devices are no files to build from
        yield encode_entry(entry)

    def _file(self, entry: Entry, path: str, status: os.stat_result) -> Iterator[bytes]:
        if status.st_nlink > 1:
            first = self.seen.setdefault((status.st_dev, status.st_ino), entry.name)
            if first != entry.name:
                entry.kind, entry.link = Kind.LINK, first
                yield encode_entry(entry)
                return
        try:
            fd = os.open(os.path.join(self.root, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            entry.size = entry.payload = left = status.st_size
            yield encode_entry(entry)
            while left:
                data = os.read(fd, min(left, _PIECE)) or bytes(min(left, _PIECE))
                left -= len(data)
                yield data
        finally:
            os.close(fd)
        yield padding(status.st_size)


def _unreadable(path: str, error: OSError) -> Failure:
    return Failure(
        f"{path} of the context cannot be read: {error.strerror}",
        remedy="let yourself read it, or keep it out with a line in .dockerignore",
    )
