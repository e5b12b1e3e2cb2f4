"""Entries of a tar archive -> files below a directory, whatever the archive tries.

Every name is looked up under openat2(RESOLVE_IN_ROOT) from the root's descriptor, so symbolic links, absolute ones
too, lead nowhere else; nothing is made by a joined path. Owner comes before mode (chown takes setuid away), and a
directory's own attributes come last. What the archive says is read in `tar_read`; the layer it becomes is `layers`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from sampan.errors import InvalidArgument, SampanError
from sampan.image.name_text import shown
from sampan.image.pieces import Pieces
from sampan.image.tar_entry import Entry, Kind, refuse, split_name
from sampan.image.tar_read import DEFAULT_LIMITS, ArchiveLimits, TarReader
from sampan.image.tree import disk_failure, remove_tree, umask
from sampan.image.unpack_terms import WHOLE, Into, Recorder, Unpacked, Whiteouts
from sampan.linux.openat import open_in_root
from sampan.linux.overlay import is_whiteout, make_opaque, make_whiteout
from sampan.linux.write import write_all

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."  # aufs's own bookkeeping: never content
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_OPEN = 128
# Marks by which overlayfs would follow an image's word to other places, and labels that are the host's policy.
_REFUSED_XATTRS = ("trusted.overlay.", "user.overlay.", "security.selinux")
_OF_ARCHIVE = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP, errno.EFBIG, errno.EINVAL}


def unpack(
    chunks: Iterable[bytes | memoryview] | Pieces,
    root_fd: int,
    *,
    whiteouts: Whiteouts = Whiteouts.OVERLAY,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    recorder: Recorder | None = None,
    into: Into = WHOLE,
) -> Unpacked:
    """Unpack a plain tar archive below the directory `root_fd` and read it to its last byte.

    Raises InvalidArgument for a damaged or hostile archive, SystemFailure for what the disk or the kernel refuses; what
    was made until then stays and is the caller's to remove.
    """
    return _Unpacking(chunks, root_fd, whiteouts, limits, recorder, into).run()


class _Unpacking:
    def __init__(
        self,
        chunks: Iterable[bytes | memoryview] | Pieces,
        root_fd: int,
        whiteouts: Whiteouts,
        limits: ArchiveLimits,
        recorder: Recorder | None,
        into: Into,
    ) -> None:
        self._reader = TarReader(chunks, limits=limits, keep=recorder.literal if recorder else None)
        self._root = root_fd
        self._marks = whiteouts is Whiteouts.OVERLAY
        self._limits = limits
        self._recorder = recorder
        self._into = into
        self._base = into.base.strip(b"/")
        self._open: dict[bytes, int] = {}
        self._directories: dict[bytes, Entry] = {}
        self._whited: set[bytes] = set()
        self._first: list[bytes] | None = None
        self._umask = umask()
        self._made_as = (os.geteuid(), os.getegid())
        self._done = Unpacked()

    def run(self) -> Unpacked:
        entry: Entry | None = None
        try:
            while (entry := self._reader.next()) is not None:
                self._entry(entry)
            self._reader.drain()
            for path, entry in self._directories.items():
                self._finish_directory(path, entry)
        except OSError as error:
            raise _failure(entry, error) from error
        finally:
            self._forget_open()
        return self._done

    def _entry(self, entry: Entry) -> None:
        self._done.entries += 1
        if self._into.owner is not None:
            entry.uid, entry.gid = self._into.owner
        parts = self._named(entry.name)
        if not parts:
            if entry.kind is not Kind.DIRECTORY:
                raise refuse(f"entry {shown(entry.name)} would put a {entry.kind.value} in the root's place")
            self._directories[b""] = entry
            return
        if self._marks and any(part.startswith(WHITEOUT) for part in parts):
            self._whiteout(entry, parts)
            return
        path = b"/".join(parts)
        parent = self._directory(parts[:-1], entry)
        if entry.kind is Kind.FILE:
            self._file(entry, parent, parts[-1], path)
        elif entry.kind is Kind.DIRECTORY:
            self._make_directory(entry, parent, parts[-1], path)
        else:
            self._special(entry, parent, parts[-1], path)

    def _named(self, name: bytes) -> list[bytes]:
        """The parts of a name of the archive, as it is to be here."""
        parts = split_name(name)
        if self._into.root_name is None:
            return parts
        if self._first is None:
            self._first = parts[:1]
        if parts[: len(self._first)] != self._first:
            return parts
        return split_name(self._into.root_name) + parts[len(self._first) :]

    # directories on the way

    def _directory(self, parts: list[bytes], entry: Entry) -> int:
        """A descriptor of the directory, made when it is missing; it belongs to this object."""
        path = b"/".join(parts)
        found = self._open.get(path)
        if found is not None:
            return found
        try:
            fd = self._look_up(path, _DIRECTORY)
        except FileNotFoundError:
            return self._implied(parts, entry)
        except NotADirectoryError:
            if not any(b"/".join(parts[:count]) in self._whited for count in range(1, len(parts) + 1)):
                raise refuse(f"entry {shown(entry.name)} passes through {shown(path)}, which is no directory") from None
            return self._implied(parts, entry)
        return self._remember(path, fd)

    def _look_up(self, path: bytes, flags: int) -> int:
        return open_in_root(self._root, b"/".join(part for part in (self._base, path) if part), flags)

    def _remember(self, path: bytes, fd: int) -> int:
        if len(self._open) >= _MOST_OPEN:
            self._forget_open()
        self._open[path] = fd
        return fd

    def _implied(self, parts: list[bytes], entry: Entry) -> int:
        """Make the directories that the archive only implies; attributes are Docker's, the time is the entry's."""
        parent = self._directory([], entry)
        path = b""
        for name in parts:
            path = path + b"/" + name if path else name
            found = self._open.get(path)
            parent = self._imply(parent, name, path, entry) if found is None else found
        return parent

    def _imply(self, parent: int, name: bytes, path: bytes, entry: Entry) -> int:
        made = True
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if made := path in self._whited:
                self._replace_whiteout(parent, name, path)
        if made:
            self._directories[path] = Entry(path, Kind.DIRECTORY, mode=0o755, mtime_ns=entry.mtime_ns)
        try:
            return self._remember(path, self._look_up(path, _DIRECTORY))
        except FileNotFoundError:
            raise refuse(f"entry {shown(entry.name)} passes through {shown(path)}, a link that leads nowhere") from None

    def _forget_open(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def _clear(self, entry: Entry, parent: int, name: bytes, path: bytes) -> int:
        """Remove what has the name of a new entry; return the parent's descriptor, which may be another now."""
        if path in self._whited:
            self._whited.discard(path)
            os.unlink(name, dir_fd=parent)
            return parent
        if self._into.keep_kinds:
            self._refuse_other_kind(entry, parent, name)
        below = path + b"/"
        for known in [known for known in self._directories if known == path or known.startswith(below)]:
            del self._directories[known]
        if self._recorder is None:
            remove_tree(name, dir_fd=parent)
        else:
            shelter, new_name = self._recorder.shelter(path)
            os.rename(name, new_name, src_dir_fd=parent, dst_dir_fd=shelter)
        self._forget_open()  # some may have been reached through the name
        return self._directory(path.split(b"/")[:-1], entry)

    @staticmethod
    def _refuse_other_kind(entry: Entry, parent: int, name: bytes) -> None:
        is_directory = stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        if is_directory is not (entry.kind is Kind.DIRECTORY):
            old, new = ("directory", "non-directory") if is_directory else ("non-directory", "directory")
            raise InvalidArgument(
                f"cannot overwrite {old} {os.fsdecode(name)!r} with {new} {os.fsdecode(entry.name)!r}",
                remedy="remove it first, or copy to another place",
            )

    # making things

    def _file(self, entry: Entry, parent: int, name: bytes, path: bytes) -> None:
        mode = entry.mode
        try:
            fd = os.open(name, _NEW_FILE, mode & 0o777, dir_fd=parent)
        except FileExistsError:
            parent = self._clear(entry, parent, name, path)
            fd = os.open(name, _NEW_FILE, mode & 0o777, dir_fd=parent)
        try:
            if entry.size:
                self._contents(entry, fd, path)
            if not self._is_right(fd, entry):
                os.fchown(fd, entry.uid, entry.gid)
                os.fchmod(fd, mode)
            if entry.xattrs:
                self._set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _is_right(self, fd: int, entry: Entry) -> bool:
        """Whether a new file has its owner and mode already; elsewhere than in a new tree of ours it is looked at."""
        if self._marks:
            return (entry.uid, entry.gid) == self._made_as and not entry.mode & (self._umask | 0o7000)
        status = os.fstat(fd)
        return status.st_mode == stat.S_IFREG | entry.mode and (status.st_uid, status.st_gid) == (entry.uid, entry.gid)

    def _contents(self, entry: Entry, fd: int, path: bytes) -> None:
        limit = self._limits.max_unpacked_bytes
        self._done.bytes += entry.size
        if limit is not None and self._done.bytes > limit:
            raise refuse(f"the archive unpacks to more than {limit} bytes")
        if self._recorder is not None:
            segments = ((0, entry.size),) if entry.segments is None else entry.segments
            self._recorder.payload(path, segments)
        if entry.segments is None:
            for piece in self._reader.payload(fd):
                write_all(fd, piece)
            return
        pieces = self._reader.payload()
        rest = memoryview(b"")
        for offset, length in entry.segments:
            done = 0
            while done < length:
                rest = rest or next(pieces)
                part = rest[: length - done]
                rest = rest[len(part) :]
                os.lseek(fd, offset + done, os.SEEK_SET)
                write_all(fd, part)
                done += len(part)
        os.ftruncate(fd, entry.size)

    def _make_directory(self, entry: Entry, parent: int, name: bytes, path: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if path in self._whited:
                self._replace_whiteout(parent, name, path)
            elif not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.mkdir(name, 0o700, dir_fd=self._clear(entry, parent, name, path))
        self._directories[path] = entry

    def _special(self, entry: Entry, parent: int, name: bytes, path: bytes) -> None:
        try:
            self._make_special(entry, parent, name)
        except FileExistsError:
            if entry.kind is Kind.LINK and split_name(entry.link) == path.split(b"/"):
                return  # a link to itself
            parent = self._clear(entry, parent, name, path)
            self._make_special(entry, parent, name)
        if entry.kind is Kind.SYMLINK:
            self._done.bytes += len(entry.link)
        if entry.kind is Kind.LINK:
            return  # its attributes are those of the file that it is another name of
        os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if entry.kind is not Kind.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=parent)  # just made exclusively, so no link
        if entry.xattrs:
            self._set_xattrs(b"/proc/self/fd/%d/%b" % (parent, name), entry)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _make_special(self, entry: Entry, parent: int, name: bytes) -> None:
        match entry.kind:
            case Kind.SYMLINK:
                os.symlink(entry.link, name, dir_fd=parent)
            case Kind.LINK:
                self._link(entry, parent, name)
            case Kind.FIFO:
                os.mkfifo(name, entry.mode, dir_fd=parent)
            case _:
                kind = stat.S_IFCHR if entry.kind is Kind.CHARACTER else stat.S_IFBLK
                os.mknod(name, kind | entry.mode, os.makedev(entry.major, entry.minor), dir_fd=parent)

    def _link(self, entry: Entry, parent: int, name: bytes) -> None:
        target = self._named(entry.link)
        if not target:
            raise refuse(f"entry {shown(entry.name)} is a hard link to the root")
        try:
            holder = self._look_up(b"/".join(target[:-1]), os.O_PATH | os.O_DIRECTORY)
            try:
                os.link(target[-1], name, src_dir_fd=holder, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(holder)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            raise refuse(
                f"entry {shown(entry.name)} is a hard link to {shown(entry.link)}, no file of this archive"
            ) from None

    # whiteouts

    def _whiteout(self, entry: Entry, parts: list[bytes]) -> None:
        *before, name = parts
        hidden = name[len(WHITEOUT) :]
        if name != OPAQUE and any(part.startswith(_AUFS) for part in parts):
            return
        if any(part.startswith(WHITEOUT) for part in before):
            raise refuse(f"entry {shown(entry.name)} passes through a whiteout")
        if hidden in (b"", b".", b".."):
            raise refuse(f"entry {shown(entry.name)} is a whiteout of nothing that a layer may hide")
        if name == OPAQUE:
            make_opaque(self._directory(before, entry))
            return
        parent = self._directory(before, entry)
        path = b"/".join([*before, hidden])
        try:
            make_whiteout(hidden, dir_fd=parent)
            self._whited.add(path)
        except FileExistsError:
            # Both in one layer: the whiteout is about the layers below, the file is this one's.
            if path not in self._whited and stat.S_ISDIR(os.stat(hidden, dir_fd=parent, follow_symlinks=False).st_mode):
                make_opaque(self._directory([*before, hidden], entry))

    def _replace_whiteout(self, parent: int, name: bytes, path: bytes) -> None:
        """Put an opaque directory in the place of a whiteout that this archive made before."""
        self._whited.discard(path)
        if is_whiteout(os.stat(name, dir_fd=parent, follow_symlinks=False)):
            os.unlink(name, dir_fd=parent)
        os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            make_opaque(fd)
        finally:
            os.close(fd)

    # attributes

    def _finish_directory(self, path: bytes, entry: Entry) -> None:
        try:
            fd = self._look_up(path, _DIRECTORY | os.O_NOFOLLOW if path else _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return  # reached through a name that a later entry replaced
        try:
            os.fchown(fd, entry.uid, entry.gid)
            os.fchmod(fd, entry.mode)
            if entry.xattrs:
                self._set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _set_xattrs(self, target: int | bytes, entry: Entry) -> None:
        for name, value in entry.xattrs.items():
            if name.startswith(_REFUSED_XATTRS):
                continue
            try:
                if isinstance(target, int):
                    os.setxattr(target, name, value)
                else:
                    os.setxattr(target, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno != errno.ENOTSUP:
                    raise
                self._done.dropped_xattrs.add(name)


def _failure(entry: Entry | None, error: OSError) -> SampanError:
    """The error for a user: whose fault it is, the archive's or the disk's."""
    about = f"entry {shown(entry.name)}" if entry is not None else "the archive"
    if error.errno in _OF_ARCHIVE:
        return refuse(f"{about} cannot be made: {error.strerror}")
    return disk_failure(f"cannot unpack {about}", error)
