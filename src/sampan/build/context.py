"""A build context on disk: the archive that a client sends, and the Dockerfile in it.

The archive is hostile until unpacked: nothing of it gets out of its directory (`image.unpack`). The Dockerfile is read
in the directory, as a regular file, and not beyond a limit.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from sampan.build.ignore import IgnoreRules, read_ignore_file
from sampan.errors import InvalidArgument
from sampan.image.inflow import Reading, flow_in
from sampan.image.unpack import unpack
from sampan.image.unpack_terms import Unpacked, Whiteouts
from sampan.linux.openat import open_in_root

IGNORE = ".dockerignore"
_MOST_BYTES = 16 << 20
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_LOST = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENAMETOOLONG, errno.EINVAL}


def receive(read: Reading, directory: str) -> Unpacked:
    """Unpack the archive, compressed or not, into the empty directory.

    Raises InvalidArgument for one that is damaged or does harm, SystemFailure for a full disk.
    """
    return flow_in(read, lambda chunks: receive_plain(chunks, directory))[1]


def receive_plain(chunks: Iterable[bytes], directory: str) -> Unpacked:
    """The same for one that is not compressed, in this thread alone."""
    root = _open_directory(directory)
    try:
        return unpack(chunks, root, whiteouts=Whiteouts.LITERAL)
    finally:
        os.close(root)


def read_dockerfile(directory: str, name: str) -> bytes:
    """The Dockerfile of a context, at `name` in it. Raises InvalidArgument in Docker's words when there is none."""
    root = _open_directory(directory)
    try:
        content = _read(root, name)
        if content is None:
            raise InvalidArgument(
                f"Cannot locate specified Dockerfile: {name}", remedy="name it with -f, as a path in the context"
            )
        return content
    finally:
        os.close(root)


def ignore_rules(directory: str, dockerfile: str, *, own: bool) -> IgnoreRules | None:
    """The rules by which the context was made, as far as they are in it; `own` rules of the Dockerfile go first.

    None when there are none. Raises InvalidArgument for a file of rules that is none.
    """
    root = _open_directory(directory)
    try:
        for name in (f"{dockerfile}{IGNORE}", IGNORE) if own else (IGNORE,):
            content = _read(root, name)
            if content is not None:
                return read_ignore_file(content)
    finally:
        os.close(root)
    return None


def leave_out(directory: str, names: Iterable[str]) -> None:
    """Take files of these names out of the context, as far as they are in it."""
    root = _open_directory(directory)
    try:
        for name in names:
            _unlink(root, name)
    finally:
        os.close(root)


def _unlink(root: int, name: str) -> None:
    before, _, last = name.rstrip("/").rpartition("/")
    try:
        parent = open_in_root(root, before or ".", os.O_PATH | os.O_DIRECTORY)
        try:
            os.unlink(last, dir_fd=parent)
        finally:
            os.close(parent)
    except OSError as error:
        if error.errno not in _LOST:
            raise


def _read(root: int, name: str) -> bytes | None:
    try:
        looked_at = open_in_root(root, name, os.O_PATH)
        try:
            if not stat.S_ISREG(os.fstat(looked_at).st_mode):
                return None
        finally:
            os.close(looked_at)
        fd = open_in_root(root, name, _READ)
    except OSError as error:
        if error.errno in _LOST:
            return None
        raise
    with os.fdopen(fd, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InvalidArgument(f"{name} is larger than {_MOST_BYTES} bytes", remedy="that is no Dockerfile")
    return content


def _open_directory(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
