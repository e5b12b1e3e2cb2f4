"""Copying a tree with all that it is: owners, modes, times, extended attributes, hard links, holes, special files.

By descriptor, never through a symbolic link and without recursion, so neither a hostile tree nor a deep one does harm.
What is copied, and where to, is `filling`'s and `volumes`' to say.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field

from sampan.linux.filesystem import clone_file
from sampan.linux.openat import Resolve, openat2

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAINLY = int(Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)
_PIECE = 1 << 24
_NOT_CONTENT = ("trusted.overlay.", "user.overlay.", "security.selinux")
_GONE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.ENXIO})
_NO_XATTR = frozenset({errno.ENOTSUP, errno.EPERM, errno.ENOENT, errno.ENODATA, errno.EACCES})
_NO_SHARING = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EBADF, errno.ETXTBSY})
_NO_RANGE = frozenset({errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF})


def copy_tree(source_fd: int, target_fd: int) -> None:
    """Copy all that is in one directory into another that is empty, and its owner, mode, times and attributes.

    The source should be reached through a mount with MOUNT_ATTR_NODEV when others may change it meanwhile: what they
    remove or replace is left out then, and nothing of theirs is opened but plain files.
    """
    _Copying(source_fd, target_fd).run()


@dataclass(slots=True)
class _Copying:
    source: int
    target: int
    links: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def run(self) -> None:
        pending = [b""]
        made = []
        while pending:
            path = pending.pop()
            source = self._open(self.source, path)
            if source < 0:
                continue
            try:
                target = openat2(self.target, path or b".", _DIRECTORY, 0, _PLAINLY)
                try:
                    below = self._directory(source, target, path)
                finally:
                    os.close(target)
            finally:
                os.close(source)
            made.append(path)
            pending += below
        for path in reversed(made):
            self._finish(path)

    @staticmethod
    def _open(root: int, path: bytes) -> int:
        try:
            return openat2(root, path or b".", _DIRECTORY, 0, _PLAINLY)
        except OSError as error:
            if error.errno in _GONE and path:
                return -1
            raise

    def _directory(self, source: int, target: int, path: bytes) -> list[bytes]:
        """Copy one directory's entries, its directories empty; gives the paths of those."""
        below = []
        for entry in os.listdir(source):
            name = os.fsencode(entry)
            try:
                status = os.stat(name, dir_fd=source, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    os.mkdir(name, 0o700, dir_fd=target)
                    below.append(path + b"/" + name if path else name)
                else:
                    self._entry(source, target, name, path, status)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
        return below

    def _entry(self, source: int, target: int, name: bytes, path: bytes, status: os.stat_result) -> None:
        if status.st_nlink > 1:
            key = (status.st_dev, status.st_ino)
            first = self.links.setdefault(key, path + b"/" + name if path else name)
            if first != (path + b"/" + name if path else name):
                self._link(first, target, name)
                return
        if stat.S_ISREG(status.st_mode):
            _copy_file(source, target, name)
            return
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        else:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
        _copy_xattrs(b"/proc/self/fd/%d/%b" % (source, name), b"/proc/self/fd/%d/%b" % (target, name))
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)

    def _link(self, first: bytes, target: int, name: bytes) -> None:
        before, _, last = first.rpartition(b"/")
        holder = openat2(self.target, before or b".", os.O_PATH | os.O_DIRECTORY, 0, _PLAINLY)
        try:
            os.link(last, name, src_dir_fd=holder, dst_dir_fd=target, follow_symlinks=False)
        finally:
            os.close(holder)

    def _finish(self, path: bytes) -> None:
        """A directory's own attributes, last of all: making what is in it changes its times."""
        source = self._open(self.source, path)
        if source < 0:
            return
        try:
            target = openat2(self.target, path or b".", _DIRECTORY, 0, _PLAINLY)
            try:
                _copy_attributes(source, target)
            finally:
                os.close(target)
        finally:
            os.close(source)


def _copy_file(source: int, target: int, name: bytes) -> None:
    old = os.open(name, _READ, dir_fd=source)
    try:
        status = os.fstat(old)
        if not stat.S_ISREG(status.st_mode):
            return  # another took its place
        new = os.open(name, _NEW, 0o600, dir_fd=target)
        try:
            _copy_content(old, new, status)
            _copy_attributes(old, new)
        finally:
            os.close(new)
    finally:
        os.close(old)


def _copy_content(old: int, new: int, status: os.stat_result) -> None:
    """The bytes, by reflink where the file system can, without writing holes."""
    if status.st_size and _share(old, new):
        return
    at = 0
    sparse = status.st_blocks * 512 < status.st_size
    while at < status.st_size:
        end = status.st_size
        if sparse:
            try:
                at = os.lseek(old, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            end = min(end, os.lseek(old, at, os.SEEK_HOLE))
        copied = _copy_range(old, new, at, end)
        if copied == at:
            break  # cut off meanwhile
        at = copied
    if at != status.st_size or sparse:
        os.ftruncate(new, status.st_size)


def _share(old: int, new: int) -> bool:
    """Whether the file systems let the copy share its blocks with the original."""
    try:
        clone_file(old, new)
    except OSError as error:
        if error.errno not in _NO_SHARING:
            raise
        return False
    return True


def _copy_range(old: int, new: int, at: int, end: int) -> int:
    """Copy from `at` towards `end`; where it got to."""
    try:
        return at + os.copy_file_range(old, new, min(end - at, _PIECE), at, at)
    except OSError as error:
        if error.errno not in _NO_RANGE:
            raise
    os.lseek(new, at, os.SEEK_SET)
    return at + os.sendfile(new, old, at, min(end - at, _PIECE))


def _copy_attributes(source: int, target: int) -> None:
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    _copy_xattrs(source, target)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_xattrs(source: int | bytes, target: int | bytes) -> None:
    """Extended attributes, POSIX ACLs and file capabilities among them, as far as the target's file system has them."""
    for name in _xattrs(source):
        if name.startswith(_NOT_CONTENT):
            continue
        try:
            if isinstance(source, int):
                os.setxattr(target, name, os.getxattr(source, name))
            else:
                value = os.getxattr(source, name, follow_symlinks=False)
                os.setxattr(target, name, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_XATTR:
                raise


def _xattrs(place: int | bytes) -> list[str]:
    try:
        return os.listxattr(place) if isinstance(place, int) else os.listxattr(place, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_XATTR:
            return []
        raise
