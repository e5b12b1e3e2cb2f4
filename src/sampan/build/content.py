"""What files are, whatever their times: digests of files and trees for the cache.

A digest covers name, kind, mode, owner, link target, extended attributes and content of everything below a path, as
BuildKit's does; no time is in it. Names are reached by descriptor, links are never followed below the top.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from sampan.linux.openat import Resolve, open_in_root, openat2

_PLAINLY = int(Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 1 << 20
_NOT_CONTENT = ("trusted.overlay.", "user.overlay.", "security.selinux")

type LeftOut = Callable[[bytes, bool], bool]  # whether a path below the tree, a directory or not, is no part of it


@dataclass(slots=True)
class Seen:
    """What is at a path with everything below it, as `Digests.looked_at` saw it; `newest_s` is in whole seconds."""

    digest: str = ""
    owners: set[tuple[int, int]] = field(default_factory=set)
    newest_s: int = 0

    @property
    def is_roots(self) -> bool:
        """Whether all of it belongs to root."""
        return self.owners == {(0, 0)}

    def note(self, status: os.stat_result) -> None:
        """One name more."""
        self.owners.add((status.st_uid, status.st_gid))
        self.newest_s = max(self.newest_s, -(-status.st_mtime_ns // 1_000_000_000))


@dataclass(slots=True)
class Digests:
    """Digests of what is below the directory `root_fd`, each file read once; it must not change meanwhile.

    With `ids` false owners do not count: they will be replaced.
    """

    root_fd: int
    _files: dict[bytes, bytes] = field(default_factory=dict)

    def of(self, path: bytes, *, left_out: LeftOut | None = None, with_owners: bool = True) -> str:
        """The digest of what is at `path`, which is no link, with everything below it; hexadecimal."""
        return self.looked_at(path, left_out=left_out, with_owners=with_owners).digest

    def looked_at(self, path: bytes, *, left_out: LeftOut | None = None, with_owners: bool = True) -> Seen:
        """The same, and what else shows on the way."""
        digest = hashlib.sha256()
        seen = Seen()
        directory, name = _parent(path)
        fd = openat2(self.root_fd, directory or b".", os.O_PATH | os.O_DIRECTORY, 0, _PLAINLY)
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False) if name else os.fstat(fd)
            seen.note(status)
            if stat.S_ISDIR(status.st_mode):
                digest.update(_head(b"", status, with_owners=with_owners))
                self._tree(digest, path, left_out, seen, with_owners=with_owners)
            else:
                digest.update(self._entry(fd, name, path, b"", status, with_owners=with_owners))
        finally:
            os.close(fd)
        seen.digest = digest.hexdigest()
        return seen

    def on_the_way(self, above: str, kept: str, *, with_owners: bool) -> str:
        """The digest of the directories that lead from `above` down to `kept`, by themselves; hexadecimal."""
        digest = hashlib.sha256()
        path = above
        for name in kept.split("/")[:-1]:
            path = f"{path}/{name}"
            directory = open_in_root(self.root_fd, path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                digest.update(_head(os.fsencode(name), os.fstat(directory), with_owners=with_owners))
                digest.update(_attributes(directory))
            finally:
                os.close(directory)
        return digest.hexdigest()

    def _tree(  # a directory's content, without recursion
        self,
        digest: hashlib._Hash,
        top: bytes,
        left_out: LeftOut | None,
        seen: Seen,
        *,
        with_owners: bool,
    ) -> None:
        pending = [top]
        while pending:
            path = pending.pop()
            below: list[bytes] = []
            directory = openat2(self.root_fd, path or b".", _DIRECTORY, 0, _PLAINLY)
            try:
                digest.update(_attributes(directory))
                for name in sorted(map(os.fsencode, os.listdir(directory))):
                    whole = path + b"/" + name if path else name
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                    is_directory = stat.S_ISDIR(status.st_mode)
                    relative = whole[len(top) :].lstrip(b"/")
                    if left_out is not None and left_out(relative, is_directory):
                        continue
                    seen.note(status)
                    if is_directory:
                        digest.update(_head(relative, status, with_owners=with_owners))
                        below.append(whole)
                    else:
                        digest.update(self._entry(directory, name, whole, relative, status, with_owners=with_owners))
            finally:
                os.close(directory)
            pending += reversed(below)

    def _entry(  # what one name that is no directory is, in bytes
        self, directory: int, name: bytes, path: bytes, shown: bytes, status: os.stat_result, *, with_owners: bool
    ) -> bytes:
        head = _head(shown, status, with_owners=with_owners)
        if stat.S_ISREG(status.st_mode):
            known = self._files.get(path)
            if known is None:
                known = self._files[path] = _content(directory, name)
            return head + known
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(name, dir_fd=directory)
            return head + b"%d:%b" % (len(target), target)
        return head + b"%d" % status.st_rdev


def _parent(path: bytes) -> tuple[bytes, bytes]:
    directory, _, name = path.strip(b"/").rpartition(b"/")
    return directory, name


def _head(shown: bytes, status: os.stat_result, *, with_owners: bool) -> bytes:
    owners = (status.st_uid, status.st_gid) if with_owners else (0, 0)
    return b"%d:%b %o %d:%d " % (len(shown), shown, status.st_mode, *owners)


def _content(directory: int, name: bytes) -> bytes:
    """The digest of a file's bytes and extended attributes."""
    fd = os.open(name, _READ, dir_fd=directory)
    try:
        digest = hashlib.sha256(_attributes(fd))
        while piece := os.read(fd, _PIECE):
            digest.update(piece)
        return digest.digest()
    finally:
        os.close(fd)


def _attributes(fd: int) -> bytes:
    """The extended attributes that are content, as bytes."""
    names = sorted(name for name in os.listxattr(fd) if not name.startswith(_NOT_CONTENT))
    if not names:
        return b""
    pairs = ((name.encode(), os.getxattr(fd, name)) for name in names)
    return b"".join(b"%d:%b=%d:%b" % (len(name), name, len(value), value) for name, value in pairs)
