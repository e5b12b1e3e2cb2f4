"""Files below a directory -> a tar archive, always the same for the same files.

Order is by name, files of a directory before its directories; nothing of the machine (names of users, access times)
goes in. An overlay's upper directory becomes a layer: its whiteouts and opaque marks are written as `.wh.` names, so a
layer is made without looking at those below. Names are looked up under openat2, never joined to the root's.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from sampan.errors import SystemFailure
from sampan.image.file_part import FilePart
from sampan.image.name_text import shown
from sampan.image.tar_entry import BLOCK, Entry, Kind
from sampan.image.tar_sparse import Segment
from sampan.image.tar_write import END, encode_entry, padding
from sampan.image.unpack import OPAQUE, WHITEOUT
from sampan.image.unpack_terms import Recorder, Unpacked
from sampan.linux.openat import Resolve, openat2
from sampan.linux.overlay import is_opaque, is_whiteout
from sampan.linux.statfs import Magic, filesystem_type

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_IN_ROOT = int(Resolve.IN_ROOT | Resolve.NO_MAGICLINKS)
_FLUSH = 1 << 18
_PIECE = 1 << 20
_LEAST_HOLES = 1 << 20  # what is saved before a file is written in the sparse form, which not every tar reads
_NOT_CONTENT = ("trusted.overlay.", "user.overlay.", "security.selinux")
_USUAL = (0o755, 0, 0)
_KERNELS = frozenset({Magic.PROC, Magic.SYSFS, Magic.CGROUP, Magic.CGROUP2})  # what is in them is no content either
_REPLACED = {errno.ENOENT, errno.ELOOP, errno.ENXIO}  # removed meanwhile, or a link or a fifo is in the file's place
_REDIRECTS = ("trusted.overlay.redirect", "trusted.overlay.metacopy")
_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}


@dataclass(frozen=True, slots=True)
class PackOptions:
    """How a tree is written.

    `upper` says that it is an overlay's upper directory; times are whole seconds, as Docker has them, unless
    `exact_times`; none is later than `latest_mtime_s` when it is given (SOURCE_DATE_EPOCH).
    """

    upper: bool = False
    leave_out: Callable[[bytes], bool] = lambda _: False  # files by their paths, relative to the root
    exact_times: bool = False
    latest_mtime_s: int | None = None
    prefix: bytes | None = None  # what all names begin with in the archive, the root's own entry being always in it


PLAIN = PackOptions()


def pack(
    root_fd: int, options: PackOptions = PLAIN, recorder: Recorder | None = None, tally: Unpacked | None = None
) -> Iterator[bytes]:
    """The archive of everything below `root_fd`, in pieces.

    The root itself is in it when its mode or owner are not the usual ones. Sockets are left out. A file that changes
    meanwhile is in it with the size it had. `recorder` is told how the archive can be made again from the tree, which
    must not change then; `tally` counts what an unpacking of it would. Raises SystemFailure for an upper directory that
    is not whole without the layers below it (redirected or metadata-only files).
    """
    return _Packing(root_fd, options, recorder, tally).run()  # type: ignore[return-value] # no parts unless asked for


def pack_in_parts(root_fd: int, options: PackOptions = PLAIN) -> Iterator[bytes | FilePart]:
    """`pack`, but what is large stays in its file."""
    return _Packing(root_fd, options, in_parts=True).run()


def pack_one_in_parts(directory_fd: int, name: bytes, as_name: bytes) -> Iterator[bytes | FilePart]:
    """The archive of one file of whatever kind but a directory, under another name, in parts; no socket is in it."""
    return _Packing(directory_fd, PLAIN, in_parts=True).run_one(name, as_name)


class _Packing:
    def __init__(
        self,
        root_fd: int,
        options: PackOptions,
        recorder: Recorder | None = None,
        tally: Unpacked | None = None,
        *,
        in_parts: bool = False,
    ) -> None:
        self._root = root_fd
        self._least_part = _PIECE if in_parts else sys.maxsize
        self._options = options
        self._recorder = recorder
        self._tally = tally or Unpacked()
        self._seen: dict[tuple[int, int], bytes] = {}
        self._kernels: dict[int, bool] = {}  # by device
        self._ready: list[bytes] = []
        self._size = 0

    def run(self) -> Iterator[bytes | FilePart]:
        try:
            pending = [b""]
            while pending:
                path = pending.pop()
                directory = self._open(path)
                if directory < 0:
                    continue
                try:
                    below = yield from self._directory(directory, path)
                finally:
                    os.close(directory)
                pending += reversed(below)
        except OSError as error:
            raise SystemFailure(f"cannot pack {shown(error.filename)}: {error.strerror}") from error
        self._put(END)
        yield b"".join(self._ready)

    def run_one(self, name: bytes, as_name: bytes) -> Iterator[bytes | FilePart]:
        try:
            yield from self._file(self._root, name, as_name, os.stat(name, dir_fd=self._root, follow_symlinks=False))
        except OSError as error:
            raise SystemFailure(f"cannot pack {shown(error.filename)}: {error.strerror}") from error
        self._put(END)
        yield b"".join(self._ready)

    def _name(self, path: bytes) -> bytes:
        prefix = self._options.prefix
        if prefix is None:
            return path or b"./"
        return prefix + b"/" + path if path else prefix or b"/"

    def _open(self, path: bytes) -> int:
        """A directory; -1 when it was removed, or replaced, meanwhile."""
        try:
            return openat2(self._root, path or b".", _DIRECTORY, 0, _IN_ROOT)
        except OSError as error:
            if path and error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                return -1
            raise

    def _directory(self, directory: int, path: bytes) -> Generator[bytes | FilePart, None, list[bytes]]:
        """Write the directory and its files; returns its directories' paths (as a generator's value)."""
        status = os.fstat(directory)
        plain = self._options.prefix is None and (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == _USUAL
        if path or not plain:
            self._put_entry(self._entry(path, status, directory))
        if self._options.upper and is_opaque(directory):
            self._mark(_join(path, OPAQUE), status)
        if self._is_the_kernels(directory, status.st_dev):
            return []
        below: list[bytes] = []
        for name in sorted(os.fsencode(name) for name in os.listdir(directory)):
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed meanwhile by a container that runs
            if stat.S_ISDIR(status.st_mode):
                below.append(_join(path, name))
            elif self._options.upper and is_whiteout(status):
                self._mark(_join(path, WHITEOUT + name), status)
            else:
                yield from self._file(directory, name, _join(path, name), status)
            if self._size >= _FLUSH:
                yield self._flush()
        return below

    def _is_the_kernels(self, directory: int, device: int) -> bool:
        """Whether a file system makes up what is in it, as /proc does."""
        known = self._kernels.get(device)
        if known is None:
            known = self._kernels[device] = filesystem_type(directory) in _KERNELS
        return known

    def _put(self, data: bytes) -> None:
        """Put bytes that are in no file."""
        if self._recorder is not None:
            self._recorder.literal(data)
        self._append(data)

    def _put_entry(self, entry: Entry) -> None:
        self._tally.entries += 1
        self._tally.bytes += entry.size
        if entry.kind is Kind.SYMLINK:
            self._tally.bytes += len(entry.link)
        self._put(encode_entry(entry))

    def _append(self, data: bytes) -> None:
        self._ready.append(data)
        self._size += len(data)

    def _flush(self) -> bytes:
        data = b"".join(self._ready)
        self._ready.clear()
        self._size = 0
        return data

    def _mark(self, path: bytes, status: os.stat_result) -> None:
        """A whiteout or an opaque mark: an empty file."""
        self._put_entry(Entry(path, Kind.FILE, mode=0, mtime_ns=self._mtime(status)))

    def _mtime(self, status: os.stat_result) -> int:
        mtime = status.st_mtime_ns
        if not self._options.exact_times:
            mtime -= mtime % 1_000_000_000
        latest = self._options.latest_mtime_s
        return mtime if latest is None else min(mtime, latest * 1_000_000_000)

    def _entry(self, path: bytes, status: os.stat_result, target: int | bytes) -> Entry:
        return Entry(
            self._name(path),
            _KINDS[stat.S_IFMT(status.st_mode)],
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            mtime_ns=self._mtime(status),
            xattrs=self._xattrs(target),
        )

    def _xattrs(self, target: int | bytes) -> dict[str, bytes]:
        follow = isinstance(target, int)
        found = {}
        try:
            names = os.listxattr(target, follow_symlinks=follow)
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                return {}
            raise
        for name in names:
            if self._options.upper and name in _REDIRECTS:
                raise SystemFailure(
                    "the upper directory needs the layers below it: overlayfs wrote redirects or metadata-only files",
                    remedy="mount overlays with redirect_dir=off and metacopy=off, as sampan does",
                )
            if not name.startswith(_NOT_CONTENT):
                found[name] = os.getxattr(target, name, follow_symlinks=follow)
        return found

    def _file(self, directory: int, name: bytes, path: bytes, status: os.stat_result) -> Iterator[bytes | FilePart]:
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None or self._options.leave_out(path):
            return  # a socket, or not wanted
        if status.st_nlink > 1:
            first = self._seen.setdefault((status.st_dev, status.st_ino), path)
            if first is not path:
                link = Entry(
                    self._name(path),
                    Kind.LINK,
                    stat.S_IMODE(status.st_mode),
                    status.st_uid,
                    status.st_gid,
                    link=self._name(first),
                )
                link.mtime_ns = self._mtime(status)
                self._put_entry(link)
                return
        if kind is Kind.FILE:
            yield from self._regular(directory, name, path)
            return
        entry = self._entry(path, status, b"/proc/self/fd/%d/%b" % (directory, name))
        if kind is Kind.SYMLINK:
            entry.link = os.readlink(name, dir_fd=directory)
            entry.mode = 0o777
        elif kind is not Kind.FIFO:
            entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
        self._put_entry(entry)

    def _regular(self, directory: int, name: bytes, path: bytes) -> Iterator[bytes | FilePart]:
        try:
            fd = os.open(name, _READ, dir_fd=directory)
        except OSError as error:
            if error.errno in _REPLACED:
                return
            raise
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return  # replaced meanwhile
            entry = self._entry(path, status, fd)
            entry.size = status.st_size
            segments: tuple[Segment, ...] = ((0, status.st_size),) if status.st_size else ()
            if status.st_size - status.st_blocks * 512 >= _LEAST_HOLES:
                entry.segments = segments = _data_segments(fd, status.st_size)
            self._put_entry(entry)
            if self._recorder is not None and segments:
                self._recorder.payload(path, segments)
            for offset, length in segments:
                yield from self._content(fd, offset, length)
            self._put(padding(sum(length for _, length in segments)))
        finally:
            os.close(fd)

    def _content(self, fd: int, offset: int, length: int) -> Iterator[bytes | FilePart]:
        if length >= self._least_part:
            yield self._flush()
            yield FilePart(fd, offset, length)
            return
        end = offset + length
        while offset < end:
            piece = os.pread(fd, min(_PIECE, end - offset), offset)
            if not piece:
                piece = bytes(min(_PIECE, end - offset))  # cut off meanwhile
            offset += len(piece)
            self._append(piece)
            if self._size >= _FLUSH:
                yield self._flush()


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name


def _data_segments(fd: int, size: int) -> tuple[Segment, ...]:
    """Where a sparse file has data (lseek(2), SEEK_DATA), and its end as an empty segment, as GNU tar marks it.

    Parts are whole blocks, but for the last: GNU tar reads each from a new block.
    """
    segments: list[Segment] = []
    at = 0
    while at < size:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        hole = os.lseek(fd, data, os.SEEK_HOLE)
        start = data - data % BLOCK
        at = min(hole + -hole % BLOCK, size)
        segments.append((start, at - start))
    if not segments or sum(segments[-1]) < size:
        segments.append((size, 0))
    return tuple(segments)
