"""Build contexts that the daemon fetches itself (`remote`): an archive or a Dockerfile by HTTP, a git repository."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator

from sampan.build.context import receive
from sampan.build.downloads import CONTENT, HttpDownloads
from sampan.build.repositories import clone, read_repository
from sampan.build.request import BuildRequest
from sampan.build.threads import away
from sampan.engine.feed import consume
from sampan.errors import InvalidArgument

_PIECE = 1 << 18
_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")


async def fetch_context(request: BuildRequest, context: str, scratch: str) -> str:
    """Fetch the request's remote; the directory to build from, `context` or one below it.

    Raises InvalidArgument for what is no context, SystemFailure for what cannot be fetched.
    """
    repository = read_repository(request.remote)
    if repository is not None:
        return await clone(repository, context, scratch)
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
