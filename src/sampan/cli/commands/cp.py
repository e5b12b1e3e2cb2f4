"""`sampan cp`: files between here and a container."""

from __future__ import annotations

import os
import sys

from sampan.cli.copying import GO_SYMLINK, copies_contents, kind_of, name_at_target, pack, unpack
from sampan.cli.formats.written import size
from sampan.cli.grammar import Failure, UsageError
from sampan.cli.relay import write_all
from sampan.client.failure import NotFoundError
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session
    from sampan.client.transport import Response
    from sampan.image.file_part import FilePart

SUMMARY = "Copy files between a container and here"
USAGE = ("[OPTIONS] CONTAINER:SOURCE TARGET|-", "[OPTIONS] SOURCE|- CONTAINER:TARGET")
DETAILS = """
With - as the target a tar archive is written to standard output; with - as the source one is read
from standard input and unpacked in a directory. A source that ends in /. means its contents."""
WORDS = (2, 2)
OPTIONS = (
    ("archive", "a", "bool", "", "Keep users and groups, by number"),
    ("follow-link", "L", "bool", "", "Copy what a link in the source's place leads to"),
    ("chown", "", "string", "", "Give what is copied into a container to this USER[:GROUP] of its"),
    ("parents", "", "bool", "", "Make the source's directories below the target, as cp --parents does"),
    ("quiet", "q", "bool", "", "Do not say how much was copied; so it is when standard output is no terminal"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Copy in one direction."""
    for word, what in zip(arguments.words, ("source", "target"), strict=True):
        if not word:
            raise UsageError(f"the {what} is empty", remedy="write a path, or look whether a variable is set", code=1)
        if word.endswith(":") and split_place(word)[0]:
            raise UsageError(f"{word} names no path", remedy=f"write {word}/ for all that is in it", code=1)
    source, target = (split_place(word) for word in arguments.words)
    if arguments.text("chown"):
        if not target[0]:
            raise UsageError("--chown is for copies into a container", remedy="leave it out", code=1)
        from sampan.cli.only_here import refuse_elsewhere

        refuse_elsewhere(arguments, session, ("chown",))
    if source[0] and target[0]:
        raise UsageError("both places are in containers", remedy="copy to here first", code=1)
    if source[0]:
        count = copy_from(arguments, session, *source, target[1])
    elif target[0]:
        count = copy_to(arguments, session, source[1], *target)
    else:
        raise UsageError("no place is in a container", remedy="write CONTAINER:PATH for one of them", code=1)
    is_quiet = arguments.flag("quiet") if arguments.given("quiet") else not os.isatty(1)
    if count >= 0 and not is_quiet:
        sys.stderr.write(f"Successfully copied {size(count)} to {arguments.words[1]}\n")
    return 0


def split_place(text: str) -> tuple[str, str]:
    """(container, path); the container is "" for a path here."""
    container, mark, path = text.partition(":")
    if not mark or text.startswith(("/", ".")) or not container:
        return "", text
    return container, path if path.startswith("/") else f"/{path}"


def _stat_of(response: Response) -> dict[str, Any]:
    import base64

    from sampan.client.json_text import loads

    found: dict[str, Any] = loads(base64.b64decode(response.headers["x-docker-container-path-stat"]))
    return found


def _look(session: Session, container: str, path: str) -> dict[str, Any] | None:
    """What is at a path in the container; None when nothing is."""
    try:
        response = session.request("HEAD", f"/containers/{quote(container)}/archive", {"path": path})
    except NotFoundError:
        session.call("GET", f"/containers/{quote(container)}/json")  # which says so if the container is missing
        return None
    return _stat_of(response)


def _followed(session: Session, container: str, path: str) -> str:
    """The path that a link at `path` leads to, or `path`."""
    found = _look(session, container, path)
    if found is None or not found["mode"] & GO_SYMLINK:
        return path
    return os.path.join(os.path.dirname(path.rstrip("/")), found["linkTarget"])


def copy_from(arguments: Arguments, session: Session, container: str, path: str, target: str) -> int:
    """Copy to here, or an archive to standard output; gives the bytes that came, -1 for an archive."""
    if arguments.flag("follow-link"):
        path = _followed(session, container, path)
    if target == "-" and os.isatty(1):
        raise Failure("a tar archive is nothing for a terminal", remedy="name a target, or redirect the output")
    response = session.request("GET", f"/containers/{quote(container)}/archive", {"path": path})
    if target == "-":
        for data in response.chunks():
            write_all(1, data)
        return -1
    is_directory = kind_of(_stat_of(response)) == "directory"
    here = "directory" if os.path.isdir(target) else "file" if os.path.lexists(target) else ""
    try:
        if arguments.flag("parents"):
            inside = _below(path, target, here)
            folder, name = os.path.split(os.path.join(target, inside))
            os.makedirs(folder, exist_ok=True)
        else:
            folder, name = name_at_target(path, target, source_is_directory=is_directory, target_is=here)
        counted = Counted(response.chunks())
        unpack(counted, folder, name, owners=arguments.flag("archive"))
        return counted.total
    finally:
        response.close()


def copy_to(arguments: Arguments, session: Session, source: str, container: str, target: str) -> int:
    """Copy from here, or an archive from standard input; gives the bytes that went, -1 for an archive."""
    there = _look(session, container, target)
    if there is not None and there["mode"] & GO_SYMLINK:
        target = _followed(session, container, target)
        there = _look(session, container, target)
    owners = {"copyUIDGID": "true"} if arguments.flag("archive") else {}
    if arguments.text("chown"):
        owners["chown"] = arguments.text("chown")
    if source == "-":
        if kind_of(there) != "directory":
            raise Failure(f"{target} is no directory in {container}", remedy="name one that an archive is to go in")
        _put(session, container, target, _standard_input(), owners)
        return -1
    follow = arguments.flag("follow-link") or copies_contents(source) or source.endswith("/")
    is_directory = os.path.isdir(source) and (follow or not os.path.islink(source))
    if source.endswith("/") and not is_directory and os.path.exists(source.rstrip("/")):
        raise Failure(f"{source} is no directory", remedy="leave the slash at its end out")
    if not (os.path.exists(source) if follow else os.path.lexists(source)):
        raise Failure(f"{source} does not exist", remedy="name a file or directory that is there")
    if arguments.flag("parents"):
        folder, name = target, _below(source, target, kind_of(there))
    else:
        folder, name = name_at_target(source, target, source_is_directory=is_directory, target_is=kind_of(there))
    counted = Counted(pack(source, name, follow=follow))
    _put(session, container, folder, counted, owners)
    return counted.total


def _below(source: str, target: str, target_is: str) -> str:
    """What the source is called below the target with --parents. Failure for a target that is no directory."""
    if target_is != "directory":
        raise Failure(f"{target} is no directory", remedy="--parents wants one that is there")
    inside = os.path.normpath(source).lstrip("/")
    if inside == ".." or inside.startswith("../"):
        raise Failure(f"{source} goes up with '..'", remedy="name the source without it")
    return inside or "."


class Counted:
    """Pieces that are counted as they go by: what Docker tells is the size of the archive.

    Bytes, or parts of files; a type parameter would have `typing` imported, for 4 ms.
    """

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._pieces = pieces
        self.total = 0

    def __iter__(self) -> Iterator[Any]:
        for piece in self._pieces:
            self.total += len(piece)
            yield piece


def _standard_input() -> Iterator[bytes]:
    while data := os.read(0, 1 << 18):
        yield data


def _put(
    session: Session, container: str, folder: str, body: Iterable[bytes | FilePart], owners: dict[str, str]
) -> None:
    query = {"path": folder, "noOverwriteDirNonDir": "true", **owners}
    headers = {"Content-Type": "application/x-tar"}
    session.request("PUT", f"/containers/{quote(container)}/archive", query, body, headers).read()
