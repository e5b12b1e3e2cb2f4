"""Blobs by digest: documents (configs, manifests) while something refers to them, and downloads that broke off.

    content/blobs/sha256/<hex>     whole and verified; appears by rename
    content/partial/<alg>-<hex>    the beginning of a blob; kept for the next try, locked while one goes on
    content/new-…                  being written

What a blob means and who refers to it is the caller's business; layers are unpacked as they come (`layers`) and are no
blobs here once they are whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from sampan.errors import Conflict, InvalidArgument, NotFound, SystemFailure
from sampan.image.tree import disk_failure
from sampan.linux.filesystem import sync_directory
from sampan.linux.write import write_all
from sampan.oci.digest import digest_of, parse_digest

_NEW = "new-"
_MAX_DOCUMENT = 64 << 20
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class ContentStore:
    """The blobs below one directory, for any number of threads."""

    path: str

    def prepare(self) -> None:
        """Make the directories, and remove what a crash left half written (but not the partials)."""
        for name in (self.path, self._blobs, self._partial):
            os.makedirs(name, mode=0o700, exist_ok=True)
        for name in os.listdir(self.path):
            if name.startswith(_NEW):
                os.unlink(os.path.join(self.path, name))

    def has(self, digest: str) -> bool:
        """Whether the blob is here, whole."""
        return os.path.exists(self._place(digest))

    def read(self, digest: str) -> bytes:
        """A document, verified once more. NotFound when it is not here, SystemFailure when it is damaged."""
        try:
            with open(self._place(digest), "rb") as file:
                content = file.read(_MAX_DOCUMENT)
        except FileNotFoundError:
            raise NotFound(f"blob {digest} is not here", remedy="get the image again") from None
        if str(digest_of(content, parse_digest(digest).algorithm)) != digest:
            raise SystemFailure(f"blob {digest} is damaged on disk", remedy="remove the image and get it again")
        return content

    def write(self, content: bytes, expected: str | None = None) -> str:
        """Keep a document and return its digest; InvalidArgument when it is not the expected one."""
        algorithm = parse_digest(expected).algorithm if expected else "sha256"
        digest = str(digest_of(content, algorithm))
        if expected is not None and digest != expected:
            raise InvalidArgument(f"content has the digest {digest} instead of {expected}", remedy="get it again")
        place = self._place(digest)
        if os.path.exists(place):
            return digest
        new = os.path.join(self.path, _NEW + secrets.token_hex(8))
        try:
            with open(new, "xb", opener=_private) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
            os.rename(new, place)
            sync_directory(os.path.dirname(place))
        except OSError as error:
            with suppress(FileNotFoundError):
                os.unlink(new)
            raise disk_failure(f"cannot write blob {digest}", error) from error
        return digest

    def remove(self, digest: str) -> None:
        """Remove the blob, if it is here."""
        with suppress(FileNotFoundError):
            os.unlink(self._place(digest))

    def list(self) -> list[str]:
        """The digests of all blobs."""
        return [
            f"{algorithm}:{name}"
            for algorithm in os.listdir(self._blobs)
            for name in os.listdir(os.path.join(self._blobs, algorithm))
        ]

    def collect(
        self, keep: Iterable[str], partials_older_than_s: float | None = None, *, blobs_older_than_s: float = 0.0
    ) -> int:
        """Remove every old blob that is not to be kept, and old partials; returns the bytes that were freed.

        A blob is there a moment before anything refers to it, so whoever works beside others spares the young ones.
        """
        kept = set(keep)
        freed = 0
        for digest in self.list():
            if digest not in kept:
                freed += _unlink_when_old(self._place(digest), blobs_older_than_s)
        if partials_older_than_s is not None:
            for name in os.listdir(self._partial):
                place = os.path.join(self._partial, name)
                with suppress(FileNotFoundError):
                    if not _is_locked(place):
                        freed += _unlink_when_old(place, partials_older_than_s)
        return freed

    def partial(self, digest: str) -> Partial:
        """Open the beginning of a blob for going on; Conflict when another is at it. Close it in the end."""
        known = parse_digest(digest)
        place = os.path.join(self._partial, f"{known.algorithm}-{known.hex}")
        while True:
            fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_nlink:
                    return Partial(fd, place, digest)
            except BlockingIOError:
                os.close(fd)
                raise Conflict(f"blob {digest} is being downloaded already") from None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # it was finished and removed between open and lock

    @property
    def _blobs(self) -> str:
        return os.path.join(self.path, "blobs")

    @property
    def _partial(self) -> str:
        return os.path.join(self.path, "partial")

    def _place(self, digest: str) -> str:
        known = parse_digest(digest)
        return os.path.join(self._blobs, known.algorithm, known.hex)


class Partial:
    """The beginning of a blob: `size` bytes of it are here. What is written stays until `discard`."""

    def __init__(self, fd: int, place: str, digest: str) -> None:
        self._fd = fd
        self._place = place
        self.digest = digest
        self.size = os.lseek(fd, 0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Put `data` behind what is here. SystemFailure when the disk is full."""
        try:
            write_all(self._fd, data)
        except OSError as error:
            self.size = os.lseek(self._fd, 0, os.SEEK_END)
            raise disk_failure(f"cannot keep what came of blob {self.digest}", error) from error
        self.size += len(data)

    def read(self) -> Iterator[bytes]:
        """What is here so far, from the beginning, in pieces."""
        at = 0
        while piece := os.pread(self._fd, _PIECE, at):
            at += len(piece)
            yield piece

    def verify(self) -> bool:
        """Whether what is here is the whole blob."""
        digest = hashlib.new(parse_digest(self.digest).algorithm, usedforsecurity=False)
        for piece in self.read():
            digest.update(piece)
        return self.digest.endswith(":" + digest.hexdigest())

    def restart(self) -> None:
        """Forget what is here."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.size = 0

    def discard(self) -> None:
        """Remove what is here: the blob is whole elsewhere, or of no use."""
        with suppress(FileNotFoundError):
            os.unlink(self._place)

    def close(self) -> None:
        """Leave what is here for the next try; nothing happens the second time."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _is_locked(place: str) -> bool:
    fd = os.open(place, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _unlink_when_old(place: str, older_than_s: float) -> int:
    """Remove the file unless it is younger; returns the bytes that were freed."""
    status = os.stat(place)
    if older_than_s and status.st_mtime > time.time() - older_than_s:
        return 0
    os.unlink(place)
    return status.st_size
