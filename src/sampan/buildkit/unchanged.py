"""Files of a client's directory that are there from an earlier build, and need not come again: they are linked.

A file counts as the same when its size, time and mode are, as with rsync and BuildKit. Nobody writes to a file of a
context, so several may share one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from sampan.buildkit.proto.session_pb2 import Stat
from sampan.buildkit.stats import FileKind, has_content, is_hard_link, mode_of
from sampan.errors import SystemFailure, reason_of
from sampan.linux.openat import Resolve, openat2

_NO_LINKS = Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})  # link(2)
_OF_THE_HOST = frozenset({"security.selinux"})  # attributes that files get by where they are


def find_unchanged(listed: Sequence[Stat], directory: str) -> set[int]:
    """The numbers of those that are the same in a directory, in a listed directory, and have no attributes."""
    places = {one.path for one in listed if one.mode & FileKind.DIRECTORY} | {b""}
    linked_to = {one.linkname for one in listed if is_hard_link(one)}  # they come before their other names
    numbers = [
        number
        for number, one in enumerate(listed)
        if has_content(one) and not one.xattrs and one.path not in linked_to and _parent(one) in places
    ]
    found: set[int] = set()
    with _opened(directory) as root_fd:
        for parent, of_it in groupby(numbers, key=lambda number: _parent(listed[number])):
            with contextlib.suppress(OSError, ValueError), _below(root_fd, parent) as fd:
                found.update(number for number in of_it if _is_same(fd, listed[number]))
    return found


def link_unchanged(unchanged: Iterable[Stat], directory: str, context: str) -> None:
    """Give `context`, where everything else is, these files of `directory`. Raises SystemFailure."""
    try:
        with _opened(directory) as source_fd, _opened(context) as target_fd:
            for parent, of_it in groupby(unchanged, key=_parent):
                with _below(source_fd, parent) as old, _below(target_fd, parent) as new:
                    before = os.fstat(new)
                    for one in of_it:
                        with contextlib.suppress(FileExistsError):  # a name that is listed twice
                            _link(posixpath.basename(one.path), old, new)
                    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError as error:
        raise SystemFailure(
            f"the context cannot be put together: {reason_of(error)}", remedy="run the build again"
        ) from error


def _link(name: bytes, old_fd: int, new_fd: int) -> None:
    """The file under the same name in another directory; a copy where the file system has no such links."""
    try:
        os.link(name, name, src_dir_fd=old_fd, dst_dir_fd=new_fd, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        old, new = (b"/proc/self/fd/%d/%b" % (fd, name) for fd in (old_fd, new_fd))
        shutil.copy2(old, new, follow_symlinks=False)


def _parent(one: Stat) -> bytes:
    return posixpath.dirname(one.path)


@contextlib.contextmanager
def _opened(directory: str) -> Iterator[int]:
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _below(root_fd: int, path: bytes) -> Iterator[int]:
    fd = openat2(root_fd, path or b".", os.O_RDONLY | os.O_DIRECTORY, resolve=_NO_LINKS)
    try:
        yield fd
    finally:
        os.close(fd)


def _is_same(parent_fd: int, one: Stat) -> bool:
    name = posixpath.basename(one.path)
    try:
        found = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        same = (found.st_size, found.st_mtime_ns, stat.S_IMODE(found.st_mode)) == (one.size, one.modTime, mode_of(one))
        if not (same and stat.S_ISREG(found.st_mode)):
            return False
        return _OF_THE_HOST.issuperset(os.listxattr(b"/proc/self/fd/%d/%b" % (parent_fd, name), follow_symlinks=False))
    except (OSError, ValueError):
        return False
