"""Copying files from one tree into another, both held by descriptors: what COPY and ADD do once sources are known.

Links are followed as if each tree were the whole world, never out of it. A directory's content goes into the target
directory; what is there of another kind is replaced, as Docker's unpacking does. Times and modes are the source's,
owners are the copier's to say. Which files are meant is `sources`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from sampan.build.content import LeftOut
from sampan.build.modes import ModeChange
from sampan.image.tree import remove_tree
from sampan.linux.openat import Resolve, make_directories_in_root, open_in_root, openat2

_PLAINLY = int(Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40
_PIECE = 1 << 30
_NO_RANGE = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


@dataclass(frozen=True, slots=True)
class Attributes:
    """What copies get instead of what their sources have; `mode` None keeps the mode, `keeps_owner` the owner."""

    uid: int = 0
    gid: int = 0
    mode: ModeChange | None = None
    keeps_owner: bool = False

    def owner(self, status: os.stat_result) -> tuple[int, int]:
        """Whose a copy of such a file is."""
        return (status.st_uid, status.st_gid) if self.keeps_owner else (self.uid, self.gid)


@dataclass(slots=True)
class Copier:
    """Copies into the tree `target_root`; the same file with several names in one source directory stays one file."""

    target_root: int
    attributes: Attributes
    cancelled: Callable[[], bool] = lambda: False
    _linked: dict[tuple[int, int], tuple[int, bytes]] = field(default_factory=dict)
    _led: dict[str, int] = field(default_factory=dict)  # directories that `lead` made, and when they are from

    def content(self, source_root: int, source: bytes, target: str, left_out: LeftOut | None = None) -> None:
        """Copy all that is in the directory `source` into the directory `target`, which is made when it is missing.

        The mode that copies get is not that one's, which anybody has to be able to enter.
        """
        to = self._directory(target)
        try:
            origin = open_in_root(source_root, source, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._content(origin, to, left_out)
            finally:
                os.close(origin)
        finally:
            os.close(to)

    def file(self, source_root: int, source: bytes, target: str, *, follows: bool) -> None:
        """Copy what is at `source`, no directory, to the path `target`; a link there is followed or replaced."""
        origin = open_in_root(source_root, source, os.O_PATH | os.O_NOFOLLOW)
        try:
            directory, name = settle(self.target_root, target, self.attributes, follows=follows)
            try:
                status = os.fstat(origin)
                path = b"/proc/self/fd/%d" % origin
                if stat.S_ISREG(status.st_mode):
                    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                    try:
                        self._regular(fd, status, directory, name)
                    finally:
                        os.close(fd)
                else:
                    link = os.readlink(b"", dir_fd=origin) if stat.S_ISLNK(status.st_mode) else b""
                    self._special(status, directory, name, link)
            finally:
                os.close(directory)
        finally:
            os.close(origin)

    def lead(self, source_root: int, above: str, kept: str, target: str, *, whole: bool) -> str:
        """Make the directories `kept` below `target` like those below `above` in the source; the path of the last one.

        One that is there already gets the mode alone, as in BuildKit, but for the last one when it is copied as a
        `whole`.
        """
        names = kept.split("/")
        for index, name in enumerate(names):
            above, target = f"{above}/{name}", f"{target.rstrip('/')}/{name}"
            is_new = (whole and index == len(names) - 1) or not is_directory(self.target_root, target)
            to = self._directory(target)
            try:
                origin = open_in_root(source_root, above, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    status = os.fstat(origin)
                    if is_new:
                        self._liken(origin, to, status)
                        self._led[target] = status.st_mtime_ns
                    elif os.fstat(to).st_mode != status.st_mode:
                        os.fchmod(to, stat.S_IMODE(status.st_mode))
                finally:
                    os.close(origin)
            finally:
                os.close(to)
        return target

    def finish(self) -> None:
        """Give the directories that `lead` made their times, now that all is in them."""
        for path, mtime_ns in self._led.items():
            fd = self._directory(path)
            try:
                os.utime(fd, ns=(mtime_ns, mtime_ns))
            finally:
                os.close(fd)

    def directory(self, target: str) -> None:
        """Make the directory `target` when it is missing."""
        os.close(self._directory(target))

    def _directory(self, target: str) -> int:
        held = make_directories_in_root(self.target_root, target, 0o755, self.attributes.uid, self.attributes.gid)
        try:
            return os.open(b"/proc/self/fd/%d" % held, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(held)

    def _content(self, origin: int, to: int, left_out: LeftOut | None) -> None:
        """The tree below `origin` into `to`, directory by directory, without recursion."""
        pending = [b""]
        finished: list[tuple[bytes, os.stat_result]] = []
        while pending:
            path = pending.pop()
            if self.cancelled():
                raise InterruptedError(errno.EINTR, "the build was cancelled")
            source = openat2(origin, path or b".", _DIRECTORY, 0, _PLAINLY)
            target = openat2(to, path or b".", _DIRECTORY, 0, _PLAINLY)
            try:
                for name in sorted(map(os.fsencode, os.listdir(source))):
                    whole = path + b"/" + name if path else name
                    status = os.stat(name, dir_fd=source, follow_symlinks=False)
                    is_directory = stat.S_ISDIR(status.st_mode)
                    if left_out is not None and left_out(whole, is_directory):
                        continue
                    if is_directory:
                        self._make_directory(target, name)
                        finished.append((whole, status))
                        pending.append(whole)
                    else:
                        self._entry(source, name, status, target, to, whole)
            finally:
                os.close(source)
                os.close(target)
        for path, status in reversed(finished):
            self._finish_directory(origin, to, path, status)

    def _make_directory(self, target: int, name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=target)
        except FileExistsError:
            if stat.S_ISDIR(os.stat(name, dir_fd=target, follow_symlinks=False).st_mode):
                return
            os.unlink(name, dir_fd=target)
            os.mkdir(name, 0o700, dir_fd=target)

    def _finish_directory(self, origin: int, to: int, path: bytes, status: os.stat_result) -> None:
        """Attributes come last, so that times stay."""
        fd = openat2(to, path, _DIRECTORY, 0, _PLAINLY)
        try:
            source = openat2(origin, path, _DIRECTORY, 0, _PLAINLY)
            try:
                self._liken(source, fd, status)
            finally:
                os.close(source)
            os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(fd)

    def _liken(self, source: int, target: int, status: os.stat_result) -> None:
        """Give what is open as `target` all that the source has but content and times."""
        os.fchown(target, *self.attributes.owner(status))
        os.fchmod(target, self._mode(status))
        _copy_xattrs(source, target)

    def _entry(  # one name that is no directory
        self, source: int, name: bytes, status: os.stat_result, target: int, to: int, whole: bytes
    ) -> None:
        if status.st_nlink > 1 and self._link(status, to, whole, target, name):
            return
        if stat.S_ISREG(status.st_mode):
            fd = os.open(name, _READ, dir_fd=source)
            try:
                self._regular(fd, status, target, name)
            finally:
                os.close(fd)
        else:
            link = os.readlink(name, dir_fd=source) if stat.S_ISLNK(status.st_mode) else b""
            self._special(status, target, name, link)

    def _link(self, status: os.stat_result, to: int, whole: bytes, target: int, name: bytes) -> bool:
        """Make a further name of a file that was copied already; False the first time that it is met."""
        key = (status.st_dev, status.st_ino)
        known = self._linked.setdefault(key, (to, whole))
        if known[1] == whole or known[0] != to:
            return False
        first, first_name = _parent(known[1])
        holder = openat2(to, first or b".", os.O_PATH | os.O_DIRECTORY, 0, _PLAINLY)
        try:
            _replaced(lambda: os.link(first_name, name, src_dir_fd=holder, dst_dir_fd=target), target, name)
        finally:
            os.close(holder)
        return True

    def _regular(self, source: int, status: os.stat_result, target: int, name: bytes) -> None:
        try:
            fd = os.open(name, _NEW, 0o600, dir_fd=target)
        except FileExistsError:
            remove_tree(name, dir_fd=target)
            fd = os.open(name, _NEW, 0o600, dir_fd=target)
        try:
            if status.st_size:
                _copy_bytes(source, fd)
            self._liken(source, fd, status)
            os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(fd)

    def _special(self, status: os.stat_result, target: int, name: bytes, link: bytes) -> None:
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFSOCK:
            return
        if kind == stat.S_IFLNK:
            _replaced(lambda: os.symlink(link, name, dir_fd=target), target, name)
        else:
            _replaced(lambda: os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=target), target, name)
        os.chown(name, *self.attributes.owner(status), dir_fd=target, follow_symlinks=False)
        if kind != stat.S_IFLNK:
            os.chmod(name, self._mode(status), dir_fd=target)  # made exclusively just now, so no link
        os.utime(name, ns=(status.st_mtime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)

    def _mode(self, status: os.stat_result) -> int:
        mode = stat.S_IMODE(status.st_mode)
        change = self.attributes.mode
        return mode if change is None else change.apply(mode, is_directory=stat.S_ISDIR(status.st_mode))


def settle(root: int, path: str, attributes: Attributes, *, follows: bool) -> tuple[int, bytes]:
    """The directory (for the caller to close) and the name that `path` means below the root, links on the way followed.

    A link at its end is followed too when `follows` says so. Directories that are missing are made. Raises OSError
    ELOOP for links in a circle.
    """
    for _ in range(_MOST_LINKS):
        before, _, name = path.rstrip("/").rpartition("/")
        directory = make_directories_in_root(root, before or ".", 0o755, attributes.uid, attributes.gid)
        target = ""
        try:
            if follows:
                target = os.readlink(name, dir_fd=directory)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOENT}:
                os.close(directory)
                raise
        if not target:
            return directory, name.encode("utf-8", "surrogateescape")
        os.close(directory)
        path = target if target.startswith("/") else f"{before}/{target}"
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def is_directory(root: int, path: str) -> bool:
    """Whether a path leads to a directory inside the tree."""
    try:
        os.close(open_in_root(root, path, os.O_PATH | os.O_DIRECTORY))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _replaced(make: Callable[[], None], target: int, name: bytes) -> None:
    try:
        make()
    except FileExistsError:
        remove_tree(name, dir_fd=target)
        make()


def _parent(path: bytes) -> tuple[bytes, bytes]:
    directory, _, name = path.rpartition(b"/")
    return directory, name


def _copy_bytes(source: int, target: int) -> None:
    """All bytes of a file, by copy_file_range(2) where both file systems can."""
    try:
        while os.copy_file_range(source, target, _PIECE):
            pass
    except OSError as error:
        if error.errno not in _NO_RANGE:
            raise
        while os.sendfile(target, source, None, _PIECE):
            pass


def _copy_xattrs(source: int, target: int) -> None:
    for name in os.listxattr(source):
        if not name.startswith(("trusted.overlay.", "user.overlay.", "security.selinux")):
            os.setxattr(target, name, os.getxattr(source, name))
