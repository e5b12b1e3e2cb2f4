"""Build contexts on their way in: an archive that comes as the body, and what the daemon fetches itself (`remote`).

That is an archive or a Dockerfile by HTTP, or a git repository.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

from sampan.build.context import receive, receive_plain
from sampan.build.downloads import CONTENT, HttpDownloads
from sampan.build.repositories import clone, read_repository
from sampan.build.request import BuildRequest
from sampan.build.threads import away
from sampan.engine.feed import consume
from sampan.errors import InvalidArgument
from sampan.image.compression import MAGIC_BYTES, Compression, detect

_KEEP_GIT = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"  # the build argument
_PIECE = 1 << 18
_SMALL = 1 << 14  # so many bytes are unpacked at once: handing them to threads takes longer
_MOST_HELD = 1 << 20
_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a build's context comes from: an archive, and what its client knows of it."""

    archive: AsyncIterator[bytes]
    known: tuple[bytes, ...] = ()  # what the content is known by before it comes
    complete: Callable[[str], None] | None = None  # gives the unpacked context what is not in the archive; in a thread
    keep: Callable[[str], None] | None = None  # is given it when nothing uses it any more, and may take it away


@dataclass(frozen=True, slots=True)
class Arriving:
    """An archive on its way in: what of it is held in memory, and what is still to come (None: nothing)."""

    held: tuple[bytes, ...]
    rest: AsyncIterator[bytes] | None

    async def unpack(self, context: str) -> bool:
        """Unpack it into the directory `context`; whether it is a small one.

        Raises InvalidArgument for one that is damaged or does harm, SystemFailure for a full disk.
        """
        if self.rest is None and sum(map(len, self.held)) <= _SMALL:
            head = b"".join(self.held)
            if detect(head[:MAGIC_BYTES]) is Compression.NONE:
                receive_plain((head,), context)
                return True
        await consume(self._pieces(), lambda read: receive(read, context))
        return False

    async def _pieces(self) -> AsyncGenerator[bytes]:
        for piece in self.held:
            yield piece
        if self.rest is not None:
            async for piece in self.rest:
                yield piece


async def hold(archive: AsyncIterator[bytes]) -> Arriving:
    """Hold what arrives, up to a bound."""
    held: list[bytes] = []
    size = 0
    async for piece in archive:
        held.append(piece)
        size += len(piece)
        if size > _MOST_HELD:
            return Arriving(tuple(held), archive)
    return Arriving(tuple(held), None)


async def fetch_context(request: BuildRequest, context: str, scratch: str) -> str:
    """Fetch the request's remote; the directory to build from, `context` or one below it, with the Dockerfile given.

    Raises InvalidArgument for what is no context, SystemFailure for what cannot be fetched.
    """
    found = await _fetch(request, context, scratch)
    if request.given:
        await away(lambda: _put(os.path.join(found, request.dockerfile), request.given))
    return found


def _put(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(content)


async def _fetch(request: BuildRequest, context: str, scratch: str) -> str:
    repository = read_repository(request.remote)
    if repository is not None:
        keeps = request.build_args.get(_KEEP_GIT, "").lower() in {"1", "t", "true"}
        return await clone(repository, context, scratch, keep_git=keeps or None)
    if not request.remote.startswith(("http://", "https://")):
        raise InvalidArgument(
            f"{request.remote!r} is no context that can be fetched", remedy="give a URL, or send the files as the body"
        )
    await HttpDownloads().fetch(request.remote, "", scratch, lambda _: None)
    path = os.path.join(scratch, CONTENT)
    if await away(lambda: _is_archive(path)):
        await consume(_pieces(path), lambda read: receive(read, context))
        os.unlink(path)
    else:
        os.rename(path, os.path.join(context, os.path.basename(request.dockerfile)))
    return context


def _is_archive(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(512)
    return head.startswith(_ARCHIVES) or head[257:262] == b"ustar"


async def _pieces(path: str) -> AsyncGenerator[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while data := await asyncio.to_thread(os.read, fd, _PIECE):
            yield data
    finally:
        os.close(fd)
