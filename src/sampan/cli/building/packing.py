"""A directory as a tar archive in pieces: sorted, owned by root, without what ignore rules keep out.

Names of one file stay one file. A file that changes while it is read is cut or filled to the size that was announced;
one that vanishes meanwhile is left out. Capabilities of files and attributes of users go with them. Headers that are no
more than ustar's fields are written here: `image.tar_write`, which has the rest and would write the same ones, takes as
long to import as a small context to pack.
"""

from __future__ import annotations

import _stat as stat
import errno
import posix

from sampan.cli.building.paths import encoded, joined
from sampan.cli.grammar import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sampan.build.ignore import IgnoreRules

_PIECE = 1 << 18
_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_SECOND = 1_000_000_000
_LONGEST_NAME = 100
_MOST = 0o77777777777
_FILE, _LINK, _SYMLINK, _CHARACTER, _BLOCK_DEVICE, _DIRECTORY, _FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_GONE = (errno.ENOENT, errno.ENOTDIR)
_KEPT_ATTRIBUTES = ("user.", "security.capability")


def pack_files(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """An archive of these files alone."""
    yield b"".join(_given(files)) + _END


def pack_directory(
    root: str, rules: IgnoreRules | None, extra: Mapping[str, bytes], only: Iterable[str] | None = None
) -> Iterator[bytes]:
    """An archive of what is below `root`, and of files given by content, which take the place of those below it.

    `only` are the paths of which all is packed, with the directories that lead there; None means everything.
    """
    packing = _Packing(root, rules, frozenset(extra), None if only is None else frozenset(only))
    yield from _gathered([*_given(extra)], packing.below("", whole=only is None or "" in only))
    yield _END


def compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The archive in gzip's format."""
    import zlib

    deflate = zlib.compressobj(6, wbits=31)
    for piece in pieces:
        if data := deflate.compress(piece):
            yield data
    yield deflate.flush()


def _given(files: Mapping[str, bytes]) -> Iterator[bytes]:
    for name, content in files.items():
        yield header(_FILE, encoded(name), 0o644, size=len(content))
        yield content + _padding(len(content))


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


def header(
    flag: bytes,
    name: bytes,
    mode: int,
    *,
    size: int = 0,
    mtime_s: int = 0,
    link: bytes = b"",
    device: int = 0,
    attributes: Mapping[str, bytes] | None = None,
) -> bytes:
    """The header of an entry of root's, whose kind is a flag of ustar's."""
    if flag == _DIRECTORY:
        name += b"/"
    is_plain = name.isascii() and link.isascii() and 0 <= mtime_s <= _MOST and size <= _MOST
    if not is_plain or len(name) > _LONGEST_NAME or len(link) > _LONGEST_NAME or device or attributes:
        return _full_header(flag, name, mode, size, mtime_s, link, device, attributes or {})
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, mtime_s)
    before, after = name.ljust(100, b"\0") + numbers, flag + link.ljust(100, b"\0") + b"ustar\00000"
    return before + b"%06o\0 " % (sum(before) + 8 * 0x20 + sum(after)) + after.ljust(_BLOCK - 156, b"\0")


def _full_header(
    flag: bytes,
    name: bytes,
    mode: int,
    size: int,
    mtime_s: int,
    link: bytes,
    device: int,
    attributes: Mapping[str, bytes],
) -> bytes:
    from sampan.cli.quickly import load

    entries, writing = load("sampan.image.tar_entry"), load("sampan.image.tar_write")
    entry = entries.Entry(
        name,
        entries.KINDS[flag],
        mode,
        size=size,
        mtime_ns=mtime_s * _SECOND,
        link=link,
        major=posix.major(device),
        minor=posix.minor(device),
        xattrs=dict(attributes),
    )
    written: bytes = writing.encode_entry(entry)
    return written


def _padding(size: int) -> bytes:
    """What follows `size` bytes of data up to a whole block."""
    return bytes(-size % _BLOCK)


