"""COPY and ADD with their words expanded: what is meant, what it is (for the cache), and how it gets into a tree.

Everything here is synchronous and slow, for a thread. Where the files come from (context, stage, image, download) is
told by the caller as trees held by descriptors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sampan.build.content import Digests, LeftOut
from sampan.build.copying import Attributes, Copier, is_directory, settle
from sampan.build.ignore import IgnoreRules
from sampan.build.modes import read_mode
from sampan.build.moving import Moves
from sampan.build.sources import Source, find_sources
from sampan.errors import InvalidArgument, SampanError
from sampan.image.compression import MAGIC_BYTES, decompress, detect
from sampan.image.inflow import flow_in
from sampan.image.tar_read import TarReader
from sampan.image.tree import disk_failure
from sampan.image.unpack import unpack
from sampan.image.unpack_terms import Into, Unpacked, Whiteouts
from sampan.linux.openat import make_directories_in_root, open_in_root
from sampan.linux.write import write_all
from sampan.runtime.users import resolve

_PIECE = 1 << 18
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_OF_USER = {errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EEXIST, errno.ENAMETOOLONG, errno.ENOENT, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One COPY or ADD; `destination` is absolute, with the slash at its end that was written.

    `unpack` says what happens to archives: True unpacks, False copies.
    """

    keyword: str
    destination: str
    chown: str = ""
    chmod: str = ""
    exclude: tuple[str, ...] = ()
    parents: bool = False
    unpack: bool = False
    keeps_owner: bool = False  # what comes from another stage or image belongs to whom it did there


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to copy: a file or directory of a tree, or a text given in place."""

    digest: str
    name: str
    source: Source | None = None
    root: int = -1
    text: bytes = b""
    mtime_s: int = 0
    is_download: bool = False  # copied as it is, archive or not
    is_roots: bool = False  # everything in it belongs to root already
    newest_s: int = 0  # the latest time of all that is in it, when it has any that counts

    @property
    def kind(self) -> str:
        """What Docker's history calls it."""
        return "dir" if self.source is not None and self.source.is_directory else "file"


def look_up(
    root: int, digests: Digests, patterns: Sequence[str], wanted: Wanted, *, in_context: bool = False
) -> list[Item]:
    """What the patterns mean in a tree, with their digests. Raises as `find_sources` does."""
    rules = IgnoreRules(wanted.exclude)
    found = []
    for pattern in patterns:
        for source in find_sources(root, pattern, keep_parents=wanted.parents, in_context=in_context):
            if rules and not source.is_directory and rules.excludes(source.kept if wanted.parents else source.name):
                continue
            left_out = _left_out(rules, source, wanted) if source.is_directory else None
            seen = digests.looked_at(source.path, left_out=left_out, with_owners=wanted.keeps_owner)
            digest = seen.digest
            if wanted.parents:
                way = digests.on_the_way(source.above, source.kept, with_owners=wanted.keeps_owner)
                digest = hashlib.sha256(f"{way} {digest}".encode()).hexdigest()
            found.append(Item(digest, source.name, source, root, is_roots=seen.is_roots, newest_s=seen.newest_s))
    return found


def text_item(name: str, text: bytes, mtime_s: int) -> Item:
    """A file given in place (heredoc)."""
    return Item(hashlib.sha256(name.encode() + b"\0" + text).hexdigest(), name, text=text, mtime_s=mtime_s)


def _left_out(rules: IgnoreRules, source: Source, wanted: Wanted) -> LeftOut | None:
    """What --exclude leaves out of a directory: by paths below it, or with --parents below where they begin."""
    if not rules:
        return None
    before = f"{source.kept}/" if wanted.parents and source.kept else ""
    return lambda path, is_directory: (rules.skips if is_directory else rules.excludes)(before + os.fsdecode(path))


def summary(items: Sequence[Item]) -> str:
    """How Docker's history names what was copied: file:…, dir:… or multi:…."""
    if len(items) == 1:
        return f"{items[0].kind}:{items[0].digest}"
    joined = ",".join(f"{item.kind}:{item.digest}" for item in items)
    return f"multi:{hashlib.sha256(joined.encode()).hexdigest()}"


