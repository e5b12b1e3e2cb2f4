"""Files between here and a container, as tar archives: what they are called at the other end, packing and unpacking.

The rules are docker cp's: a directory is copied into a directory that is there, and becomes the target where none is;
"/." behind a source means its contents. What a container sends is unpacked nowhere but below the target.
"""

from __future__ import annotations

import os

from sampan.cli.grammar import Failure
from sampan.cli.one_file import pack_file
from sampan.cli.quickly import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from sampan.image.file_part import FilePart

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
GO_DIRECTORY = 1 << 31  # os.FileMode of Go, which the API's path statistics have
GO_SYMLINK = 1 << 27


def copies_contents(path: str) -> bool:
    """Whether the source's contents are meant, not the source."""
    return path.endswith("/.") or path == "."


def name_at_target(source: str, target: str, *, source_is_directory: bool, target_is: str) -> tuple[str, str]:
    """Where to unpack, and what the source is called there; "." for the contents alone.

    `target_is` is "directory", "file" or "" when there is nothing. Failure where the two do not fit.
    """
    if target_is == "directory":
        name = os.path.basename(source.rstrip("/"))
        return target, "." if copies_contents(source) else name
    if target_is == "file":
        if source_is_directory:
            raise Failure(f"{source} is a directory, and {target} is not", remedy="name a directory, or a new name")
        if target.endswith("/"):
            raise Failure(f"{target} is no directory", remedy="leave the slash out to replace the file")
    elif target.endswith("/") and not source_is_directory:
        raise Failure(f"{target} does not exist", remedy="make the directory first")
    folder, name = os.path.split(target.rstrip("/"))
    return folder or ("/" if target.startswith("/") else "."), name


class Reader:
    """A body in pieces, read as a file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        parts = [self._left]
        have = len(self._left)
        while have < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            parts.append(piece)
            have += len(piece)
        data = b"".join(parts)
        self._left = data[size:]
        return data[:size]


def unpack(pieces: Iterable[bytes], folder: str, name: str, *, owners: bool) -> None:
    """Unpack an archive whose root entry is to be called `name` in `folder`.

    With `owners` users and groups are kept by number, if we may. Failure for an entry that would leave the folder.
    """
    unpacking, terms, errors = (load(f"sampan.{name}") for name in ("image.unpack", "image.unpack_terms", "errors"))
    if not os.path.isdir(folder):
        raise Failure(f"{folder} does not exist", remedy="make the directory first")
    owner = None if owners and os.geteuid() == 0 else (os.geteuid(), os.getegid())
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        into = terms.Into(b"", owner, keep_kinds=True, root_name=os.fsencode(name))
        unpacking.unpack(pieces, root, whiteouts=terms.Whiteouts.LITERAL, into=into)
    except errors.InvalidArgument as error:
        raise Failure(f"the container sent no archive that can be unpacked: {error}") from None
    except errors.SystemFailure as error:
        raise Failure(str(error)) from None
    finally:
        os.close(root)


def pack(source: str, name: str, *, follow: bool = False) -> Iterator[bytes | FilePart]:
    """A tar archive, in pieces, of what is at `source`, called `name` in it; with `follow` a link there is followed.

    Times are whole seconds, as Docker's are. Failure for what cannot be read.
    """
    is_directory = os.path.isdir(source) and (follow or not os.path.islink(source) or source.endswith(("/", "/.")))
    place = os.path.realpath(source) if follow and not is_directory else source
    folder, _, file = ("", "", "") if is_directory else place.rpartition("/")
    try:
        root = os.open(source if is_directory else folder or ("/" if place.startswith("/") else "."), _DIRECTORY)
        try:
            yield from _pack_below(root, file, name)
        finally:
            os.close(root)
    except OSError as error:
        raise Failure(f"cannot read {source}: {error.strerror}") from None


def _pack_below(root: int, file: str, name: str) -> Iterator[bytes | FilePart]:
    """The archive of a file in an open directory, or of the directory."""
    parts = pack_file(root, file, name) if file else iter(())
    first = next(parts, None)
    if first is not None:
        yield first
        yield from parts
        return
    packing, errors = load("sampan.image.pack"), load("sampan.errors")
    try:
        if file:
            yield from packing.pack_one_in_parts(root, os.fsencode(file), os.fsencode(name))
        else:
            yield from packing.pack_in_parts(root, packing.PackOptions(prefix=os.fsencode(name)))
    except errors.SystemFailure as error:
        raise Failure(str(error)) from None


def kind_of(path_stat: dict[str, Any] | None) -> str:
    """What the API's statistics of a path say: "directory", "file", or "" when there is nothing."""
    if path_stat is None:
        return ""
    return "directory" if path_stat["mode"] & GO_DIRECTORY else "file"
