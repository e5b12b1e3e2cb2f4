"""What an unpacking is asked, and what it answers: how whiteouts are meant, who else wants to know, where it goes."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Protocol

from sampan.image.tar_sparse import Segment


class Whiteouts(enum.Enum):
    """What `.wh.` names are: marks for overlayfs (a layer), or names like any other (a plain archive)."""

    OVERLAY = "overlay"
    LITERAL = "literal"


class Recorder(Protocol):
    """Who wants to know how the archive can be put together again from the tree (`recipe`)."""

    def literal(self, data: bytes) -> None:
        """These bytes of the archive are in no file."""

    def payload(self, path: bytes, segments: tuple[Segment, ...]) -> None:
        """The next bytes of the archive are these parts of the file at `path`."""

    def shelter(self, path: bytes) -> tuple[int, str]:
        """What is at `path` is about to be replaced: the directory, and the name in it, to move it to."""


@dataclass(frozen=True, slots=True)
class Into:
    """A directory below the root in which others live, where links lead wherever they lead in that root.

    Everything will belong to `owner` when it is given. With `keep_kinds` a directory is not replaced by what is none,
    nor the other way round. With `root_name` the archive's first entry is called that, and what is below it follows.
    """

    base: bytes
    owner: tuple[int, int] | None = None
    keep_kinds: bool = False
    root_name: bytes | None = None


WHOLE = Into(b"")


@dataclass(slots=True)
class Unpacked:
    """What came of it; `bytes` is the sum of file sizes, links counted as Docker does.

    `dropped_xattrs` are extended attributes that the file system does not take.
    """

    bytes: int = 0
    entries: int = 0
    dropped_xattrs: set[str] = field(default_factory=set)