class _Packing:
    """What is packed, and which names its files had first."""

    __slots__ = ("leading", "only", "replaced", "root", "rules", "seen")

    def __init__(
        self, root: str, rules: IgnoreRules | None, replaced: frozenset[str], only: frozenset[str] | None
    ) -> None:
        self.only = only or frozenset()
        self.leading = {path[:end] for path in self.only for end in range(len(path)) if path[end] == "/"}
        self.root = root
        self.rules = rules
        self.replaced = replaced
        self.seen: dict[tuple[int, int], bytes] = {}

    def below(self, directory: str, *, whole: bool) -> Iterator[bytes]:
        """Everything below a directory, named from the root, or what of it is wanted."""
        try:
            with posix.scandir(joined(self.root, directory)) as found:
                names = sorted(entry.name for entry in found)
        except OSError as error:
            if directory and error.errno in _GONE:
                return
            raise _unreadable(directory or self.root, error) from error
        for name in names:
            path = f"{directory}/{name}" if directory else name
            if path in self.replaced or not (whole or path in self.only or path in self.leading):
                continue
            excluded = self.rules is not None and self.rules.excludes(path)
            try:
                status = posix.lstat(joined(self.root, path))
            except FileNotFoundError:
                continue
            if not excluded:
                yield from self._one(path, status)
            if stat.S_ISDIR(status.st_mode) and not (excluded and self.rules and self.rules.skips(path)):
                yield from self.below(path, whole=whole or path in self.only)

    def _one(self, path: str, status: posix.stat_result) -> Iterator[bytes]:
        name, mode, mtime_s = encoded(path), stat.S_IMODE(status.st_mode), int(status.st_mtime)
        match stat.S_IFMT(status.st_mode):
            case stat.S_IFDIR:
                attributes = _attributes(joined(self.root, path))
                yield header(_DIRECTORY, name, mode, mtime_s=mtime_s, attributes=attributes)
            case stat.S_IFLNK:
                try:
                    link = encoded(posix.readlink(joined(self.root, path)))
                except OSError:  # it is gone, or no link any more
                    return
                yield header(_SYMLINK, name, mode, mtime_s=mtime_s, link=link)
            case stat.S_IFREG:
                first = self.seen.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
                if first is not None:
                    yield header(_LINK, name, mode, mtime_s=mtime_s, link=first)
                else:
                    yield from self._file(name, path, status)
            case stat.S_IFIFO:
                yield header(_FIFO, name, mode, mtime_s=mtime_s)
            case stat.S_IFCHR:
                yield header(_CHARACTER, name, mode, mtime_s=mtime_s, device=status.st_rdev)
            case stat.S_IFBLK:
                yield header(_BLOCK_DEVICE, name, mode, mtime_s=mtime_s, device=status.st_rdev)
            case _:
                return  # a socket is no file to build from

    def _file(self, name: bytes, path: str, status: posix.stat_result) -> Iterator[bytes]:
        try:
            fd = posix.open(joined(self.root, path), _READ)
        except OSError as error:
            if error.errno in _GONE:
                return
            raise _unreadable(path, error) from error
        try:
            left, mode, mtime_s = status.st_size, stat.S_IMODE(status.st_mode), int(status.st_mtime)
            yield header(_FILE, name, mode, size=left, mtime_s=mtime_s, attributes=_attributes(fd))
            if status.st_nlink > 1:
                self.seen[status.st_dev, status.st_ino] = name
            while left:
                data = posix.read(fd, min(left, _PIECE)) or bytes(min(left, _PIECE))
                left -= len(data)
                yield data
        finally:
            posix.close(fd)
        yield _padding(status.st_size)


def _attributes(target: str | int) -> dict[str, bytes] | None:
    """The extended attributes of a file or directory that belong into an image; None for none."""
    try:
        names = posix.listxattr(target)
        return {name: posix.getxattr(target, name) for name in names if name.startswith(_KEPT_ATTRIBUTES)} or None
    except OSError:  # the file system has none, or they are gone
        return None


def _unreadable(path: str, error: OSError) -> Failure:
    return Failure(
        f"{path} of the context cannot be read: {error.strerror}",
        remedy="let yourself read it, or keep it out with a line in .dockerignore",
    )
