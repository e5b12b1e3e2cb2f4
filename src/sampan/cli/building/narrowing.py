"""Of a large context only what the Dockerfile's steps may take is sent, which the daemon knows.

Whoever builds a small one, which is packed before that would be known, does not wait for it.
"""

from __future__ import annotations

import os

from sampan.build.sources import Source, find_sources
from sampan.client.failure import ClientError
from sampan.client.session import Session
from sampan.errors import SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.building.context import Context
    from sampan.client.session import QueryValue


def needed(session: Session, query: dict[str, QueryValue], context: Context) -> frozenset[str] | None:
    """The paths below the context's directory of which all is to be sent; None when any may be needed.

    That is so of what is reached by a link, and when the daemon cannot say it, as Docker's.
    """
    asked = {name: value for name, value in query.items() if name in _ASKED}
    try:
        paths = session.call("POST", "/build/taken", asked, context.text)["Paths"]
    except ClientError:
        return None
    return None if paths is None else _found(context.root, paths)


_ASKED = frozenset({"target", "platform", "pull", "buildargs", "buildcontexts"})


def _found(root: str, paths: list[str]) -> frozenset[str] | None:
    """What is there of these paths, with wildcards; None when a link is on the way."""
    found: set[str] = set()
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in paths:
            if "**" in path:
                return None
            for source in _sources(root_fd, path):
                real = os.fsdecode(source.path)
                if real != source.name:
                    return None
                found.add(real)
    finally:
        os.close(root_fd)
    return frozenset(found)


def _sources(root_fd: int, path: str) -> list[Source]:
    try:
        return find_sources(root_fd, path)
    except SampanError:
        return []  # the daemon says that it is not there