def put(
    root: int, wanted: Wanted, items: Sequence[Item], cancelled: Callable[[], bool], moves: Moves | None = None
) -> None:
    """Copy the items into the tree, but for what is noted in `moves`, when files may be moved.

    Raises InvalidArgument for what cannot be there, SystemFailure for a full disk.
    """
    into_directory = wanted.destination.endswith("/")
    if len(items) > 1 and not into_directory:
        raise InvalidArgument(
            f"When using {wanted.keyword} with more than one source file, the destination must be a directory and end "
            "with a /",
            remedy=f"write {wanted.destination}/",
        )
    attributes = _attributes(root, wanted)
    copier = Copier(root, attributes, cancelled)
    try:
        if not items:
            copier.directory(wanted.destination)
        into_directory = into_directory or is_directory(root, wanted.destination)
        for item in items:
            _put_one(root, copier, wanted, item, moves, into_directory=into_directory)
        copier.finish()
    except OSError as error:
        if error.errno in _OF_USER:
            raise InvalidArgument(
                f"cannot copy to {wanted.destination}: {os.strerror(error.errno)}",
                remedy="something of another kind is in the way; choose another destination",
            ) from error
        raise disk_failure(f"cannot copy to {wanted.destination}", error) from error


def _attributes(root: int, wanted: Wanted) -> Attributes:
    mode = read_mode(wanted.chmod) if wanted.chmod else None
    if not wanted.chown:
        return Attributes(mode=mode, keeps_owner=wanted.keeps_owner)
    user, colon, group = wanted.chown.partition(":")
    try:
        identity = resolve(root, f"{user or '0'}:{group or ('0' if colon else user)}")
    except InvalidArgument:
        if colon:
            raise
        identity = resolve(root, user)  # no group is called as the user is: the user's own, as in BuildKit
    return Attributes(identity.uid, identity.gid, mode)


def _put_one(
    root: int, copier: Copier, wanted: Wanted, item: Item, moves: Moves | None, *, into_directory: bool
) -> None:
    destination = wanted.destination
    source = item.source
    if source is not None and wanted.parents:
        destination = _lead(copier, item.root, source, destination)
        into_directory, moves = True, None
    if source is not None and source.is_directory:
        target = destination
        left_out = _left_out(IgnoreRules(wanted.exclude), source, wanted)
        if moves is not None and left_out is None and item.is_roots and not (wanted.chown or wanted.chmod):
            copier.directory(target)
            moved = moves.plan(root, item.root, source.path, target)
            left_out = lambda path, _: path in moved  # noqa: E731 -- as short as its name
        copier.content(item.root, source.path, target, left_out)
        return
    if source is not None and wanted.unpack and not item.is_download and is_archive(item.root, source.path):
        _unpack(root, wanted, item.root, source.path)
        return
    target = posixpath.join(destination, posixpath.basename(item.name.rstrip("/"))) if into_directory else destination
    if source is not None:
        copier.file(item.root, source.path, target, follows=not into_directory)
    else:
        _write(root, target, item, copier.attributes, follows=not into_directory)


def _lead(copier: Copier, root: int, source: Source, destination: str) -> str:
    """Make what --parents keeps below the destination: the directory that the source's file, or content, goes into."""
    kept = source.kept if source.is_directory else posixpath.dirname(source.kept)
    return copier.lead(root, source.above, kept, destination, whole=source.is_directory) if kept else destination


def _write(root: int, target: str, item: Item, attributes: Attributes, *, follows: bool) -> None:
    directory, name = settle(root, target, attributes, follows=follows)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory)
        try:
            write_all(fd, item.text)
            os.fchown(fd, attributes.uid, attributes.gid)
            os.fchmod(fd, attributes.mode.apply(0o644, is_directory=False) if attributes.mode else 0o644)
            os.utime(fd, (item.mtime_s, item.mtime_s))
        finally:
            os.close(fd)
    finally:
        os.close(directory)


# archives


def is_archive(root: int, path: bytes) -> bool:
    """Whether a file is a tar archive, compressed or not, by its first header."""
    fd = open_in_root(root, path, _READ)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        chunks = _chunks(fd)
        first = next(chunks, b"")
        plain = decompress(detect(first[:MAGIC_BYTES]), _again(first, chunks))
        return TarReader(plain).next() is not None
    except SampanError:
        return False
    finally:
        os.close(fd)


def _chunks(fd: int) -> Iterator[bytes]:
    while piece := os.read(fd, _PIECE):
        yield piece


def _again(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _unpack(root: int, wanted: Wanted, source_root: int, path: bytes) -> None:
    """Unpack an archive into the destination; it keeps the owners that it says unless --chown was given."""
    attributes = _attributes(root, wanted)
    os.close(make_directories_in_root(root, wanted.destination, 0o755, attributes.uid, attributes.gid))
    owner = (attributes.uid, attributes.gid) if wanted.chown else None
    into = Into(os.fsencode(wanted.destination), owner=owner)
    fd = open_in_root(source_root, path, _READ)
    try:

        def consume(chunks: Iterator[bytes]) -> Unpacked:
            return unpack(chunks, root, whiteouts=Whiteouts.LITERAL, into=into)

        flow_in(lambda size: os.read(fd, size), consume)
    finally:
        os.close(fd)
